import { z } from 'zod';
import { Identifier } from './sampling.js';

/** A function that the model may call; `parameters` is a JSON Schema of its arguments. */
const FunctionDefinition = z.object({
  name: Identifier,
  description: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
});

const FunctionTool = z.object({
  type: z.literal('function', { error: "Tools are functions: expected the type 'function'." }),
  function: FunctionDefinition,
});
export type FunctionTool = z.infer<typeof FunctionTool>;

const NamedFunction = z.object({ type: z.literal('function'), function: z.object({ name: z.string() }) });

/** A choice among tools: all of them, one, or some. */
const ToolChoice = z.union([
  z.discriminatedUnion(
    'type',
    [
      NamedFunction,
      z.object({
        type: z.literal('allowed_tools'),
        allowed_tools: z.object({ mode: z.enum(['auto', 'required']), tools: z.array(NamedFunction).min(1) }),
      }),
    ],
    { error: "Expected the type 'function' or 'allowed_tools'." },
  ),
  z.enum(['none', 'auto', 'required']),
]);
export type ToolChoice = z.infer<typeof ToolChoice>;

export const toolFields = {
  tools: z.array(FunctionTool).max(128).nullish(),
  /** Which tool is called; `auto`, the model decides, when left out. */
  tool_choice: ToolChoice.nullish(),
  /** Whether the model may call several at once; true when left out. */
  parallel_tool_calls: z.boolean().nullish(),
  /** What `tools` were before. */
  functions: z.array(FunctionDefinition).min(1).max(128).nullish(),
  /** What `tool_choice` was before. */
  function_call: z.union([z.object({ name: z.string() }), z.enum(['none', 'auto'])]).nullish(),
};
