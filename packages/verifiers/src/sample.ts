import type { Sample } from './grader.js';
import { NEAR_CHARACTERS } from './thread/long.js';
import { readToolCalls, type ToolCall } from './tool-calls.js';

/** Nothing that anybody wants to read nests deeper, and what walks through it may call itself so often. */
const DEEPEST_JSON = 500;

interface Written {
  readonly text: string;
  readonly finishReason: 'stop' | 'length';
}

const written = new WeakMap<Sample, Written>();

/** Everything that graders may read of an answer, from its text. What a long text holds is found when it is first read. */
export function sampleOf(text: string, finishReason: 'stop' | 'length' = 'stop'): Sample {
  const sample = text.length > NEAR_CHARACTERS ? unread({ text, finishReason }) : read({ text, finishReason });
  written.set(sample, { text, finishReason });
  return sample;
}

/** What `sampleOf` made the sample from; undefined when it did not make it. */
export function textOf(sample: Sample): Written | undefined {
  return written.get(sample);
}

function read({ text, finishReason }: Written): Sample {
  const json = parsed(text);
  const calls = readToolCalls(text);
  return {
    output_text: text,
    ...(json === undefined ? {} : { output_json: json }),
    output_tools: calls.calls,
    choices: [choiceOf(calls, finishReason)],
  };
}

function unread({ text, finishReason }: Written): Sample {
  let json: { value: unknown } | null = null;
  let calls: ReturnType<typeof readToolCalls> | null = null;
  const called = (): ReturnType<typeof readToolCalls> => {
    calls ??= readToolCalls(text);
    return calls;
  };
  return {
    output_text: text,
    get output_json() {
      json ??= { value: parsed(text) };
      return json.value;
    },
    get output_tools() {
      return called().calls;
    },
    get choices() {
      return [choiceOf(called(), finishReason)];
    },
  };
}

function choiceOf(
  { calls, rest }: { readonly calls: readonly ToolCall[]; readonly rest: string },
  finishReason: Written['finishReason'],
): object {
  const called = calls.length > 0;
  return {
    index: 0,
    message: { role: 'assistant', content: rest, ...(called && { tool_calls: calls }) },
    finish_reason: called && finishReason === 'stop' ? 'tool_calls' : finishReason,
  };
}

/** undefined when the text is no JSON, or JSON of more than 500 levels */
export function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return isDeeper(value, DEEPEST_JSON) ? undefined : value;
  } catch {
    return undefined;
  }
}

/** Whether a value of plain JSON nests deeper than so many levels. */
export function isDeeper(value: unknown, levels: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > levels) return true;
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? Object.values(one) : []));
  }
  return false;
}

/** JSON with the keys of every object in one order and without spaces: equal values, equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`).join(',')}}`;
}
