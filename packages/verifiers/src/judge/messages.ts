import { GraderConfigError, type Item, type ItemProblem, type Sample } from '../grader.js';
import { Definition, kindOf } from '../graders/definition.js';
import { compileTemplate, type Template } from '../template.js';

/** As chat completions take them. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string | readonly object[];
}

/** Messages with templates in them. */
export interface MessageTemplates {
  checkItem(item: Item): ItemProblem[];
  /** @param instruction goes to the end of the first system message, or into one of its own */
  fill(sample: Sample, item: Item, instruction: string): ChatMessage[];
}

interface Part {
  readonly templates: readonly Template[];
  /** a text, or a part that is none */
  fill(sample: Sample, item: Item): string | object;
}

const ROLES = ['system', 'developer', 'user', 'assistant'];

/**
 * `input` of a model grader.
 *
 * @param messages `[{role, content}]`; content is a text, a block or an array of both
 * @throws GraderConfigError
 */
export function compileMessages(messages: unknown, param: string): MessageTemplates {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new GraderConfigError(`'input' must be an array of at least one message, {"role": …, "content": …}.`, param);
  }
  const compiled = messages.map((message, i) => compileMessage(message, `${param}[${i}]`));
  const templates = compiled.flatMap(({ parts }) => parts.flatMap((part) => part.templates));
  return {
    checkItem: (item) => templates.flatMap((template) => template.checkItem(item)),
    fill(sample, item, instruction) {
      const filled = compiled.map(({ role, parts }) => ({
        role,
        content: joined(parts.map((part) => part.fill(sample, item))),
      }));
      const [first, ...others] = filled;
      if (first?.role === 'system' && typeof first.content === 'string') {
        return [{ role: 'system', content: `${first.content}\n\n${instruction}` }, ...others];
      }
      return [{ role: 'system', content: instruction }, ...filled];
    },
  };
}

function compileMessage(message: unknown, param: string): { role: string; parts: Part[] } {
  const definition = definitionOf(message, param, 'A message');
  definition.onlyFields(['role', 'content', 'type']);
  if (definition.has('type')) definition.oneOf('type', ['message']);
  const role = definition.oneOf('role', ROLES);
  const content = definition.value('content');
  const blocks = Array.isArray(content) ? content : [content];
  if (blocks.length === 0) definition.refuse('content', `'content' must hold at least one block.`);
  const parts = blocks.map((block, i) =>
    compilePart(block, Array.isArray(content) ? `${param}.content[${i}]` : `${param}.content`),
  );
  // Servers other than OpenAI's know no developers, and OpenAI's takes the two as one.
  return { role: role === 'developer' ? 'system' : role, parts };
}

function compilePart(block: unknown, param: string): Part {
  if (typeof block === 'string') return textPart(block, param);
  const definition = definitionOf(block, param, 'A block');
  switch (definition.oneOf('type', ['input_text', 'output_text', 'input_image', 'input_audio'])) {
    case 'input_image': {
      definition.onlyFields(['type', 'image_url', 'detail']);
      const url = compileTemplate(definition.nonEmptyString('image_url'), `${param}.image_url`);
      const detail = definition.has('detail') ? definition.string('detail') : undefined;
      return {
        templates: [url],
        fill: (sample, item) => ({ type: 'image_url', image_url: { url: url.fill(sample, item), detail } }),
      };
    }
    case 'input_audio': {
      definition.onlyFields(['type', 'input_audio']);
      const audio = definitionOf(definition.value('input_audio'), `${param}.input_audio`, 'input_audio');
      audio.onlyFields(['data', 'format']);
      const data = compileTemplate(audio.nonEmptyString('data'), `${audio.param}.data`);
      const format = audio.oneOf('format', ['mp3', 'wav']);
      return {
        templates: [data],
        fill: (sample, item) => ({ type: 'input_audio', input_audio: { data: data.fill(sample, item), format } }),
      };
    }
    default:
      definition.onlyFields(['type', 'text']);
      return textPart(definition.string('text'), `${param}.text`);
  }
}

function textPart(source: string, param: string): Part {
  const template = compileTemplate(source, param);
  return { templates: [template], fill: (sample, item) => template.fill(sample, item) };
}

/** Texts alone are one text, which every server takes. */
function joined(parts: readonly (string | object)[]): string | object[] {
  const texts = parts.filter((part) => typeof part === 'string');
  if (texts.length === parts.length) return texts.join('\n');
  return parts.map((part) => (typeof part === 'string' ? { type: 'text', text: part } : part));
}

function definitionOf(value: unknown, param: string, what: string): Definition {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return new Definition(value as Record<string, unknown>, param);
  }
  throw new GraderConfigError(`${what} must be an object, not ${kindOf(value)}.`, param);
}
