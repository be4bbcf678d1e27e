import type {
  Completion,
  CompletionChunk,
  CompletionLogprobs,
  CreateCompletionRequest,
  GenerateRequest,
} from '@polymode/contracts';
import { newId, toSeconds } from '../ids.js';
import { type Collected, Completions } from './collected.js';
import type { Weights } from './served-model.js';
import { codePoints, joined, TextLogprobs } from './text-logprobs.js';
import { UsageCount } from './usage.js';
import type { Generated } from './worker-request.js';

type Body = CreateCompletionRequest;

/** What a worker tells of one of a request's prompts. */
export interface OfPrompt {
  readonly prompt: number;
  readonly event: Generated;
}

/** The whole answer at once: of each prompt its `n` best completions. */
export async function textCompletion(
  body: Body,
  weights: Weights,
  requests: readonly GenerateRequest[],
  events: AsyncIterable<OfPrompt>,
): Promise<Completion> {
  const usage = new UsageCount();
  const prompts = requests.map(({ n }) => new Completions(n));
  for await (const { prompt, event } of events) {
    usage.add(event);
    prompts[prompt]!.add(event);
  }
  const n = body.n ?? 1;
  return {
    ...heading(weights),
    choices: prompts.flatMap((completions, p) => {
      const { promptText, promptLogprobs } = completions;
      return best(completions.all, n).map(({ text, logprobs, reason }, i) => {
        let written: CompletionLogprobs | null = null;
        if (body.logprobs != null) {
          const writer = new TextLogprobs(body.echo ? 0 : lengthBefore(requests[p]!, promptText));
          const echoed = body.echo ? [writer.prompt(promptLogprobs, promptText)] : [];
          written = joined([...echoed, writer.completion(logprobs)]);
        }
        return {
          text: body.echo ? promptText + text : text,
          index: p * n + i,
          logprobs: written,
          finish_reason: finishReason(reason),
        };
      });
    }),
    usage: usage.toJSON(),
  };
}

/** The answer in pieces, those of different choices as they come. */
export async function* textCompletionChunks(
  body: Body,
  weights: Weights,
  requests: readonly GenerateRequest[],
  events: AsyncIterable<OfPrompt>,
): AsyncGenerator<CompletionChunk> {
  const usage = new UsageCount();
  const withUsage = body.stream_options?.include_usage === true;
  const head = heading(weights);
  const n = body.n ?? 1;
  const writers: TextLogprobs[] = [];
  const chunk = (
    index: number,
    text: string,
    logprobs: CompletionLogprobs | null,
    finish_reason: CompletionChunk['choices'][number]['finish_reason'] = null,
  ): CompletionChunk => ({
    ...head,
    choices: [{ text, index, logprobs, finish_reason }],
    ...(withUsage && { usage: null }),
  });
  for await (const { prompt, event } of events) {
    usage.add(event);
    if (event.type === 'prompt') {
      const text = event.text ?? '';
      for (let index = prompt * n; index < (prompt + 1) * n; index++) {
        const writer = new TextLogprobs(body.echo ? 0 : lengthBefore(requests[prompt]!, text));
        writers[index] = writer;
        if (!body.echo) continue;
        yield chunk(index, text, body.logprobs == null ? null : writer.prompt(event.logprobs ?? [], text));
      }
    } else {
      const index = prompt * n + event.index;
      if (event.type === 'finish') yield chunk(index, '', null, finishReason(event.reason));
      else {
        const logprobs = body.logprobs == null ? null : writers[index]!.completion(event.logprobs ?? []);
        yield chunk(index, event.text, logprobs);
      }
    }
  }
  if (withUsage) yield { ...head, choices: [], usage: usage.toJSON() };
}

function heading({ model, fingerprint }: Weights) {
  return {
    id: newId('cmpl-'),
    object: 'text_completion' as const,
    created: toSeconds(new Date()),
    model,
    system_fingerprint: fingerprint,
  };
}

/** Code points of the prompt. A prompt of tokens is told by the worker. */
function lengthBefore({ input }: GenerateRequest, told: string): number {
  return codePoints(input.type === 'text' ? input.text : told);
}

/** The `n` with the highest log-probability per token, best first; in their order when there are no more. */
function best(completions: readonly Collected[], n: number): Collected[] {
  if (completions.length <= n) return [...completions];
  const score = ({ logprobs }: Collected): number =>
    logprobs.length === 0
      ? Number.NEGATIVE_INFINITY
      : logprobs.reduce((sum, { logprob }) => sum + (logprob ?? Number.NEGATIVE_INFINITY), 0) / logprobs.length;
  return completions
    .map((completion) => ({ completion, score: score(completion) }))
    .sort((a, b) => (a.score === b.score ? 0 : b.score - a.score))
    .slice(0, n)
    .map(({ completion }) => completion);
}

function finishReason(reason: Collected['reason']): Completion['choices'][number]['finish_reason'] {
  return reason === 'length' ? 'length' : 'stop';
}
