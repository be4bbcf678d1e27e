import { isDeepStrictEqual } from 'node:util';
import {
  type BodyOf,
  type OperationSpec,
  type ParamsOf,
  pathParams,
  type QueryOf,
  type ResponseOf,
} from '@polymode/contracts';
import type { Caller } from '@polymode/db';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { parseRequest } from './validation.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the route serves; its scope is checked before its body is read. */
    operation?: OperationSpec;
  }
  interface FastifyInstance {
    /** Whether every JSON answer is compared with its schema first: for tests. */
    checkResponses: boolean;
  }
}

/** A request, parsed by its operation's schemas. */
export interface Incoming<Spec extends OperationSpec> {
  readonly params: ParamsOf<Spec>;
  readonly query: QueryOf<Spec>;
  readonly body: BodyOf<Spec>;
  readonly caller: Caller;
}

export type Handler<Spec extends OperationSpec> = (
  incoming: Incoming<Spec>,
  request: FastifyRequest,
  reply: FastifyReply,
) => Promise<ResponseOf<Spec> | FastifyReply>;

/** Adds the route of an operation. What the handler returns is the answer's JSON, unless it has replied itself. */
export function serve<const Spec extends OperationSpec>(
  app: FastifyInstance,
  operation: Spec,
  handler: Handler<Spec>,
): void {
  const names = pathParams(operation.path);
  app.route({
    method: operation.method,
    url: operation.path.replace(/\{(\w+)(\*?)\}/g, (_, name, rest) => (rest ? '*' : `:${name}`)),
    config: { operation },
    handler: async (request, reply) => {
      const given = request.params as Record<string, string>;
      const params = Object.fromEntries(names.map(({ name, rest }) => [name, given[rest ? '*' : name] ?? '']));
      request.jobId = params.fine_tuning_job_id ?? null;
      const query = operation.query && parseRequest(operation.query, request.query);
      const absent = operation.bodyOptional ? {} : undefined;
      const body = operation.body && parseRequest(operation.body, request.body ?? absent);
      const incoming = { params, query, body, caller: request.caller } as Incoming<Spec>;
      const answer = await handler(incoming, request, reply);
      // A reply is a promise of its own end, whose value is nothing: a handler that has replied comes to that.
      if (answer === undefined || answer === reply) return reply;
      if (app.checkResponses) requireDescribed(operation, answer);
      return answer;
    },
  });
}

/** @throws Error when an answer is not what the contract says of it */
function requireDescribed({ id, response }: OperationSpec, answer: unknown): void {
  if (!response) throw new Error(`${id} answers with JSON that its contract does not describe`);
  const plain: unknown = JSON.parse(JSON.stringify(answer));
  const parsed = response.safeParse(plain);
  if (!parsed.success) throw new Error(`${id} answers against its contract: ${parsed.error.message}`);
  // Schemas leave out what they do not know.
  const known: unknown = JSON.parse(JSON.stringify(parsed.data));
  if (!isDeepStrictEqual(known, plain)) {
    throw new Error(
      `${id} answers more than its contract describes: ${JSON.stringify(plain)}, of which it knows ${JSON.stringify(known)}`,
    );
  }
}
