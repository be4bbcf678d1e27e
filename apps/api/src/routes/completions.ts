import { type ChatCompletion, type Completion, operations } from '@polymode/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { chatCompletion, chatCompletionChunks } from '../inference/chat-completion.js';
import { chatRequest } from '../inference/chat-request.js';
import { streamChunks } from '../inference/event-stream.js';
import { type GenerateOptions, generate } from '../inference/generate.js';
import { merge } from '../inference/merge.js';
import { servedModel } from '../inference/served-model.js';
import { type OfPrompt, textCompletion, textCompletionChunks } from '../inference/text-completion.js';
import { textRequests } from '../inference/text-request.js';
import { TokenLimit } from '../inference/token-limit.js';
import { InferenceWorkers } from '../inference/workers.js';
import { serve } from '../serve.js';

/** Prompts of one request that are generated from at the same time. */
const PROMPTS_AT_ONCE = 8;

/** Completions of chats and of texts. Workers make them; here they are checked, sent there and put into OpenAI's shapes. */
export async function completionRoutes(app: FastifyInstance, deps: ApiDependencies): Promise<void> {
  const workers = new InferenceWorkers(deps.db);
  const tokens = new TokenLimit(deps.tokensPerMinute ?? 0);

  serve(
    app,
    operations.createChatCompletion,
    async ({ body, caller }, request, reply): Promise<ChatCompletion | FastifyReply> => {
      const weights = await servedModel(deps, caller.projectId, body.model);
      const asked = chatRequest(body, weights);
      await tokens.admit(caller, reply);
      const events = tokens.counted(caller, reply, generate(workers, asked, optionsOf(request, reply)));
      if (body.stream) return streamChunks(request, reply, chatCompletionChunks(body, weights, events));
      return chatCompletion(body, weights, events);
    },
  );

  serve(
    app,
    operations.createCompletion,
    async ({ body, caller }, request, reply): Promise<Completion | FastifyReply> => {
      const weights = await servedModel(deps, caller.projectId, body.model);
      const asked = textRequests(body, weights);
      await tokens.admit(caller, reply);
      const options = optionsOf(request, reply);
      const ofPrompt = async function* (prompt: number): AsyncGenerator<OfPrompt> {
        const events = tokens.counted(caller, reply, generate(workers, asked[prompt]!, options));
        for await (const event of events) yield { prompt, event };
      };
      const events = merge(
        asked.map((_, prompt) => () => ofPrompt(prompt)),
        PROMPTS_AT_ONCE,
      );
      if (body.stream) return streamChunks(request, reply, textCompletionChunks(body, weights, asked, events));
      return textCompletion(body, weights, asked, events);
    },
  );
}

/** Whoever does not wait for the answer any more, or has one that says what failed, needs no more of it. */
function optionsOf(request: FastifyRequest, { raw }: FastifyReply): GenerateOptions {
  const gone = new AbortController();
  if (raw.destroyed) gone.abort();
  raw.once('close', () => gone.abort());
  return { signal: gone.signal, requestId: request.id, log: request.log };
}
