import { ConfigError, numberFrom } from '../environment.js';

/** What the inference server of a worker reads from its environment. */
export interface InferenceConfig {
  readonly host: string;
  /** 0 for a free one */
  readonly port: number;
  /** where the API reaches it, if that is not host and port */
  readonly url: string | undefined;
  /** of its engine */
  readonly threads: number;
  /** most bytes of weights and of the caches of completions */
  readonly memoryBytes: number;
  /** without a request until models and engine are let go */
  readonly idleSeconds: number;
  /** tokens between two moments at which requests may join @defaultValue by the model's size */
  readonly segmentTokens?: number;
  /** lets callers on other machines read `/metrics` */
  readonly metricsToken: string | undefined;
}

/** The share of the memory there is that serving may take where nothing is said: training wants some too. */
const MEMORY_SHARE = 0.4;

/**
 * @param threads of the engine that trains
 * @param machineBytes that this process may have
 * @returns null when it is switched off
 * @throws ConfigError
 */
export function readInferenceConfig(
  env: NodeJS.ProcessEnv,
  threads: number,
  machineBytes: number,
): InferenceConfig | null {
  const wanted = env.POLYMODE_INFERENCE || 'on';
  if (wanted === 'off') return null;
  if (wanted !== 'on') throw new ConfigError(`POLYMODE_INFERENCE is '${wanted}'. Set 'on' or 'off'.`);
  const megabytes = Math.floor((MEMORY_SHARE * machineBytes) / 2 ** 20);
  return {
    host: env.POLYMODE_INFERENCE_HOST || '127.0.0.1',
    port: numberFrom(env, 'POLYMODE_INFERENCE_PORT', 0, 0),
    url: advertised(env.POLYMODE_INFERENCE_URL),
    threads: numberFrom(env, 'POLYMODE_INFERENCE_THREADS', Math.max(1, Math.ceil(threads / 2)), 1),
    memoryBytes: numberFrom(env, 'POLYMODE_INFERENCE_MEMORY_MB', megabytes, 1) * 2 ** 20,
    idleSeconds: numberFrom(env, 'POLYMODE_INFERENCE_IDLE_SECONDS', 300, 1),
    metricsToken: env.POLYMODE_METRICS_TOKEN || undefined,
  };
}

function advertised(text: string | undefined): string | undefined {
  if (!text) return undefined;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new ConfigError(
      `POLYMODE_INFERENCE_URL is '${text}'. Set where the API reaches this worker, as http://host:port.`,
    );
  }
  return text.replace(/\/+$/, '');
}
