import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileGrader, GraderConfigError, gradeAll, sampleOf } from '@polymode/verifiers';
import { describe, expect, it } from 'vitest';

interface Fixture {
  pairs: { candidate: string; reference: string; scores: Record<string, number> }[];
  stems: Record<string, string>;
}

const path = new URL('./fixtures/text-similarity/pairs.json', import.meta.url);
const { pairs } = JSON.parse(readFileSync(path, 'utf8')) as Fixture;

const grader = (evaluation_metric: string, change: object = {}) =>
  compileGrader({
    type: 'text_similarity',
    name: 'alike',
    input: '{{sample.output_text}}',
    reference: '{{item.reference}}',
    evaluation_metric,
    ...change,
  });

const metrics = ['fuzzy_match', 'bleu', 'gleu', 'meteor', ...[1, 2, 3, 4, 5, 'l'].map((n) => `rouge_${n}`)];

describe('text_similarity', () => {
  it('is proven on 200 pairs, a third of them beyond ASCII', () => {
    expect(pairs).toHaveLength(200);
    const beyond = pairs.filter(({ candidate, reference }) => /[^\0-\x7f]/.test(candidate + reference));
    expect(beyond.length).toBeGreaterThan(66);
    for (const metric of metrics) {
      const scores = pairs.map((one) => one.scores[metric]!);
      expect(scores.filter((score) => score > 0 && score < 1).length, metric).toBeGreaterThan(60);
    }
  });

  it.each(metrics)('%s is what its reference implementation says, to 1e-6', async (metric) => {
    const alike = grader(metric);
    const wrong: unknown[] = [];
    for (const { candidate, reference, scores } of pairs) {
      const { reward } = await alike.grade({ output_text: candidate }, { reference });
      if (!(Math.abs(reward - scores[metric]!) < 1e-6))
        wrong.push({ candidate, reference, reward, expected: scores[metric] });
    }
    expect(wrong).toEqual([]);
  });

  it('keeps its definition, threshold included', async () => {
    expect(grader('bleu', { pass_threshold: 0.9 }).config).toEqual({
      type: 'text_similarity',
      name: 'alike',
      input: '{{sample.output_text}}',
      reference: '{{item.reference}}',
      evaluation_metric: 'bleu',
      pass_threshold: 0.9,
    });
    const half = await grader('rouge_1', { pass_threshold: 0.9 }).grade({ output_text: 'a b' }, { reference: 'a c' });
    expect(half).toEqual({ reward: 0.5 });
  });

  it.each([
    [{ evaluation_metric: 'cosine' }, 'grader.evaluation_metric', 'not in reinforcement fine-tuning'],
    [{ evaluation_metric: 'rouge' }, 'grader.evaluation_metric', "'rouge_l'"],
    [{ evaluation_metric: 'toString' }, 'grader.evaluation_metric', 'fuzzy_match, bleu, gleu, meteor'],
    [{ pass_threshold: '0.9' }, 'grader.pass_threshold', 'must be a number, not a string'],
    [{ reference: '{{ref}}' }, 'grader.reference', 'Unknown namespace'],
  ])('refuses %j at %s', (change, param, message) => {
    const attempt = (): unknown => grader('bleu', change);
    expect(attempt).toThrow(GraderConfigError);
    expect(attempt).toThrow(expect.objectContaining({ param, message: expect.stringContaining(message) }));
  });

  it.each(['fuzzy_match', 'rouge_l'])('%s stops when nobody waits for it any more', async (metric) => {
    // Alone it would compute for seconds.
    const words = Array.from({ length: 100_000 }, (_, i) => `${(i * i) % 997}`);
    const answers = [{ sample: sampleOf(words.join(' ')), item: { reference: words.toReversed().join(' ') } }];
    const [result] = await gradeAll(answers, { grader: grader(metric), signal: AbortSignal.timeout(20) });
    expect(result).toMatchObject({ ok: false, failure: { kind: 'unresponsive_reward_error' } });
    await sleep(20);
    const before = process.cpuUsage();
    await sleep(300);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(150);
  });

  it.each(['fuzzy_match', 'rouge_l', 'meteor', 'bleu'])(
    '%s of long texts lets the process do other things',
    async (metric) => {
      const words = (seed: number): string =>
        Array.from({ length: 6_000 }, (_, i) => `w${(i * i * seed + i) % 997}`).join(' ');
      const alike = grader(metric);
      let turns = 0;
      const timer = setInterval(() => turns++, 1);
      const before = process.cpuUsage();
      await Promise.all([1, 2, 3].map((seed) => alike.grade({ output_text: words(seed) }, { reference: words(7) })));
      const used = process.cpuUsage(before);
      clearInterval(timer);
      // A turn takes 5 ms of computing, and now and then a little more.
      expect(turns).toBeGreaterThan((used.user + used.system) / 1000 / 40);
    },
  );
});
