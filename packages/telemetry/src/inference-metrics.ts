import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What an inference server holds at a moment. */
export interface InferenceLoad {
  /** completions that are being said */
  readonly running: number;
  /** completions that wait for room */
  readonly waiting: number;
  /** base models, adapters and fully trained checkpoints that are loaded */
  readonly models: number;
  /** of their weights */
  readonly modelBytes: number;
  /** that the caches of completions may take */
  readonly cacheBytes: number;
  /** most that these may be together */
  readonly budgetBytes: number;
}

/** How a request ended. */
export type RequestOutcome = 'completed' | 'cancelled' | 'refused' | 'failed';

/** Figures of an inference server, for Prometheus. Labels name base models, of which there are few. */
export interface InferenceMetrics {
  /** @param seconds from when the request came to its first token, loading of the model included */
  firstToken(baseModel: string, seconds: number): void;
  /** A completion has ended. @param seconds from its first token to its last */
  completion(baseModel: string, tokens: number, seconds: number): void;
  request(baseModel: string, outcome: RequestOutcome, promptTokens: number): void;
  /** @param seconds that it took to load a model */
  loaded(baseModel: string, seconds: number): void;
  /** everything, in Prometheus' text format */
  text(): Promise<string>;
  /** of that text */
  readonly contentType: string;
}

/** Seconds: from a cached answer of a small model to a large model that is loaded first. */
const LATENCIES = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const RATES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/** @param load asked for when the figures are */
export function createInferenceMetrics(load: () => InferenceLoad): InferenceMetrics {
  const registry = new Registry();
  const registers = [registry];
  const labelNames = ['base_model'] as const;
  collectDefaultMetrics({ register: registry });
  const firstToken = new Histogram({
    name: 'polymode_inference_time_to_first_token_seconds',
    help: 'From the arrival of a request to its first token, loading of the model included',
    labelNames,
    buckets: LATENCIES,
    registers,
  });
  const rate = new Histogram({
    name: 'polymode_inference_tokens_per_second',
    help: 'Of a completion, from its first token to its last',
    labelNames,
    buckets: RATES,
    registers,
  });
  const tokens = new Counter({
    name: 'polymode_inference_tokens_total',
    help: 'Tokens of prompts that were read, and of completions that were said',
    labelNames: [...labelNames, 'kind'],
    registers,
  });
  const requests = new Counter({
    name: 'polymode_inference_requests_total',
    help: 'Requests that have ended, by how',
    labelNames: [...labelNames, 'outcome'],
    registers,
  });
  const loading = new Histogram({
    name: 'polymode_inference_model_load_seconds',
    help: 'Time that loading a model took',
    labelNames,
    buckets: LATENCIES,
    registers,
  });
  new Gauge({
    name: 'polymode_inference_rows',
    help: 'Completions that are being said, and that wait for room',
    labelNames: ['state'],
    registers,
    collect() {
      const { running, waiting } = load();
      this.set({ state: 'running' }, running);
      this.set({ state: 'waiting' }, waiting);
    },
  });
  for (const [name, help, of] of [
    ['models', 'Base models, adapters and fully trained checkpoints that are loaded', 'models'],
    ['model_bytes', 'Bytes of the weights that are loaded', 'modelBytes'],
    ['cache_bytes', 'Bytes set aside for the caches of completions', 'cacheBytes'],
    ['budget_bytes', 'Most bytes that weights and caches may take together', 'budgetBytes'],
  ] as const) {
    new Gauge({
      name: `polymode_inference_${name}`,
      help,
      registers,
      collect() {
        this.set(load()[of]);
      },
    });
  }
  return {
    firstToken: (base_model, seconds) => firstToken.observe({ base_model }, seconds),
    completion: (base_model, count, seconds) => {
      tokens.inc({ base_model, kind: 'completion' }, count);
      if (count > 1 && seconds > 0) rate.observe({ base_model }, (count - 1) / seconds);
    },
    request: (base_model, outcome, promptTokens) => {
      requests.inc({ base_model, outcome });
      tokens.inc({ base_model, kind: 'prompt' }, promptTokens);
    },
    loaded: (base_model, seconds) => loading.observe({ base_model }, seconds),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
