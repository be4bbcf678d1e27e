#!/usr/bin/env node
import { CommandError } from './command-error.js';

interface Command {
  readonly usage: string;
  run(args: readonly string[]): void | Promise<void>;
}

/** Each loads what it needs and no more: an engine takes a while to load, and listing keys needs none. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  up: async () => {
    const { UP_USAGE: usage, runUp: run } = await import('./up.js');
    return { usage, run };
  },
  models: async () => {
    const { MODELS_USAGE: usage, runModels: run } = await import('./models.js');
    return { usage, run };
  },
  tasks: async () => {
    const { TASKS_USAGE: usage, runTasks: run } = await import('./tasks.js');
    return { usage, run };
  },
  keys: async () => {
    const { KEYS_USAGE: usage, runKeys: run } = await import('./keys.js');
    return { usage, run };
  },
  projects: async () => {
    const { PROJECTS_USAGE: usage, runProjects: run } = await import('./projects.js');
    return { usage, run };
  },
};

function fail(message: string, code: number): void {
  process.stderr.write(`${message}\n`);
  process.exitCode = code;
}

const [, , word = '', ...rest] = process.argv;
const command = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
if (command === undefined) {
  const all = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  const usage = all.map((one) => one.usage).join('\n');
  if (word === '--help' || word === '-h') process.stdout.write(usage);
  else fail(usage, 2);
} else {
  try {
    const { run } = await command();
    await run(rest);
  } catch (error) {
    if (error instanceof CommandError) fail(error.message, error.exitCode);
    else fail(error instanceof Error ? (error.stack ?? error.message) : String(error), 1);
  }
}
