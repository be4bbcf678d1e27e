import { CommandError } from './command-error.js';
import { openManagement } from './management.js';
import { readArguments } from './read-arguments.js';

export const KEYS_USAGE = `Usage: polymode keys create NAME [options]
       polymode keys list [options]
       polymode keys revoke ID [options]

API keys of a project. A new key is printed once: only its hash is kept.

  --scope S              of a new key: read, write (default) or admin, each with those before it
  --requests-per-minute N  of a new key; else as many as the service allows each
  --tokens-per-minute N  of completions, of a new key; else as many as the service allows each
  --project ID           the project (default: the admin key's own, or the first)
  --local                write to the database of DATABASE_URL instead of asking the API: for a first key, or a lost one
  --json                 print JSON

The API is asked at POLYMODE_BASE_URL (default http://127.0.0.1:8000/v1) with the admin key in POLYMODE_API_KEY.
`;

const OPTIONS = {
  scope: { type: 'string', default: 'write' },
  'requests-per-minute': { type: 'string' },
  'tokens-per-minute': { type: 'string' },
  project: { type: 'string' },
  local: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** @param args what follows `polymode keys` @throws CommandError */
export async function runKeys(args: readonly string[]): Promise<void> {
  const { values, positionals } = readArguments(args, OPTIONS, KEYS_USAGE);
  if (values.help) {
    process.stdout.write(KEYS_USAGE);
    return;
  }
  const [command, name, ...rest] = positionals;
  const wellFormed =
    rest.length === 0 && (command === 'list' ? name === undefined : name !== undefined && name.trim() !== '');
  if (!wellFormed || !['create', 'list', 'revoke'].includes(command ?? '')) throw new CommandError(KEYS_USAGE, 2);
  const scope = scopeOf(values.scope);
  const limits = {
    requestsPerMinute: limitOf('requests-per-minute', values['requests-per-minute'], 1_000_000),
    tokensPerMinute: limitOf('tokens-per-minute', values['tokens-per-minute'], 1_000_000_000),
  };
  const management = await openManagement(values.local);
  try {
    const project = values.project ?? (await management.ownProject());
    if (command === 'create') {
      const key = await management.createKey(project, { name: name!, scope, ...limits });
      print(values.json, key, `${key.value}\n`);
      if (!values.json)
        process.stderr.write(`${key.id}, scope ${key.scope}, of ${project}. Shown only now: keep it.\n`);
    } else if (command === 'list') {
      const keys = await management.listKeys(project);
      print(
        values.json,
        keys,
        keys.map((key) => `${[key.id, key.redacted, key.scope, key.name].join('\t')}\n`).join(''),
      );
    } else {
      await management.revokeKey(project, name!);
      print(values.json, { id: name, revoked: true }, `${name} is revoked.\n`);
    }
  } finally {
    await management.close();
  }
}

function print(json: boolean, value: unknown, text: string): void {
  process.stdout.write(json ? `${JSON.stringify(value)}\n` : text);
}

function scopeOf(text: string): 'read' | 'write' | 'admin' {
  if (text === 'read' || text === 'write' || text === 'admin') return text;
  throw new CommandError(`--scope is '${text}'. Give read, write or admin.`, 2);
}

function limitOf(option: string, text: string | undefined, most: number): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new CommandError(`--${option} is '${text}'. Give a whole number from 1 to ${most}.`, 2);
}
