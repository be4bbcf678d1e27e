/**
 * `npm run bench -- load`: how fast the API answers, with PostgreSQL beside it on two cores, as a share of what a bare
 * Fastify route reaches that sends as many SQL statements. README.md says how; the last line is JSON.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { migrate } from '@polymode/db';
import { startEmbeddedPostgres } from '@polymode/db/embedded';
import { startProcess } from './process.mjs';
import { countStatements } from './statements.mjs';
import { measureStreams } from './streams.mjs';
import { makeTarget } from './target.mjs';

const { values } = parseArgs({
  options: {
    // of load on each side
    seconds: { type: 'string', default: '15' },
    connections: { type: 'string', default: '16' },
    streams: { type: 'string', default: '500' },
    only: { type: 'string', default: 'creations,polls,event_pages,streams' },
  },
});
/** Sides take turns of this length. */
const WINDOW_MS = 250;
/** Turns that are not counted: code is compiled only when it has run for a while. */
const WARM_UP = 12;
const PEERS = { same: 'bare route with the same statements', bare: 'bare route with as many trivial statements' };
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

// Everything on two cores, the generator of the load too: it is cheap, and it takes from both sides the same.
const TASKSET = ['/usr/bin/taskset', '/bin/taskset'].find((path) => existsSync(path));
if (availableParallelism() > 2 && TASKSET !== undefined && process.env.POLYMODE_BENCH_PINNED !== '1') {
  const child = spawn(TASKSET, ['-c', '0,1', process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, POLYMODE_BENCH_PINNED: '1' },
  });
  child.on('close', (code) => process.exit(code ?? 1));
} else {
  await main();
}

async function main() {
  const wanted = new Set(values.only.split(','));
  const dir = await mkdtemp(join(tmpdir(), 'polymode-load-'));
  const postgres = await startEmbeddedPostgres({ dataDir: join(dir, 'postgres') });
  const running = [];
  const start = async (script, env) => {
    const one = await startProcess(script, env);
    running.push(one);
    return one;
  };
  try {
    await migrate(postgres.url);
    const key = 'pmk-of-the-load-bench';
    const env = { DATABASE_URL: postgres.url, POLYMODE_DATA_DIR: dir, POLYMODE_API_KEY: key, POLYMODE_PORT: '0' };
    const limits = { POLYMODE_REQUESTS_PER_MINUTE: '0' };
    const api = await start(fileURLToPath(import.meta.resolve('@polymode/api/main')), { ...env, ...limits });
    const bare = await start(here('bare-server.mjs'), env);
    const target = await makeTarget(api.url, key, postgres.url);
    console.log(`${cpus()[0].model}, two cores. ${values.connections} connections, ${values.seconds} s a side.`);

    const figures = {};
    for (const [name, request] of Object.entries(target.requests)) {
      if (!wanted.has(name)) continue;
      const ours = request.wire(api.url);
      const log = join(dir, 'postgres', 'postgres.log');
      const statements = await countStatements(
        postgres.url,
        log,
        async () => (await generate({ ours }, 4, 0)).ours.requests,
      );
      const same = get(bare.url, `/same/${name}/${target.jobId}`);
      const sides = { ours, same, bare: bareRequest(bare.url, statements) };
      figures[name] = await compare(name, sides, statements, api.pid);
    }
    const streams = wanted.has('streams') ? await measureStreams(api, target, Number(values.streams)) : null;
    const ratios = Object.fromEntries(Object.entries(figures).map(([name, { same, bare }]) => [name, { same, bare }]));
    for (const peer of ['same', 'bare']) {
      const slow = Object.keys(ratios).filter((name) => ratios[name][peer] < 0.7);
      if (slow.length > 0) console.log(`Below 0.7 of the ${PEERS[peer]}: ${slow.join(', ')}`);
      if (slow.length > 0 && peer === 'same') process.exitCode = 1;
    }
    console.log(
      JSON.stringify({ ratios, figures, streams, processor: cpus()[0].model, node: process.version, commit: commit() }),
    );
  } finally {
    for (const one of running) await one.stop();
    await postgres.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

function bareRequest(origin, { selects, inserts, transactions }) {
  return get(origin, `/?selects=${selects}&inserts=${inserts}&transactions=${transactions}`);
}

function get(origin, path) {
  return { origin, head: `GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`, body: '' };
}

/** All sides in turn, for as long each. */
async function compare(name, sides, statements, pid) {
  const before = cpuMs(pid);
  const windows = Math.ceil((Number(values.seconds) * 1000) / WINDOW_MS);
  const { ours, ...peers } = await generate(sides, windows, WARM_UP);
  const figure = { ours: { ...summary(ours), cpuMs: (cpuMs(pid) - before) / ours.requests }, statements };
  const side = ({ perSecond, p50, p99 }) =>
    `${perSecond.toFixed(0)}/s, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
  console.log(`${name}: ${side(ours)}, ${figure.ours.cpuMs.toFixed(2)} ms of the API's processor time`);
  for (const [peer, made] of Object.entries(peers)) {
    // How far single pairs of windows lie apart tells how noisy the machine was.
    const pairs = ours.rates.map((rate, i) => rate / made.rates[i]).toSorted((x, y) => x - y);
    const at = (share) => pairs[Math.floor(share * pairs.length)];
    figure[peer] = ours.perSecond / made.perSecond;
    figure[`${peer}Route`] = { ...summary(made), quarter: at(0.25), median: at(0.5), threeQuarters: at(0.75) };
    console.log(
      `  ${figure[peer].toFixed(2)} of the ${PEERS[peer]} (${statements.total}): ${side(made)}; half of the pairs from ` +
        `${at(0.25).toFixed(2)} to ${at(0.75).toFixed(2)}`,
    );
  }
  return figure;
}

/** Load from a process of its own, which ends by itself. */
async function generate(sides, windows, warmUp) {
  const child = spawn(process.execPath, [here('generate.mjs')], { stdio: ['pipe', 'pipe', 'inherit'] });
  const connections = Number(values.connections);
  child.stdin.end(JSON.stringify({ sides, connections, windowMs: WINDOW_MS, windows, warmUp }));
  let text = '';
  for await (const piece of child.stdout) text += piece;
  if (text === '') throw new Error('the load generator failed');
  return JSON.parse(text);
}

/** Processor time that a server process has had, which the rest of the machine does not change; NaN where /proc is missing. */
function cpuMs(pid) {
  if (!existsSync('/proc/self/stat')) return Number.NaN;
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  // User and system time in hundredths of a second.
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function summary({ perSecond, p50, p99, requests }) {
  return { perSecond, p50, p99, requests };
}

function commit() {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
