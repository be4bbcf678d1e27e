import { type Grader, GraderConfigError, type GraderErrorKind, GraderRuntimeError } from '../grader.js';
import { frame } from '../sandbox/frames.js';
import type { SandboxFailure } from '../sandbox/index.js';
import { LONGEST_TIMEOUT_MS, SOURCE_LIMIT_BYTES } from '../sandbox/limits.js';
import type { GraderServices } from '../services.js';
import { work } from '../thread/index.js';
import type { Definition, GraderFactory } from './definition.js';

type Language = 'python' | 'javascript';

const ERRORS: Readonly<Record<Language, { runtime: GraderErrorKind; server: GraderErrorKind }>> = {
  python: { runtime: 'python_grader_runtime_error', server: 'python_grader_server_error' },
  javascript: { runtime: 'javascript_grader_runtime_error', server: 'javascript_grader_server_error' },
};

/** OpenAI's names of its Python images. Ours has the standard library, so any of them is taken and none is needed. */
const PYTHON_FIELDS = ['image_tag'];

/**
 * Graders that users write: `grade(sample, item)` in Python returns a number; `grade({ sample, item })`, exported from a
 * JavaScript module, a number or `{ reward, outcome }`. Each call runs in a sandbox, as if nothing had run there before.
 *
 * Fields: `source`, below 256 KiB; `timeout_ms` (ours), at most two minutes, the sandbox's own where it is left out.
 */
export const userCode =
  (language: Language): GraderFactory =>
  (definition, services) => {
    const extra = language === 'python' ? PYTHON_FIELDS : [];
    definition.onlyFields(['type', 'name', 'source', ...extra, 'timeout_ms']);
    const config = {
      type: language,
      name: definition.name(),
      source: definition.nonEmptyString('source'),
      ...(definition.has('image_tag') ? { image_tag: definition.string('image_tag') } : {}),
      ...(definition.has('timeout_ms') ? { timeout_ms: definition.integer('timeout_ms', 1, LONGEST_TIMEOUT_MS) } : {}),
    };
    const bytes = Buffer.byteLength(config.source);
    if (bytes >= SOURCE_LIMIT_BYTES) {
      definition.refuse('source', `'source' has ${bytes} bytes, but must have fewer than ${SOURCE_LIMIT_BYTES}.`);
    }
    const sandboxes = sandboxesOf(services, definition, language);
    const timeoutMs = config.timeout_ms ?? sandboxes.settings.timeoutMs;
    const { source } = config;
    const run = (request: Uint8Array, signal?: AbortSignal) =>
      sandboxes[language].run({ source, timeoutMs, request }, signal);

    return {
      config,
      name: config.name,
      type: language,
      checkItem: () => [],
      async check(options) {
        const answer = await run(frame({ kind: 'check', source, timeoutMs }), options?.signal);
        if (answer.ok) return;
        const { failure } = answer;
        if (failure.kind === 'unavailable') throw errorOf(language, failure);
        throw new GraderConfigError(`The source cannot be used: ${failure.message}`, `${definition.param}.source`);
      },
      async grade(sample, item, options) {
        const here = (): Uint8Array => frame({ kind: 'grade', source, input: { sample, item }, timeoutMs });
        const request = await work('frame', sample, item, { source, timeoutMs }, here, options);
        const answer = await run(request, options?.signal);
        if (!answer.ok) throw errorOf(language, answer.failure);
        const { reward, outcome } = answer;
        return outcome === undefined ? { reward } : { reward, outcome };
      },
    } satisfies Grader;
  };

function sandboxesOf(
  { sandboxes }: GraderServices,
  definition: Definition,
  language: Language,
): NonNullable<GraderServices['sandboxes']> {
  return (
    sandboxes ?? definition.refuse('type', `Graders of type '${language}' need a sandbox, and there is none here.`)
  );
}

/** What the source did is its own error; what became of the sandbox is the server's. */
function errorOf(language: Language, { kind, message, details }: SandboxFailure): GraderRuntimeError {
  const own = kind === 'definition' || kind === 'runtime';
  return new GraderRuntimeError(message, own ? ERRORS[language].runtime : ERRORS[language].server, {
    details,
    ...(own ? {} : { reason: kind }),
  });
}
