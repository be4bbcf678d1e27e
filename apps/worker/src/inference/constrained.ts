import type { GenerateInput, GenerateRequest } from '@polymode/contracts';
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

/** How a request binds what its completions say. */
export interface Constrained {
  /** whether tool calls are read out of their text */
  readonly tools: boolean;
  /** what the next token of a completion of at most so many tokens may be; undefined: anything */
  allowed(maxTokens: number): SamplingOptions['allowed'];
}

/** @throws InferenceError 400 for a schema that cannot be followed, and for formats and tools that exclude each other */
export function constrained(model: LoadedModel, { input, format, model: name }: GenerateRequest): Constrained {
  const tools = input.type === 'chat' && input.toolChoice !== 'none' ? toolsOf(input) : [];
  if (input.type === 'chat' && tools.length > 0) {
    const { toolChoice, parallelToolCalls } = input;
    if (toolChoice !== 'auto') {
      // A function that is named is called once.
      const parallel = toolChoice === 'required' && parallelToolCalls;
      return { tools: true, allowed: bound(model, name, 'tools', { tools, choice: 'required', parallel }) };
    }
    if (format.type !== 'text') {
      throw new InferenceError(
        400,
        "response_format binds the whole answer, which leaves no room for the model to call tools; set tool_choice to 'none' or " +
          "'required', or leave response_format out",
        { param: 'response_format' },
      );
    }
    const strict = input.tools.some((tool) => tool.function.strict === true);
    if (!strict) return { tools: true, allowed: () => undefined };
    return {
      tools: true,
      allowed: bound(model, name, 'tools', { tools, choice: 'auto', parallel: parallelToolCalls }),
    };
  }
  if (format.type === 'text') return { tools: false, allowed: () => undefined };
  const schema = format.type === 'json_object' ? { type: 'object' } : format.schema;
  return { tools: false, allowed: bound(model, name, 'response_format', { schema }) };
}

/** The tools that may be called. @throws InferenceError 400 for a choice that is none of them */
function toolsOf({ tools, toolChoice }: Extract<GenerateInput, { type: 'chat' }>): Tool[] {
  const all = tools.map(({ function: called }) => ({ name: called.name, parameters: called.parameters }));
  if (typeof toolChoice === 'string') {
    if (toolChoice === 'required' && all.length === 0) {
      throw new InferenceError(400, "tool_choice is 'required', but there are no tools", { param: 'tool_choice' });
    }
    return all;
  }
  const named = all.filter((tool) => tool.name === toolChoice.name);
  if (named.length > 0) return named;
  throw new InferenceError(400, `tool_choice names '${toolChoice.name}', which is none of the tools`, {
    param: 'tool_choice',
  });
}

type Bond =
  | { readonly schema: unknown }
  | { readonly tools: readonly Tool[]; readonly choice: 'auto' | 'required'; readonly parallel: boolean };

/** Constraints by what they are made of, for each model: those used last, whose masks are known by then. */
const known = new WeakMap<LoadedModel, Map<string, Constraint>>();
const MOST_KNOWN = 16;

function bound(model: LoadedModel, name: string, param: string, bond: Bond): Constrained['allowed'] {
  const constraints = known.get(model) ?? new Map<string, Constraint>();
  known.set(model, constraints);
  const key = JSON.stringify(bond);
  const constraint = constraints.get(key) ?? compile(model, name, param, bond);
  // Maps keep the order of insertion: what is used goes to the end.
  constraints.delete(key);
  constraints.set(key, constraint);
  for (const oldest of constraints.keys()) {
    if (constraints.size <= MOST_KNOWN) break;
    constraints.delete(oldest);
  }
  return (maxTokens) => constraint.allowed({ maxTokens });
}

function compile({ tokenizer, policy }: LoadedModel, name: string, param: string, bond: Bond): Constraint {
  const options = { vocabularySize: policy.config.vocabSize };
  try {
    return 'schema' in bond
      ? compileConstraint(bond.schema, tokenizer, options)
      : compileToolConstraint(bond.tools, tokenizer, { ...options, choice: bond.choice, parallel: bond.parallel });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const problem = cause instanceof SchemaError ? reason : `${name} cannot be kept to a format: ${reason}`;
    throw new InferenceError(400, problem, { param, cause });
  }
}
