import { type Grader, GraderConfigError } from '../grader.js';
import { JudgeClient } from '../judge/client.js';
import { judgementInstruction, judgementSchema, readResult } from '../judge/judgement.js';
import { compileMessages } from '../judge/messages.js';
import { readSampling } from '../judge/sampling.js';
import type { GraderServices } from '../services.js';
import { work } from '../thread/index.js';
import type { Definition } from './definition.js';

/** How a type of model grader differs from the others. */
export interface Judgement {
  /** fields of the definition beside those of all model graders, as written out */
  readonly config: Readonly<Record<string, unknown>>;
  /** JSON schema of the result, and the same in words */
  readonly schema: object;
  readonly words: string;
  /** @throws GraderRuntimeError `model_grader_parse_error` for a result that is none */
  reward(result: unknown): number;
}

/** The reward that a model gives which is asked about the answer. */
export function modelGrader(
  type: string,
  definition: Definition,
  services: GraderServices,
  { config: own, schema, words, reward }: Judgement,
): Grader {
  const name = definition.name();
  const model = definition.nonEmptyString('model');
  const input = compileMessages(definition.value('input'), `${definition.param}.input`);
  const sampling = readSampling(definition.value('sampling_params'), `${definition.param}.sampling_params`);
  const client = new JudgeClient(judgeOf(type, definition, services));
  const request = { model, schema: judgementSchema(schema), sampling: sampling.request };
  const instruction = judgementInstruction(words);
  return {
    config: {
      type,
      name,
      model,
      input: definition.value('input'),
      ...own,
      ...(definition.has('sampling_params') && { sampling_params: sampling.config }),
    },
    name,
    type,
    defaultOutcome: { type: 'text' },
    checkItem: (item) => input.checkItem(item),
    async grade(sample, item, options) {
      const here = (): Uint8Array => Buffer.from(JSON.stringify(input.fill(sample, item, instruction)));
      const told = { input: definition.value('input'), instruction };
      const messages = await work('messages', sample, item, told, here, options);
      const { text, usage } = await client.ask({ ...request, messages }, options?.signal);
      return { reward: reward(readResult(text)), usage: { [model]: usage } };
    },
  };
}

function judgeOf(type: string, { param }: Definition, { judge }: GraderServices): NonNullable<GraderServices['judge']> {
  if (judge !== undefined) return judge;
  throw new GraderConfigError(
    `Graders of type '${type}' need a model to ask, and none is set up here. Set POLYMODE_JUDGE_BASE_URL, and ` +
      "POLYMODE_JUDGE_API_KEY if it wants a key, for the API and the workers; or POLYMODE_API_URL, for our API's own models.",
    `${param}.type`,
  );
}
