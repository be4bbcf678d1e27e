import type { GenerateRequest } from '@polymode/contracts';
import type { InferenceWorkerRecord } from '@polymode/db';
import type { FastifyBaseLogger } from 'fastify';
import { ApiError } from '../errors.js';
import {
  type AskOptions,
  askWorker,
  type Generated,
  WorkerFaultError,
  WorkerLostError,
  WorkerRefusalError,
} from './worker-request.js';
import type { InferenceWorkers } from './workers.js';

export interface GenerateOptions extends AskOptions {
  readonly log: FastifyBaseLogger;
}

/**
 * Has the best worker serve a request, and the next when it cannot begin to.
 *
 * @throws ApiError what the client is to know
 */
export async function* generate(
  workers: InferenceWorkers,
  request: GenerateRequest,
  options: GenerateOptions,
): AsyncGenerator<Generated> {
  const failures: unknown[] = [];
  for (const worker of await workers.inOrder(request)) {
    let begun = false;
    try {
      for await (const event of askCounted(workers, worker, request, options)) {
        begun = true;
        yield event;
      }
      return;
    } catch (error) {
      if (options.signal.aborted) throw clientGone();
      if (begun || !mayGoElsewhere(error)) throw toClient(error, worker, options);
      options.log.warn({ err: error, worker: worker.id }, 'a worker did not take a request');
      failures.push(error);
    }
  }
  throw nobody(failures);
}

async function* askCounted(
  workers: InferenceWorkers,
  worker: InferenceWorkerRecord,
  request: GenerateRequest,
  options: AskOptions,
): AsyncGenerator<Generated> {
  const end = workers.begin(worker);
  try {
    yield* askWorker(worker, request, options);
  } finally {
    end();
  }
}

/** Another worker may be reached, have the model, have memory, or know the token. */
function mayGoElsewhere(error: unknown): boolean {
  if (error instanceof WorkerRefusalError) return [401, 403, 404, 429, 503].includes(error.status);
  return error instanceof WorkerLostError;
}

/** What the client hears of a failure. The log has heard what it is not told. */
function toClient(error: unknown, worker: InferenceWorkerRecord, { log, requestId }: GenerateOptions): unknown {
  if (error instanceof WorkerRefusalError && error.status === 400) return new ApiError(400, error.failure);
  if (error instanceof WorkerLostError) {
    log.warn({ err: error, worker: worker.id }, 'a worker was lost');
    const message = 'The worker that was generating the answer is gone. Send the request again.';
    return new ApiError(503, { message, code: 'worker_lost' });
  }
  if (error instanceof WorkerRefusalError || error instanceof WorkerFaultError) {
    log.error({ err: error, worker: worker.id }, 'a worker failed');
    const message = `The model failed to generate an answer. The server's log tells more under request id ${requestId}.`;
    return new ApiError(500, { message, code: 'generation_failed' });
  }
  return error;
}

/** Of all reasons why no worker began, the one that says most. */
function nobody(failures: readonly unknown[]): ApiError {
  const refusals = failures.filter((failure) => failure instanceof WorkerRefusalError);
  const busy = refusals.find(({ status }) => status === 503 || status === 429);
  if (busy) return new ApiError(503, busy.failure);
  const missing = refusals.find(({ status }) => status === 404);
  if (missing) return new ApiError(404, { ...missing.failure, param: 'model', code: 'model_not_found' });
  const how = failures.length === 0 ? 'is running' : 'can be reached';
  return new ApiError(503, {
    message: `No worker ${how} that could answer. Start one: 'npm run up' starts everything, 'npm start -w @polymode/worker' a worker.`,
    code: 'no_worker',
  });
}

/** Nobody reads it; its status is for the log. */
function clientGone(): ApiError {
  return new ApiError(499, { message: 'The client left before the answer.', code: 'client_gone' });
}
