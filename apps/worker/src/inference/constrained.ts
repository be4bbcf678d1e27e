import type { GenerateInput, GenerateRequest, OutputFormat } from '@polymode/contracts';
import {
  type Constraint,
  compileConstraint,
  compileToolConstraint,
  type SamplingOptions,
  SchemaError,
  type Tool,
} from '@polymode/policy';
import { InferenceError } from './inference-error.js';
import type { LoadedModel } from './model-pool.js';

type ChatInput = Extract<GenerateInput, { type: 'chat' }>;
type AskedTool = ChatInput['tools'][number];

/** How a request binds what its completions say. */
export interface Constrained {
  /** whether tool calls are read out of their text */
  readonly tools: boolean;
  /** what the next token of a completion of at most so many tokens may be; undefined: anything */
  allowed(maxTokens: number): SamplingOptions['allowed'];
}

/** @throws InferenceError 400 for a schema that cannot be followed, and for a choice among tools that are not there */
export function constrained(model: LoadedModel, { input, format, model: name }: GenerateRequest): Constrained {
  const answer = schemaOf(format);
  const tools = input.type === 'chat' && input.toolChoice !== 'none' ? toolsOf(input) : [];
  if (input.type !== 'chat' || tools.length === 0) {
    return { tools: false, allowed: bound(model, name, answer === undefined ? null : { answer }) };
  }
  const { toolChoice, parallelToolCalls } = input;
  if (toolChoice !== 'auto') {
    // A function that is named is called once.
    const parallel = toolChoice === 'required' && parallelToolCalls;
    return { tools: true, allowed: bound(model, name, { tools: tools.map(strictly), choice: 'required', parallel }) };
  }
  const free = answer === undefined && !tools.some((tool) => tool.function.strict === true);
  const asked = tools.map((tool) => (tool.function.strict === true ? strictly(tool) : loosely(tool)));
  const bond: Bond = { tools: asked, choice: 'auto', parallel: parallelToolCalls, answer };
  return { tools: true, allowed: bound(model, name, free ? null : bond) };
}

function schemaOf(format: OutputFormat): unknown {
  if (format.type === 'text') return undefined;
  return format.type === 'json_object' ? { type: 'object' } : format.schema;
}

const strictly = ({ function: { name, parameters } }: AskedTool): Tool => ({ name, parameters });
const loosely = ({ function: { name } }: AskedTool): Tool => ({ name });

/** The tools that may be called. @throws InferenceError 400 for a choice that is none of them */
function toolsOf({ tools, toolChoice }: ChatInput): readonly AskedTool[] {
  if (typeof toolChoice === 'string') {
    if (toolChoice === 'required' && tools.length === 0) {
      throw new InferenceError(400, "tool_choice is 'required', but there are no tools", { param: 'tool_choice' });
    }
    return tools;
  }
  const named = tools.filter((tool) => tool.function.name === toolChoice.name);
  if (named.length > 0) return named;
  throw new InferenceError(400, `tool_choice names '${toolChoice.name}', which is none of the tools`, {
    param: 'tool_choice',
  });
}

type Bond =
  | { readonly answer: unknown; readonly tools?: undefined }
  | {
      readonly tools: readonly Tool[];
      readonly choice: 'auto' | 'required';
      readonly parallel: boolean;
      /** schema of an answer without calls; undefined: any text */
      readonly answer?: unknown;
    };

/** Constraints by what they are made of, for each model: those used last, whose masks are known by then. */
const known = new WeakMap<LoadedModel, Map<string, Constraint>>();
const MOST_KNOWN = 16;

/** @param bond null for none */
function bound(model: LoadedModel, name: string, bond: Bond | null): Constrained['allowed'] {
  if (bond === null) return () => undefined;
  const constraints = known.get(model) ?? new Map<string, Constraint>();
  known.set(model, constraints);
  const key = JSON.stringify(bond);
  const constraint = constraints.get(key) ?? compile(model, name, bond);
  // Maps keep the order of insertion: what is used goes to the end.
  constraints.delete(key);
  constraints.set(key, constraint);
  for (const oldest of constraints.keys()) {
    if (constraints.size <= MOST_KNOWN) break;
    constraints.delete(oldest);
  }
  return (maxTokens) => constraint.allowed({ maxTokens });
}

function compile({ tokenizer, policy }: LoadedModel, name: string, bond: Bond): Constraint {
  const options = { vocabularySize: policy.config.vocabSize };
  try {
    return bond.tools === undefined
      ? compileConstraint(bond.answer, tokenizer, options)
      : compileToolConstraint(bond.tools, tokenizer, { ...options, ...bond });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const problem = cause instanceof SchemaError ? reason : `${name} cannot be kept to a format: ${reason}`;
    // Places in tools begin with a tool's number, places in a schema with a keyword.
    const inTools = bond.tools !== undefined && !(cause instanceof SchemaError && !/^\/\d/.test(cause.pointer));
    throw new InferenceError(400, problem, { param: inTools ? 'tools' : 'response_format', cause });
  }
}
