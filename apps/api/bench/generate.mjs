/**
 * `generate.mjs <origin> <seconds> <connections>`: sends one request, read from standard input, again and again on each connection
 * and prints what came of it. Its own few lines of HTTP cost far less than a client library, which would share our cores.
 */
import { connect } from 'node:net';
import { json } from 'node:stream/consumers';

const [origin, seconds, connections] = process.argv.slice(2);
const { hostname, port } = new URL(origin);
const { head, body } = await json(process.stdin);
const wire = Buffer.from(head + body);
const end = performance.now() + Number(seconds) * 1000;
const latencies = [];
let failed = 0;
let failure = '';

const started = performance.now();
await Promise.all(Array.from({ length: Number(connections) }, () => one()));
const elapsed = (performance.now() - started) / 1000;
latencies.sort((a, b) => a - b);
const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))];
console.log(
  JSON.stringify({
    perSecond: latencies.length / elapsed,
    p50: at(0.5),
    p99: at(0.99),
    requests: latencies.length,
    failed,
    failure,
  }),
);

function one() {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    let sent = 0;
    let text = '';
    const send = () => {
      text = '';
      sent = performance.now();
      socket.write(wire);
    };
    socket.setEncoding('latin1');
    socket.on('connect', send);
    socket.on('error', reject);
    socket.on('close', resolve);
    socket.on('data', (piece) => {
      text += piece;
      const split = text.indexOf('\r\n\r\n');
      if (split < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
      if (Number.isNaN(length)) return socket.destroy(new Error(`an answer without a length: ${text.slice(0, 300)}`));
      if (text.length < split + 4 + length) return;
      const now = performance.now();
      latencies.push(now - sent);
      if (!text.startsWith('HTTP/1.1 200 ')) {
        failed++;
        failure ||= text.slice(0, 1000);
      }
      if (now < end) send();
      else socket.end();
    });
  });
}
