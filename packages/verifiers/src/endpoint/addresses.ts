import { BlockList, isIP } from 'node:net';

/** Networks that no stranger's URL may lead to: this machine, its neighbours, and what is no single host (IANA's registries). */
const PRIVATE: readonly [network: string, prefix: number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
  ['::', 127],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
];

const blocked = listOf(PRIVATE);

function listOf(networks: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of networks) list.addSubnet(network, prefix, isIP(network) === 6 ? 'ipv6' : 'ipv4');
  return list;
}

const contains = (list: BlockList, address: string): boolean =>
  list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** `::ffff:10.0.0.1` is 10.0.0.1, however it is written. */
function plain(address: string): string {
  const dotted = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (dotted) return dotted[1]!;
  const hex = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(address);
  if (!hex) return address;
  const [high, low] = [Number.parseInt(hex[1]!, 16), Number.parseInt(hex[2]!, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/**
 * Whether a connection may be made.
 *
 * @param host as the URL has it @param address that it stands for, IPv4 or IPv6
 * @param allow host names, addresses and networks (`10.0.0.0/8`) that may be private
 */
export function mayReach(host: string, address: string, allow: readonly string[]): boolean {
  const own = plain(address);
  if (isIP(own) === 0) return false;
  if (!contains(blocked, own)) return true;
  return allow.some((entry) => {
    if (entry.toLowerCase() === host.toLowerCase() || entry === own) return true;
    const [network, prefix] = entry.split('/');
    if (prefix === undefined || isIP(network!) === 0 || isIP(network!) !== isIP(own)) return false;
    return contains(listOf([[network!, Number(prefix)]]), own);
  });
}
