/**
 * `npm run bench -- --figures load`: how fast the API answers, with PostgreSQL beside it on two cores, as a share of what a bare
 * Fastify route reaches that sends as many SQL statements. README.md says how; the last line is JSON.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
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
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '16' },
    streams: { type: 'string', default: '500' },
    only: { type: 'string', default: 'creations,polls,event_pages,streams' },
  },
});
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
    console.log(
      `${cpus()[0].model}, two cores. ${values.connections} connections, ${values.rounds} rounds of ${values.seconds} s a side.`,
    );

    const figures = {};
    for (const [name, request] of Object.entries(target.requests)) {
      if (!wanted.has(name)) continue;
      const ours = request.wire(api.url);
      const log = join(dir, 'postgres', 'postgres.log');
      const statements = await countStatements(postgres.url, log, async () => (await slice(ours, 1)).requests);
      const sides = { ours, bare: bareRequest(bare.url, statements) };
      figures[name] = await compare(name, sides, statements);
    }
    const streams = wanted.has('streams') ? await measureStreams(api, target, Number(values.streams)) : null;
    const ratios = Object.fromEntries(Object.entries(figures).map(([name, { ratio }]) => [name, ratio]));
    console.log(
      JSON.stringify({ ratios, figures, streams, processor: cpus()[0].model, node: process.version, commit: commit() }),
    );
    const slow = Object.entries(ratios).filter(([, ratio]) => ratio < 0.7);
    if (slow.length > 0) {
      console.log(`Below 0.7: ${slow.map(([name]) => name).join(', ')}`);
      process.exitCode = 1;
    }
  } finally {
    for (const one of running) await one.stop();
    await postgres.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

function bareRequest(origin, { selects, inserts, transactions }) {
  const path = `/?selects=${selects}&inserts=${inserts}&transactions=${transactions}`;
  return { origin, head: `GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`, body: '' };
}

/** Slices of both sides in turn, every second pair the other way round. */
async function compare(name, sides, statements) {
  await slice(sides.bare, 1);
  await slice(sides.ours, 1);
  const made = { ours: [], bare: [] };
  for (let i = 0; i < Number(values.rounds); i++) {
    for (const side of i % 2 === 0 ? ['ours', 'bare'] : ['bare', 'ours']) {
      made[side].push(await slice(sides[side], Number(values.seconds)));
    }
  }
  const ratio = median(made.ours.map((one, i) => one.perSecond / made.bare[i].perSecond));
  const figure = { ratio, ours: summary(made.ours), bare: summary(made.bare), statements };
  const side = ({ perSecond, p50, p99 }) =>
    `${perSecond.toFixed(0)}/s, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
  console.log(
    `${name}: ${side(figure.ours)}; bare with ${statements.total} statements: ${side(figure.bare)}; ratio ${ratio.toFixed(2)}`,
  );
  return figure;
}

/** A share of time for one side, from a process of its own that ends by itself. */
async function slice({ origin, head, body }, seconds) {
  const args = [here('generate.mjs'), origin, String(seconds), values.connections];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify({ head, body }));
  let text = '';
  for await (const piece of child.stdout) text += piece;
  const result = JSON.parse(text);
  if (result.failed > 0) throw new Error(`${result.failed} requests failed, such as: ${result.failure}`);
  return result;
}

function summary(slices) {
  return Object.fromEntries(['perSecond', 'p50', 'p99'].map((key) => [key, median(slices.map((one) => one[key]))]));
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function commit() {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
