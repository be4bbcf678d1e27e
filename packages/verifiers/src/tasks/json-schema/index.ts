import { canonicalJson } from '../../sample.js';
import { defineTask } from '../define-task.js';
import { answerFromKey, type JsonAnswer, parseAnswer } from './answer.js';
import { compileSchema } from './compile.js';
import { draws, type JsonSchemaOptions } from './draws.js';
import { asInstance, checkItem, type JsonSchemaInstance } from './item.js';
import { compactPrompt, fullPrompt } from './prompts.js';
import { acceptedValues } from './values.js';

/**
 * JSON that a schema accepts. Answers that are the same value are the same answer, however they are laid out.
 *
 * The admissible set is exact for schemas that accept finitely many values; the others are graded and not listed.
 */
export const jsonSchemaTask = defineTask<JsonSchemaInstance, JsonAnswer, JsonSchemaOptions>({
  name: 'text/json-schema',
  checkItem,
  asInstance,
  instances: draws,
  prompt: (instance, style) => (style === 'full' ? fullPrompt(instance) : compactPrompt(instance)),
  parse: parseAnswer,
  verify: ({ value }, { schema }) => compileSchema(schema).accepts(value),
  key: ({ value }) => canonicalJson(value),
  render: (answer) => canonicalJson((typeof answer === 'string' ? answerFromKey(answer) : answer).value),
  admissibleSet: ({ schema }) => acceptedValues(compileSchema(schema)),
});
