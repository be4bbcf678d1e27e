import { z } from 'zod';

const ONLY_TEXT = 'Models here read text: expected {"type": "text", "text": …}.';

const TextPart = z.object({ type: z.literal('text'), text: z.string() });
const RefusalPart = z.object({ type: z.literal('refusal'), refusal: z.string() });

const textContent = z.union([
  z.string(),
  z.array(z.discriminatedUnion('type', [TextPart], { error: ONLY_TEXT })).min(1),
]);
const assistantContent = z.union([
  z.string(),
  z.array(z.discriminatedUnion('type', [TextPart, RefusalPart], { error: ONLY_TEXT })).min(1),
]);
const name = z.string().nullish();

/** A call that a model made of a function: `arguments` is JSON, as the model wrote it. */
const FunctionCall = z.object({ name: z.string(), arguments: z.string() });

const AssistantMessage = z
  .object({
    role: z.literal('assistant'),
    content: assistantContent.nullish(),
    refusal: z.string().nullish(),
    tool_calls: z.array(z.object({ id: z.string(), type: z.literal('function'), function: FunctionCall })).nullish(),
    function_call: FunctionCall.nullish(),
    name,
  })
  .refine(
    ({ content, refusal, tool_calls, function_call }) =>
      content != null || refusal != null || function_call != null || (tool_calls ?? []).length > 0,
    { path: ['content'], error: "Expected a text, unless the message has 'tool_calls'." },
  );

/** A message of a conversation. Answers of this API may be sent back as they came. */
export const ChatMessage = z.discriminatedUnion(
  'role',
  [
    z.object({ role: z.literal('developer'), content: textContent, name }),
    z.object({ role: z.literal('system'), content: textContent, name }),
    z.object({ role: z.literal('user'), content: textContent, name }),
    AssistantMessage,
    z.object({ role: z.literal('tool'), content: textContent, tool_call_id: z.string() }),
    z.object({ role: z.literal('function'), content: z.string().nullable(), name: z.string() }),
  ],
  {
    error: "Expected a message of role 'developer', 'system', 'user', 'assistant', 'tool' or 'function'.",
  },
);
export type ChatMessage = z.infer<typeof ChatMessage>;
