#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { ModelsCommandError, runModels } from './models.js';
import { type Stack, StackError, startStack } from './stack.js';

const USAGE = `Usage: polymode up [options]
       polymode models list | pull OWNER/NAME

Starts PostgreSQL, the API and a worker on this machine, and leaves them running until Ctrl-C.

  --port N        of the API (POLYMODE_PORT; default 8000; 0 for a free one)
  --data-dir DIR  database, files and logs (POLYMODE_DATA_DIR; default .polymode)
  --workers N     worker processes (default 1)
  --json          print one line of JSON when ready
`;

function fail(message: string, code: number): never {
  process.stderr.write(`${message}\n`);
  process.exit(code);
}

function integer(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most) {
    fail(`${name} is '${text}'. Give a whole number from ${least} to ${most}.`, 2);
  }
  return value;
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        port: { type: 'string' },
        'data-dir': { type: 'string' },
        workers: { type: 'string', default: '1' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : error}\n\n${USAGE}`, 2);
  }
}

if (process.argv[2] === 'models') {
  try {
    await runModels(process.argv.slice(3));
    process.exit(0);
  } catch (error) {
    if (error instanceof ModelsCommandError) fail(error.message, error.exitCode);
    throw error;
  }
}

const { values, positionals } = readArguments();
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
if (positionals.length !== 1 || positionals[0] !== 'up') fail(USAGE, 2);

async function up(): Promise<void> {
  const port = integer('--port', values.port ?? (process.env.POLYMODE_PORT || '8000'), 0, 65_535);
  const stack = await startStack({
    port,
    dataDir: values['data-dir'] ?? (process.env.POLYMODE_DATA_DIR || '.polymode'),
    workers: integer('--workers', values.workers, 1, 64),
    apiKey: process.env.POLYMODE_API_KEY || undefined,
  });
  let stopping = false;
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    if (!values.json) process.stdout.write('\nStopping: a running job is saved and goes on at the next start…\n');
    await stack.stop();
    process.exit(0);
  };
  process.on('SIGINT', () => void stop());
  process.on('SIGTERM', () => void stop());
  process.stdout.write(values.json ? `${JSON.stringify(asJson(stack))}\n` : introduction(stack));
}

function asJson(stack: Stack): Record<string, unknown> {
  return {
    baseURL: stack.baseURL,
    ...(stack.apiKey === null ? {} : { apiKey: stack.apiKey }),
    dataDir: stack.dataDir,
    pid: process.pid,
  };
}

function introduction(stack: Stack): string {
  const key =
    stack.apiKey === null
      ? 'API key   the one printed at the first start of this data folder (or set POLYMODE_API_KEY)'
      : `API key   ${stack.apiKey}${process.env.POLYMODE_API_KEY ? '' : '   (shown once: keep it)'}`;
  return `
Polymode is running.

Base URL  ${stack.baseURL}
${key}
Data      ${stack.dataDir}

  curl ${stack.baseURL}/models -H "Authorization: Bearer $POLYMODE_API_KEY"

  import OpenAI from 'openai';
  const client = new OpenAI({ baseURL: '${stack.baseURL}', apiKey: process.env.POLYMODE_API_KEY });
  for await (const job of client.fineTuning.jobs.list()) console.log(job.id, job.status);

Ctrl-C stops it.
`;
}

up().catch((error: unknown) => {
  if (error instanceof StackError) fail(error.message, 1);
  fail(error instanceof Error ? (error.stack ?? error.message) : String(error), 1);
});
