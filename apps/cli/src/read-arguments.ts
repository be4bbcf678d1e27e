import { type ParseArgsConfig, parseArgs } from 'node:util';
import { CommandError } from './command-error.js';

interface Config<Options> {
  args: string[];
  allowPositionals: true;
  options: Options;
}

/** Options and positionals of a command. @throws CommandError that says what is wrong, and the usage */
export function readArguments<const Options extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: Options,
  usage: string,
): ReturnType<typeof parseArgs<Config<Options>>> {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options });
  } catch (error) {
    throw new CommandError(`${error instanceof Error ? error.message : error}\n\n${usage}`, 2);
  }
}
