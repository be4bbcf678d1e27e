import { mul, neg, sum } from '@polymode/autodiff';
import type { TokenLoss } from './token-loss.js';

/** − Σ weights · log π: what is likely becomes likelier where weights are positive, and less likely where negative. */
export const likelihoodLoss: TokenLoss = {
  name: 'likelihood',
  reports: ['logProbabilities', 'matches'],
  build: ({ logProbabilities }, perToken) => neg(sum(mul(perToken('weights'), logProbabilities))),
};
