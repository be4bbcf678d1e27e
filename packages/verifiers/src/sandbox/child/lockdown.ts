import dgram from 'node:dgram';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

/**
 * Takes from this process what the permission model of Node leaves open: the network, signals to other processes and the
 * ways to the runtime's own bindings. Called before code of users is there; there is no way back.
 */
export function lockDown(): void {
  const refuse = () => {
    throw new Error('Not available in a sandbox.');
  };
  replace(net.Socket.prototype, 'connect', refuse);
  replace(net.Server.prototype, 'listen', refuse);
  replace(dgram, 'createSocket', refuse);
  replace(dgram.Socket.prototype, 'bind', refuse);
  replace(dgram.Socket.prototype, 'send', refuse);
  for (const name of ['lookup', 'resolve', 'resolve4', 'resolve6', 'Resolver']) replace(dns, name, refuse);
  for (const name of ['binding', '_linkedBinding', 'dlopen', 'kill', '_kill', '_debugProcess', 'getBuiltinModule']) {
    replace(process, name, refuse);
  }
  for (const name of ['fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest']) Reflect.deleteProperty(globalThis, name);
  syncBuiltinESMExports();
}

function replace(target: object, name: string, value: () => never): void {
  if (name in target) Object.defineProperty(target, name, { value, writable: false, configurable: false });
}
