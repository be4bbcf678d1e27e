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
  return content
    .map((part: unknown) => (typeof part === 'object' && part !== null && 'text' in part ? String(part.text) : ''))
    .join('');
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
