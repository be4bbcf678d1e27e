/** A message as templates read it; tool calls and names go with it. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [key: string]: unknown;
}

/** A message's text: a string, or the text parts of a list of parts. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return content === null || content === undefined ? '' : JSON.stringify(content);
  return content.map((part: unknown) => partText((part ?? {}) as Record<string, unknown>)).join('');
}

function partText({ text, refusal }: Record<string, unknown>): string {
  return String(text ?? refusal ?? '');
}

/**
 * A message in the terms that templates know: what is null is left out, a refusal is what was said, the developer speaks as
 * the system, and functions, which tools were before they were tools, are tools.
 */
export function presentMessage(message: ChatMessage): ChatMessage {
  const { role, content, refusal, function_call: call, tool_calls: calls, ...rest } = message;
  const present = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null && value !== undefined));
  const called = call ? [{ type: 'function', function: call }] : calls;
  return {
    ...present,
    role: PRESENT_ROLES[role] ?? role,
    content: content ?? refusal ?? '',
    ...(Array.isArray(called) && called.length > 0 && { tool_calls: called }),
  };
}

const PRESENT_ROLES: Readonly<Record<string, string>> = { developer: 'system', function: 'tool' };

/** Tools of a row or request that has them, or `functions` as they were before. */
export function presentTools({
  tools,
  functions,
}: {
  readonly tools?: unknown;
  readonly functions?: unknown;
}): readonly unknown[] | undefined {
  if (Array.isArray(tools)) return tools;
  return Array.isArray(functions) ? functions.map((one) => ({ type: 'function', function: one })) : undefined;
}

/** Templates read text, and the arguments of a tool call as an object, which OpenAI's clients send as its JSON. */
export function templateMessage(message: ChatMessage): ChatMessage & { content: string } {
  const calls = message.tool_calls;
  return {
    ...message,
    content: textOf(message.content),
    ...(Array.isArray(calls) ? { tool_calls: calls.map(withParsedArguments) } : {}),
  };
}

function withParsedArguments(call: unknown): unknown {
  const { function: called } = (call ?? {}) as { function?: { arguments?: unknown } };
  if (typeof called?.arguments !== 'string') return call;
  try {
    return { ...(call as object), function: { ...called, arguments: JSON.parse(called.arguments) as unknown } };
  } catch {
    return call; // the template gets to see what the model once said
  }
}
