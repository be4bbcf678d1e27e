/**
 * Reads `{ sides, connections, windowMs, windows, warmUp }` from standard input and sends each side's one request again and again
 * on its connections, the sides in turn, a short window each (A B B A …): whatever else the machine does meets both. Prints what
 * came of each side. These few lines of HTTP cost far less than a client library, which would take from the cores that it measures.
 */
import { connect } from 'node:net';
import { json } from 'node:stream/consumers';

const { sides, connections, windowMs, windows, warmUp } = await json(process.stdin);
const made = {};
for (const [name, side] of Object.entries(sides)) {
  const open = await Promise.all(Array.from({ length: connections }, () => connection(side)));
  made[name] = { open, latencies: [], rates: [], requests: 0, seconds: 0 };
}
for (let i = -warmUp; i < windows; i++) {
  const names = Object.keys(made);
  for (const name of i % 2 === 0 ? names : names.toReversed()) {
    const side = made[name];
    const started = performance.now();
    const counts = await Promise.all(side.open.map((one) => one.untilEnd(started + windowMs)));
    const seconds = (performance.now() - started) / 1000;
    const latencies = counts.flat();
    side.requests += latencies.length;
    if (i < 0) continue;
    side.latencies.push(...latencies);
    side.seconds += seconds;
    side.rates.push(latencies.length / seconds);
  }
}
const results = {};
for (const [name, { open, latencies, rates, requests, seconds }] of Object.entries(made)) {
  for (const one of open) one.close();
  latencies.sort((a, b) => a - b);
  const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))];
  results[name] = { perSecond: latencies.length / seconds, p50: at(0.5), p99: at(0.99), requests, rates };
}
console.log(JSON.stringify(results));

/** One connection that is kept, with one request at a time on it. */
function connection({ origin, head, body }) {
  const { hostname, port } = new URL(origin);
  const wire = Buffer.from(head + body);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  socket.setEncoding('latin1');
  let text = '';
  let answered;
  let failed;
  socket.on('error', (error) => failed?.(error));
  socket.on('close', () => failed?.(new Error('the server closed a connection')));
  socket.on('data', (piece) => {
    text += piece;
    const split = text.indexOf('\r\n\r\n');
    if (split < 0) return;
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
    if (text.length < split + 4 + length) return;
    if (text.startsWith('HTTP/1.1 200 ')) answered();
    else failed(new Error(`not answered: ${text.slice(0, 500)}`));
  });
  const once = () =>
    new Promise((resolve, reject) => {
      [text, answered, failed] = ['', resolve, reject];
      socket.write(wire);
    });
  const untilEnd = async (end) => {
    const latencies = [];
    do {
      const sent = performance.now();
      await once();
      latencies.push(performance.now() - sent);
    } while (performance.now() < end);
    return latencies;
  };
  const close = () => {
    failed = undefined;
    socket.destroy();
  };
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => resolve({ untilEnd, close }));
  });
}
