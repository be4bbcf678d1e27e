import { compileGraph, Engine, float32, gradients, input } from '@polymode/autodiff';
import { clippedSurrogate } from '@polymode/objectives';
import { afterAll, describe, expect, it } from 'vitest';

const engine = new Engine();
afterAll(() => engine.close());

interface Tokens {
  logs: number[];
  old: number[];
  reference: number[];
  advantages: number[];
  weights: number[];
}

/** The formula of the docstring, in float64. */
function byHand(t: Tokens, epsilon: number, beta: number): number {
  return -t.logs.reduce((total, log, i) => {
    const ratio = Math.exp(log - t.old[i]!);
    const clipped = Math.min(Math.max(ratio, 1 - epsilon), 1 + epsilon);
    const d = t.reference[i]! - log;
    const gain = Math.min(ratio * t.advantages[i]!, clipped * t.advantages[i]!) - beta * (Math.exp(d) - d - 1);
    return total + t.weights[i]! * gain;
  }, 0);
}

async function run(t: Tokens, epsilon: number, beta: number | null): Promise<{ loss: number; gradient: Float32Array }> {
  const vector = (name: string) => input(name, 'float32', ['M']);
  const logProbabilities = vector('logs');
  const loss = clippedSurrogate(
    {
      logProbabilities,
      oldLogProbabilities: vector('old'),
      advantages: vector('advantages'),
      weights: vector('weights'),
      ...(beta === null
        ? {}
        : { reference: { logProbabilities: vector('reference'), coefficient: input('beta', 'float32', []) } }),
    },
    input('epsilon', 'float32', []),
  );
  const [gradient] = gradients(loss, [logProbabilities]);
  const session = await engine.compile(compileGraph({ loss, gradient: gradient! }, engine.profile));
  const feeds = Object.fromEntries(Object.entries(t).map(([k, v]) => [k, float32(v, [v.length])]));
  const out = await session.run(
    { ...feeds, epsilon: float32([epsilon], []), beta: float32([beta ?? 0], []) },
    { loss: 'return', gradient: 'return' },
  );
  return { loss: Number(out.loss!.data[0]), gradient: out.gradient!.data as Float32Array };
}

/** Ratios of 0.5, 0.9, 1, 1.1 and 2, each with an advantage of either sign. */
const ratios = [0.5, 0.9, 1, 1.1, 2];
const tokens: Tokens = {
  logs: ratios.flatMap((r) => [Math.log(r) - 1, Math.log(r) - 1]),
  old: Array.from({ length: 10 }, () => -1),
  reference: [-1.2, -0.3, -2, -1, -0.9, -0.5, -3, -1.1, -1.4, -0.7],
  advantages: ratios.flatMap(() => [1.5, -0.7]),
  weights: [0.1, 0.2, 0.05, 0.15, 0.1, 0.1, 0.02, 0.08, 0.1, 0.1],
};

describe('the clipped surrogate', () => {
  it.each([null, 0.05])('has the value and the gradient of its formula, with a penalty of %s', async (beta) => {
    const { loss, gradient } = await run(tokens, 0.2, beta);
    expect(loss).toBeCloseTo(byHand(tokens, 0.2, beta ?? 0), 6);
    const h = 1e-6;
    for (let i = 0; i < tokens.logs.length; i++) {
      const moved = (step: number): number => {
        const logs = tokens.logs.map((l, k) => (k === i ? l + step : l));
        return byHand({ ...tokens, logs }, 0.2, beta ?? 0);
      };
      expect(gradient[i]!, `token ${i}`).toBeCloseTo((moved(h) - moved(-h)) / (2 * h), 6);
    }
  });

  it('stops pushing a token that has moved past the clip in its favour, and only then', async () => {
    const { gradient } = await run(tokens, 0.2, null);
    // (ratio, advantage): up past 1.2 with a positive advantage, down past 0.8 with a negative one
    const flat = ratios.flatMap((r) => [r > 1.2, r < 0.8]);
    expect([...gradient].map((g) => g === 0)).toEqual(flat);
  });

  it('is minus the advantage-weighted log-probability gradient where policy and sampler agree', async () => {
    const here = { ...tokens, logs: [...tokens.old] };
    const { gradient } = await run(here, 0.2, null);
    for (const [i, g] of gradient.entries()) expect(g).toBeCloseTo(-tokens.weights[i]! * tokens.advantages[i]!, 6);
  });
});
