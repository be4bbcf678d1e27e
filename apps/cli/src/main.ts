#!/usr/bin/env node
import { CommandError } from './command-error.js';
import { MODELS_USAGE, runModels } from './models.js';
import { runTasks, TASKS_USAGE } from './tasks.js';
import { runUp, UP_USAGE } from './up.js';

const COMMANDS: Readonly<Record<string, (args: readonly string[]) => void | Promise<void>>> = {
  up: runUp,
  models: runModels,
  tasks: runTasks,
};

function fail(message: string, code: number): void {
  process.stderr.write(`${message}\n`);
  process.exitCode = code;
}

const [, , word = '', ...rest] = process.argv;
const command = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
if (command === undefined) {
  const usage = [UP_USAGE, MODELS_USAGE, TASKS_USAGE].join('\n');
  if (word === '--help' || word === '-h') process.stdout.write(usage);
  else fail(usage, 2);
} else {
  try {
    await command(rest);
  } catch (error) {
    if (error instanceof CommandError) fail(error.message, error.exitCode);
    else fail(error instanceof Error ? (error.stack ?? error.message) : String(error), 1);
  }
}
