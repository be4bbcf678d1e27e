import type { ChatMessage, GenerateInput } from '@polymode/contracts';

type AskedMessage = Extract<GenerateInput, { type: 'chat' }>['messages'][number];

/**
 * Messages as chat templates know them: what is null is left out, refusals are what was said, and the functions that tools
 * were before are tools.
 */
export function messagesForTemplate(messages: readonly ChatMessage[]): AskedMessage[] {
  return messages.map((message) => {
    if (message.role === 'function') return { ...message, role: 'tool', content: message.content ?? '' };
    if (message.role !== 'assistant') return present(message);
    const { function_call: call, tool_calls: calls, refusal, content, ...rest } = message;
    const called = call == null ? (calls ?? []) : [{ type: 'function', function: call }];
    return present({
      ...rest,
      content: content == null ? (refusal ?? null) : typeof content === 'string' ? content : content.map(said),
      ...(called.length > 0 && { tool_calls: called }),
    });
  });
}

type Part = { type: 'text'; text: string } | { type: 'refusal'; refusal: string };

function said(part: Part): object {
  return part.type === 'text' ? part : { type: 'text', text: part.refusal };
}

function present<Message extends { role: string; content: unknown }>({
  role,
  content,
  ...rest
}: Message): AskedMessage {
  const others = Object.entries(rest).filter(([, value]) => value != null);
  return { role, content: content ?? '', ...Object.fromEntries(others) };
}
