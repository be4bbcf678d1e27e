import { CommandError } from './command-error.js';
import { openManagement, type ProjectSummary } from './management.js';
import { readArguments } from './read-arguments.js';

export const PROJECTS_USAGE = `Usage: polymode projects create NAME [options]
       polymode projects list [options]
       polymode projects archive ID [options]

Projects: files, jobs and models of one are invisible from every other. An archived project's keys are refused.

  --all    list archived ones too
  --local  work on the database of DATABASE_URL instead of asking the API
  --json   print JSON

The API is asked at POLYMODE_BASE_URL (default http://127.0.0.1:8000/v1) with the admin key in POLYMODE_API_KEY.
`;

const OPTIONS = {
  all: { type: 'boolean', default: false },
  local: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** @param args what follows `polymode projects` @throws CommandError */
export async function runProjects(args: readonly string[]): Promise<void> {
  const { values, positionals } = readArguments(args, OPTIONS, PROJECTS_USAGE);
  if (values.help) {
    process.stdout.write(PROJECTS_USAGE);
    return;
  }
  const [command, name, ...rest] = positionals;
  const wellFormed =
    rest.length === 0 && (command === 'list' ? name === undefined : name !== undefined && name.trim() !== '');
  if (!wellFormed || !['create', 'list', 'archive'].includes(command ?? '')) throw new CommandError(PROJECTS_USAGE, 2);
  const management = await openManagement(values.local);
  try {
    if (command === 'list') {
      const all = await management.listProjects(values.all);
      process.stdout.write(values.json ? `${JSON.stringify(all)}\n` : all.map(line).join(''));
    } else {
      const project =
        command === 'create' ? await management.createProject(name!) : await management.archiveProject(name!);
      process.stdout.write(values.json ? `${JSON.stringify(project)}\n` : line(project));
    }
  } finally {
    await management.close();
  }
}

const line = ({ id, status, name }: ProjectSummary): string => `${id}\t${status}\t${name}\n`;
