import { CommandError } from './command-error.js';
import { readArguments } from './read-arguments.js';
import { type Stack, StackError, startStack } from './stack.js';

export const UP_USAGE = `Usage: polymode up [options]

Starts PostgreSQL, the API and a worker on this machine, and leaves them running until Ctrl-C.

  --port N        of the API (POLYMODE_PORT; default 8000; 0 for a free one)
  --data-dir DIR  database, files and logs (POLYMODE_DATA_DIR; default .polymode)
  --workers N     worker processes (default 1)
  --json          print one line of JSON when ready
`;

function integer(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new CommandError(`${name} is '${text}'. Give a whole number from ${least} to ${most}.`, 2);
  }
  return value;
}

const OPTIONS = {
  port: { type: 'string' },
  'data-dir': { type: 'string' },
  workers: { type: 'string', default: '1' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** @param args what follows `polymode up` @throws CommandError */
export async function runUp(args: readonly string[]): Promise<void> {
  const { values, positionals } = readArguments(args, OPTIONS, UP_USAGE);
  if (values.help) {
    process.stdout.write(UP_USAGE);
    return;
  }
  if (positionals.length > 0) throw new CommandError(UP_USAGE, 2);
  const port = integer('--port', values.port ?? (process.env.POLYMODE_PORT || '8000'), 0, 65_535);
  const stack = await start({
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

async function start(options: Parameters<typeof startStack>[0]): Promise<Stack> {
  try {
    return await startStack(options);
  } catch (error) {
    if (error instanceof StackError) throw new CommandError(error.message, 1);
    throw error;
  }
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
