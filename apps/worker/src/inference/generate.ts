import type { GenerateEvent, GenerateRequest } from '@polymode/contracts';
import { type RunningRequest, type SamplingOptions, scorePrompt } from '@polymode/policy';
import type { InferenceMetrics } from '@polymode/telemetry';
import { completionRoom } from './completion-room.js';
import { constrained } from './constrained.js';
import { InferenceError } from './inference-error.js';
import type { LoadedModel, ModelPool } from './model-pool.js';
import { promptTokens, room } from './prompt.js';
import { Utterance } from './utterance.js';

export interface GenerateContext {
  readonly pool: ModelPool;
  readonly metrics: InferenceMetrics;
}

/**
 * Serves a request: sends its events, and resolves when it has ended or was cancelled.
 *
 * @param send takes them in their order
 * @param gone aborts when nobody listens any more
 * @throws InferenceError before anything was sent, for a request that cannot be served
 */
export async function generate(
  { pool, metrics }: GenerateContext,
  request: GenerateRequest,
  send: (event: GenerateEvent) => void,
  gone: AbortSignal,
): Promise<void> {
  const arrived = performance.now();
  let prompt: readonly number[] = [];
  try {
    const { model, release } = await pool.lease(request);
    try {
      if (gone.aborted) return;
      prompt = promptTokens(model, request);
      await answer(model, request, prompt, { metrics, arrived, send, gone });
      metrics.request(request.baseModel, gone.aborted ? 'cancelled' : 'completed', prompt.length);
    } finally {
      release();
    }
  } catch (error) {
    metrics.request(request.baseModel, error instanceof InferenceError ? 'refused' : 'failed', prompt.length);
    throw error;
  }
}

interface Listener {
  readonly metrics: InferenceMetrics;
  readonly arrived: number;
  readonly send: (event: GenerateEvent) => void;
  readonly gone: AbortSignal;
}

async function answer(
  model: LoadedModel,
  request: GenerateRequest,
  prompt: readonly number[],
  listener: Listener,
): Promise<void> {
  const { send, gone } = listener;
  checkBiases(model, request);
  const { tools, allowed } = constrained(model, request);
  const context = room(request, prompt.length, model.policy.config.maxPositionEmbeddings);
  const maxTokens = context === 0 ? 0 : completionRoom(model.room, prompt.length, request.maxTokens, context);
  const options = samplingOptions(model, request, maxTokens, allowed(maxTokens));
  const scored = request.echo ? await echoOf(model, request, prompt) : { text: null, logprobs: null };
  if (gone.aborted) return;
  const indices = Array.from({ length: request.n }, (_, i) => i);
  let told = false;
  // With the first token, and not before: until then a request may turn out not to fit, and another worker may take it.
  const tell = (): void => {
    if (!told) send({ type: 'prompt', tokens: prompt.length, ...scored });
    told = true;
  };
  if (maxTokens === 0) {
    tell();
    for (const index of indices) send({ type: 'finish', index, reason: 'length', toolCalls: [], tokens: 0 });
  } else {
    const running = indices.map((index) => started(model, request, { prompt, options, tools, index, tell }, listener));
    const cancel = (): void => {
      for (const { running: row } of running) row.cancel();
    };
    gone.addEventListener('abort', cancel, { once: true });
    try {
      await Promise.all(running.map((one) => one.ended));
    } finally {
      gone.removeEventListener('abort', cancel);
      cancel(); // when one has failed
    }
  }
  if (!gone.aborted) send({ type: 'end' });
}

/** @throws InferenceError 400 for options that the sampler does not take */
function started(...args: Parameters<typeof complete>): ReturnType<typeof complete> {
  try {
    return complete(...args);
  } catch (cause) {
    if (cause instanceof RangeError) throw new InferenceError(400, cause.message, { cause });
    throw cause;
  }
}

interface Wanted {
  readonly prompt: readonly number[];
  readonly options: SamplingOptions;
  readonly tools: boolean;
  readonly index: number;
  /** called before the first event */
  readonly tell: () => void;
}

/** Starts one completion. Each is a request of its own to the batch, so that it is heard of as soon as it ends. */
function complete(
  { batch, texts, tokenizer }: LoadedModel,
  request: GenerateRequest,
  { prompt, options, tools, index, tell }: Wanted,
  { metrics, arrived, send, gone }: Listener,
): { running: RunningRequest; ended: Promise<void> } {
  const { stopTokens } = tokenizer;
  const logprobs = request.logprobs !== null;
  const utterance = new Utterance({ index, texts, stopTokens, logprobs, tools });
  const one = request.input.type === 'chat' && !request.input.parallelToolCalls;
  let first: number | null = null;
  const running = batch.add({
    prompt,
    random: request.seed,
    firstSample: index,
    options,
    onProgress: (_, progress) => {
      if (gone.aborted) return;
      if (first === null) {
        first = performance.now();
        tell();
        metrics.firstToken(request.baseModel, (first - arrived) / 1000);
      }
      const delta = utterance.progress(progress);
      if (delta !== null) send(delta);
      if (one && utterance.calls > 0) running.cancel();
    },
  });
  const ended = running.completions.then(([completion]) => {
    const now = performance.now();
    metrics.completion(request.baseModel, completion!.tokens.length, (now - (first ?? now)) / 1000);
    if (gone.aborted) return;
    tell();
    for (const event of utterance.end(completion!)) send(event);
  });
  return { running, ended };
}

function samplingOptions(
  { tokenizer }: LoadedModel,
  request: GenerateRequest,
  maxTokens: number,
  allowed: SamplingOptions['allowed'],
): SamplingOptions {
  const { logprobs } = request;
  return {
    maxTokens,
    temperature: request.temperature,
    // 0 is OpenAI's least: the likeliest token alone.
    topP: Math.max(request.topP, 1e-6),
    presencePenalty: request.presencePenalty,
    frequencyPenalty: request.frequencyPenalty,
    logitBias: new Map(request.logitBias),
    stopTokens: tokenizer.stopTokens,
    stopStrings: request.stop,
    decode: (tokens) => tokenizer.decode(tokens),
    ...(allowed === undefined ? {} : { allowed }),
    ...(logprobs === null ? {} : { reportedTemperature: 1, alternatives: logprobs }),
  };
}

/** @throws InferenceError 400 for a token that the model has not */
function checkBiases({ policy }: LoadedModel, { logitBias, model }: GenerateRequest): void {
  const { vocabSize } = policy.config;
  const unknown = logitBias.find(([token]) => token < 0 || token >= vocabSize);
  if (unknown === undefined) return;
  throw new InferenceError(400, `logit_bias names token ${unknown[0]}, but ${model} has tokens 0 to ${vocabSize - 1}`, {
    param: 'logit_bias',
  });
}

/** The prompt as it is told back. */
async function echoOf(
  { policy, tokenizer, texts }: LoadedModel,
  { input, logprobs }: GenerateRequest,
  prompt: readonly number[],
): Promise<Pick<Extract<GenerateEvent, { type: 'prompt' }>, 'text' | 'logprobs'>> {
  const text = input.type === 'text' ? input.text : tokenizer.decode(prompt);
  if (logprobs === null) return { text, logprobs: null };
  const scores = await scorePrompt(policy, prompt, logprobs);
  return {
    text,
    logprobs: prompt.map((token, i) => texts.logprob(token, scores.logProbabilities[i]!, scores.alternatives[i]!)),
  };
}
