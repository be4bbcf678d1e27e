import { type Grader, GraderConfigError } from '../grader.js';
import type { GraderServices } from '../services.js';

/** Makes a grader of one type. @throws GraderConfigError */
export type GraderFactory = (definition: Definition, services: GraderServices) => Grader;

/** A grader definition being read: fields are checked one by one, in the order in which a person would fix them. */
export class Definition {
  constructor(
    private readonly fields: Readonly<Record<string, unknown>>,
    /** where the definition sits, as in `grader` */
    readonly param: string,
  ) {}

  /** @throws GraderConfigError unless every field is one of `known` */
  onlyFields(known: readonly string[]): void {
    for (const field of Object.keys(this.fields)) {
      if (!known.includes(field)) {
        throw new GraderConfigError(
          `Unknown field '${field}' in a ${String(this.fields.type)} grader. It has: ${known.join(', ')}.`,
          `${this.param}.${field}`,
        );
      }
    }
  }

  /** The value of a field as it was written. */
  value(field: string): unknown {
    return this.fields[field];
  }

  /** @throws GraderConfigError at a field of this definition */
  refuse(field: string, message: string): never {
    throw new GraderConfigError(message, `${this.param}.${field}`);
  }

  has(field: string): boolean {
    return this.fields[field] !== undefined && this.fields[field] !== null;
  }

  string(field: string): string {
    const value = this.fields[field];
    const param = `${this.param}.${field}`;
    if (value === undefined) throw new GraderConfigError(`Missing required field '${field}' (a string).`, param);
    if (typeof value !== 'string') {
      throw new GraderConfigError(`'${field}' must be a string, not ${kindOf(value)}.`, param);
    }
    return value;
  }

  nonEmptyString(field: string): string {
    const value = this.string(field);
    if (value.trim() === '') throw new GraderConfigError(`'${field}' must not be empty.`, `${this.param}.${field}`);
    return value;
  }

  /** What the grader is called: definitions in the wild often say only of which type it is. */
  name(otherwise = this.string('type')): string {
    return this.has('name') ? this.nonEmptyString('name') : otherwise;
  }

  /** A finite number within bounds. */
  number(field: string, least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY): number {
    return this.bounded(field, 'a number', Number.isFinite, least, most);
  }

  integer(field: string, least = Number.MIN_SAFE_INTEGER, most = Number.MAX_SAFE_INTEGER): number {
    return this.bounded(field, 'an integer', Number.isSafeInteger, least, most);
  }

  private bounded(field: string, what: string, is: (value: unknown) => boolean, least: number, most: number): number {
    const value = this.fields[field];
    if (is(value) && (value as number) >= least && (value as number) <= most) return value as number;
    const bounds = [
      ...(Math.abs(least) < Number.MAX_SAFE_INTEGER ? [`of at least ${least}`] : []),
      ...(Math.abs(most) < Number.MAX_SAFE_INTEGER ? [`of at most ${most}`] : []),
    ];
    const found = typeof value === 'number' ? `${value}` : kindOf(value);
    return this.refuse(
      field,
      `'${field}' must be ${[what, bounds.join(' and ')].filter(Boolean).join(' ')}, not ${found}.`,
    );
  }

  boolean(field: string): boolean {
    const value = this.fields[field];
    if (typeof value !== 'boolean') this.refuse(field, `'${field}' must be true or false, not ${kindOf(value)}.`);
    return value as boolean;
  }

  /** @param hints what to say about values that are often written by mistake */
  oneOf<T extends string>(field: string, choices: readonly T[], hints: Readonly<Record<string, string>> = {}): T {
    const value = this.string(field);
    const choice = choices.find((c) => c === value);
    if (choice === undefined) {
      const hint = Object.hasOwn(hints, value) ? ` ${hints[value]}` : '';
      throw new GraderConfigError(
        `'${field}' must be one of ${choices.join(', ')}, not '${value}'.${hint}`,
        `${this.param}.${field}`,
      );
    }
    return choice;
  }
}

export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
