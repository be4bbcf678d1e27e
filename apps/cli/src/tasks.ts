import { parseArgs } from 'node:util';
import { type GenerateOptions, type Row, type TaskName, tasks } from '@polymode/verifiers';
import { CommandError } from './command-error.js';

/** What a task's generator takes beside count, seed and style: the option's name there, and its kind. */
type TaskOptions = Readonly<
  Record<string, { readonly as: string; readonly kind: 'integer' | 'number' | 'switch' | 'text' }>
>;

const integer = (as: string) => ({ as, kind: 'integer' }) as const;
const number = (as: string) => ({ as, kind: 'number' }) as const;
const UP_TO = { as: 'upTo', kind: 'switch' } as const;

const OPTIONS: Readonly<Record<TaskName, TaskOptions>> = {
  'hypospace/boolean': {
    operators: { as: 'operators', kind: 'text' },
    'max-depth': integer('maxDepth'),
    observations: integer('observations'),
  },
  'hypospace/causal': {
    nodes: integer('nodes'),
    'max-edges': integer('maxEdges'),
    perturbations: integer('perturbations'),
    'up-to': UP_TO,
  },
  'hypospace/voxel': {
    grid: integer('grid'),
    'max-height': integer('maxHeight'),
    blocks: integer('blocks'),
    'up-to': UP_TO,
  },
  hypergrid: {
    dimensions: integer('dimensions'),
    'min-side': integer('minSide'),
    'max-side': integer('maxSide'),
    r0: number('r0'),
    r1: number('r1'),
    r2: number('r2'),
  },
  'arithmetic/countdown': {
    numbers: integer('numbers'),
    'max-number': integer('maxNumber'),
    'min-target': integer('minTarget'),
    'max-target': integer('maxTarget'),
    'min-solutions': integer('minSolutions'),
  },
  'text/json-schema': {
    fields: integer('fields'),
    'min-answers': integer('minAnswers'),
    'max-answers': integer('maxAnswers'),
  },
  'molecules/amide-lite': {
    acids: integer('acids'),
    linkers: integer('linkers'),
    amines: integer('amines'),
    outcome: { as: 'outcome', kind: 'text' },
  },
};

const SHARED: TaskOptions = {
  n: integer('count'),
  seed: integer('seed'),
  style: { as: 'style', kind: 'text' },
};

export const TASKS_USAGE = `Usage: polymode tasks list
       polymode tasks generate TASK [--n 200] [--seed 7] [--style compact|full] [task's options] > train.jsonl

Writes training files of problems that have many right answers, for graders {"type": "task", "task": TASK}.

${Object.entries(OPTIONS)
  .map(([task, options]) => `  ${task.padEnd(20)} ${Object.keys(options).map(flagOf).join(' ')}`)
  .join('\n')}
`;

function flagOf(name: string): string {
  return `--${name}`;
}

/** @param args what follows `polymode tasks` @throws CommandError */
export function runTasks(args: readonly string[]): void {
  const [command, name, ...rest] = args;
  if (command === 'list' && name === undefined) {
    for (const task of Object.keys(tasks)) process.stdout.write(`${task}\n`);
  } else if (command === 'generate' && name !== undefined) {
    const lines = generate(name, rest).map((row) => `${JSON.stringify(row)}\n`);
    process.stdout.write(lines.join(''));
    process.stderr.write(`${lines.length} rows of ${name}\n`);
  } else if (command === '--help' || command === '-h') {
    process.stdout.write(TASKS_USAGE);
  } else {
    throw new CommandError(TASKS_USAGE, 2);
  }
}

function generate(name: string, args: readonly string[]): Row<object>[] {
  if (!Object.hasOwn(tasks, name)) {
    throw new CommandError(`There is no task '${name}'. There are ${Object.keys(tasks).join(', ')}.`, 2);
  }
  const task = tasks[name as TaskName] as { generate(options: GenerateOptions): Row<object>[] };
  const options = readOptions(args, { ...SHARED, ...OPTIONS[name as TaskName] });
  try {
    return task.generate(options);
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) throw new CommandError(error.message, 2);
    throw error;
  }
}

function readOptions(args: readonly string[], known: TaskOptions): GenerateOptions {
  let values: Record<string, string | boolean | undefined>;
  try {
    const options = Object.fromEntries(
      Object.entries(known).map(([name, { kind }]) => [
        name,
        { type: kind === 'switch' ? ('boolean' as const) : ('string' as const) },
      ]),
    );
    values = parseArgs({ args: [...args], options }).values as typeof values;
  } catch (error) {
    const flags = Object.keys(known).map(flagOf).join(', ');
    throw new CommandError(`${error instanceof Error ? error.message : error}\nIt has ${flags}.`, 2);
  }
  const read: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(values)) {
    const { as, kind } = known[name]!;
    if (kind === 'integer' && !/^-?\d+$/.test(String(value))) {
      throw new CommandError(`--${name} is '${value}'. Give a whole number.`, 2);
    }
    if (kind === 'number' && !/^-?\d+(\.\d+)?$/.test(String(value))) {
      throw new CommandError(`--${name} is '${value}'. Give a number such as 0.5.`, 2);
    }
    read[as] = kind === 'integer' || kind === 'number' ? Number(value) : value;
  }
  if (read.style !== undefined && read.style !== 'compact' && read.style !== 'full') {
    throw new CommandError(`--style is '${read.style}'. Give compact or full.`, 2);
  }
  return read as GenerateOptions;
}
