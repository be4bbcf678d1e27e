/**
 * Tools for chat templates that have no place for them. What the template cannot say is said in the messages' own text, in the
 * manner of Hermes' and Qwen's templates: tools listed in `<tools>`, calls written as `<tool_call>`, results as `<tool_response>`.
 * Templates that have calls written in another way, as Llama 3's and Mistral's have, are not asked to: calls are read in this one.
 */
import { type ChatMessage, textOf } from './chat-messages.js';

/** What a template writes of a conversation. @throws Error where it refuses one */
export type Render = (messages: readonly ChatMessage[], tools?: readonly unknown[]) => string;

/** What a template has a place for. */
export interface TemplatePlaces {
  readonly system: boolean;
  /** a list of tools, to be called in `<tool_call>` */
  readonly tools: boolean;
  /** calls of earlier answers, in `<tool_call>`, and with them what the calls came to */
  readonly calls: boolean;
}

const OPEN = '<tool_call>';
const [NAME, VALUE, RULE] = ['probe_of_tools', 'probe of arguments', 'probe of rules'];
const QUESTION: ChatMessage = { role: 'user', content: 'Go.' };
const TOOL = {
  type: 'function',
  function: { name: NAME, description: 'Goes.', parameters: { type: 'object', properties: {} } },
};
// Nine letters: some templates refuse other ids.
const CALL = { id: 'abcdefghi', type: 'function', function: { name: NAME, arguments: { of: VALUE } } };
const CALLING: ChatMessage = { role: 'assistant', content: '', tool_calls: [CALL] };
const RESULT: ChatMessage = { role: 'tool', tool_call_id: CALL.id, name: NAME, content: 'Gone.' };

/** Found out by trying, since templates are programs. */
export function placesOf(render: Render): TemplatePlaces {
  const shows = (texts: readonly string[], messages: readonly ChatMessage[], tools?: readonly unknown[]): boolean => {
    try {
      const written = render(messages, tools);
      return texts.every((text) => written.includes(text));
    } catch {
      return false;
    }
  };
  return {
    system: shows([RULE], [{ role: 'system', content: RULE }, QUESTION]),
    tools: shows([NAME, OPEN], [QUESTION], [TOOL]),
    // Some refuse a conversation that does not begin with a question, and some a message without calls.
    calls: shows([VALUE, OPEN], [QUESTION, CALLING, RESULT]) || shows([VALUE, OPEN], [CALLING]),
  };
}

/** The conversation, and the tools, as the template is given them; nothing is lost but what the template itself leaves out. */
export function withToolsInText(
  messages: readonly ChatMessage[],
  tools: readonly unknown[] | undefined,
  places: TemplatePlaces,
): { readonly messages: readonly ChatMessage[]; readonly tools: readonly unknown[] | undefined } {
  const spoken = places.calls ? messages : callsInText(messages);
  if (tools === undefined || tools.length === 0) return { messages: spoken, tools: undefined };
  if (places.tools) return { messages: spoken, tools };
  return { messages: instructed(spoken, listOf(tools), places), tools: undefined };
}

function listOf(tools: readonly unknown[]): string {
  return `You may call functions. These are there, one a line:
<tools>
${tools.map((tool) => JSON.stringify(tool)).join('\n')}
</tools>
To call one, write its name and arguments as JSON, like this, once for each call:
<tool_call>
{"name": "the function's name", "arguments": {"an argument": "its value"}}
</tool_call>
Results come as <tool_response>.`;
}

/** Added to what the system says, or before all; where there is no system, to what the user says first. */
function instructed(messages: readonly ChatMessage[], text: string, { system }: TemplatePlaces): ChatMessage[] {
  const role = system ? 'system' : 'user';
  const at = system ? (messages[0]?.role === 'system' ? 0 : -1) : messages.findIndex((m) => m.role === 'user');
  const message = messages[at];
  if (message === undefined) return [{ role, content: text }, ...messages];
  const said = textOf(message.content);
  return messages.with(at, { ...message, content: system ? `${said}\n\n${text}` : `${text}\n\n${said}` });
}

/** Results that follow each other are one message: templates want the user and the assistant to take turns. */
function callsInText(messages: readonly ChatMessage[]): ChatMessage[] {
  const spoken: ChatMessage[] = [];
  for (const [i, message] of messages.entries()) {
    if (message.role === 'tool') {
      const result = `<tool_response>\n${textOf(message.content)}\n</tool_response>`;
      const before = messages[i - 1]?.role === 'tool' ? spoken.pop() : undefined;
      spoken.push({ role: 'user', content: before === undefined ? result : `${textOf(before.content)}\n${result}` });
      continue;
    }
    const { tool_calls: _, ...rest } = message;
    spoken.push({ ...rest, content: saidWithCalls(message) });
  }
  return spoken;
}

/** What a message says, its calls too. */
export function saidWithCalls({ content, tool_calls: calls }: ChatMessage): string {
  const lines = [textOf(content), ...(Array.isArray(calls) ? calls.map(callInText) : [])];
  return lines.filter((line) => line !== '').join('\n');
}

function callInText(call: unknown): string {
  const { name, arguments: given } = (call as { function: { name: unknown; arguments: unknown } }).function;
  // As JSON, as the model once wrote it, or as an object.
  const json = typeof given === 'string' ? given : JSON.stringify(given ?? {});
  return `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": ${json}}\n</tool_call>`;
}
