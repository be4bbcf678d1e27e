import { clippedSurrogate } from '@polymode/objectives';
import type { Sequence } from '@polymode/policy';
import type { GradientStep, StepResult } from './gradient-step.js';
import type { TokenLoss } from './token-loss.js';

/** A completion of a group with spread, ready for the gradient. */
export interface RewardedSequence extends Sequence {
  readonly advantage: number;
  /** log-probabilities it was sampled with, one a completion token */
  readonly oldLogProbabilities: Float32Array;
  /** under the reference policy; absent when there is none */
  readonly referenceLogProbabilities?: Float32Array;
}

export interface SurrogateSettings {
  readonly learningRate: number;
  readonly clipEpsilon: number;
  /** β; 0 leaves the reference out */
  readonly klCoefficient: number;
  readonly temperature: number;
}

export interface UpdateReport extends StepResult {
  /** means over completion tokens */
  readonly entropy: number;
  readonly kl: number;
  readonly clipRatioLow: number;
  readonly clipRatioHigh: number;
  readonly tokens: number;
}

export const surrogateLoss = (withReference: boolean): TokenLoss => ({
  name: withReference ? 'surrogate with reference' : 'surrogate',
  reports: ['logProbabilities', 'entropies'],
  build: ({ logProbabilities }, perToken, perStep) =>
    clippedSurrogate(
      {
        logProbabilities,
        oldLogProbabilities: perToken('old_log_probabilities'),
        advantages: perToken('advantages'),
        weights: perToken('weights'),
        ...(withReference
          ? {
              reference: {
                logProbabilities: perToken('reference_log_probabilities'),
                coefficient: perStep('kl_coefficient'),
              },
            }
          : {}),
      },
      perStep('clip_epsilon'),
    ),
});

/** One step on the clipped surrogate; every completion token counts the same. */
export async function surrogateUpdate(
  gradientStep: GradientStep,
  sequences: readonly RewardedSequence[],
  updateNumber: number,
  settings: SurrogateSettings,
): Promise<UpdateReport> {
  const tokens = sequences.reduce((n, s) => n + s.completion.length, 0);
  const constant = (s: Sequence, value: number): Float32Array => new Float32Array(s.completion.length).fill(value);
  const result = await gradientStep.run(
    surrogateLoss(settings.klCoefficient > 0),
    sequences.map((s) => ({
      prompt: s.prompt,
      completion: s.completion,
      perToken: {
        advantages: constant(s, s.advantage),
        weights: constant(s, 1 / tokens),
        old_log_probabilities: s.oldLogProbabilities,
        reference_log_probabilities: s.referenceLogProbabilities ?? constant(s, 0),
      },
    })),
    { clip_epsilon: settings.clipEpsilon, kl_coefficient: settings.klCoefficient },
    updateNumber,
    settings.learningRate,
    settings.temperature,
  );

  const { logProbabilities, entropies } = result.reports;
  const sums = { entropy: 0, kl: 0, low: 0, high: 0 };
  for (const [i, s] of sequences.entries()) {
    for (const [c, now] of logProbabilities![i]!.entries()) {
      sums.entropy += entropies![i]![c]!;
      const ratio = Math.exp(now - s.oldLogProbabilities[c]!);
      if (ratio < 1 - settings.clipEpsilon && s.advantage < 0) sums.low++;
      if (ratio > 1 + settings.clipEpsilon && s.advantage > 0) sums.high++;
      if (s.referenceLogProbabilities !== undefined) {
        const d = s.referenceLogProbabilities[c]! - now;
        sums.kl += Math.exp(d) - d - 1;
      }
    }
  }
  return {
    ...result,
    entropy: sums.entropy / tokens,
    kl: sums.kl / tokens,
    clipRatioLow: sums.low / tokens,
    clipRatioHigh: sums.high / tokens,
    tokens,
  };
}
