import { createTrainer, type ReinforcementOptions, type Trainer, TrainerInputError } from '@polymode/trainer';
import { compileGrader } from '@polymode/verifiers';
import { afterEach, describe, expect, it } from 'vitest';
import { smallJob } from './small-job.js';

const open: Trainer[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((t) => t.close()));
});

async function start(options: Partial<ReinforcementOptions>, overrides = {}): Promise<Trainer> {
  const trainer = await createTrainer({ ...smallJob(overrides), ...options });
  open.push(trainer);
  return trainer;
}

const schema = {
  type: 'object',
  properties: { pick: { enum: [1, 2, 3] }, sure: { type: 'boolean' } },
  required: ['pick', 'sure'],
  additionalProperties: false,
};
const picksTwo = compileGrader({
  ...{ type: 'string_check', name: 'two', operation: 'eq' },
  ...{ input: '{{sample.output_json.pick}}', reference: '2' },
});

describe('a format of completions', () => {
  it('is kept by every completion, in training and validation, while the policy learns within it', async () => {
    // The model that ships has never seen JSON: without the schema not one answer has the form.
    const trainer = await start(
      { completionSchema: schema, grader: picksTwo },
      { max_completion_tokens: 40, max_steps: 12, learning_rate: 3e-3 },
    );
    const rewards: number[] = [];
    for (let step = 0; step < 12; step++) {
      const { groups, graderErrors, warnings } = await trainer.runStep();
      expect([graderErrors, warnings]).toEqual([{}, []]);
      const answers = groups.flatMap(({ completions }) => completions);
      for (const { text, finishReason, reward } of answers) {
        const said = JSON.parse(text) as { pick: number; sure: boolean };
        expect([Object.keys(said), finishReason]).toEqual([['pick', 'sure'], 'stop']);
        expect([1, 2, 3]).toContain(said.pick);
        expect(typeof said.sure).toBe('boolean');
        expect(reward).toBe(said.pick === 2 ? 1 : 0);
      }
      rewards.push(answers.reduce((sum, { reward }) => sum + reward!, 0) / answers.length);
    }
    const mean = (part: number[]): number => part.reduce((a, b) => a + b, 0) / part.length;
    expect(mean(rewards.slice(-3))).toBeGreaterThan(mean(rewards.slice(0, 3)) + 0.2);
  });

  it('warns when answers may be cut before their end', async () => {
    const trainer = await start({ completionSchema: schema, grader: picksTwo }, { max_completion_tokens: 4 });
    expect(trainer.warnings).toEqual([expect.stringContaining('Raise max_completion_tokens')]);
  });

  it('that cannot be kept to ends the job with the place in the schema', async () => {
    const cannot = start({ completionSchema: { type: 'string', not: { const: 'a' } } });
    await expect(cannot).rejects.toThrow(TrainerInputError);
    await expect(cannot).rejects.toMatchObject({
      code: 'invalid_json_schema',
      param: 'method.reinforcement.response_format',
      message: expect.stringContaining('not'),
    });
  });
});
