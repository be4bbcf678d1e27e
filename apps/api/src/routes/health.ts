import { pingDatabase } from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';

const PING_MS = 3000;

/** `/healthz`: the process serves. `/readyz`: it also reaches its database. Neither wants a key. */
export async function healthRoutes(app: FastifyInstance, { db }: ApiDependencies): Promise<void> {
  app.get('/healthz', async () => ({ status: 'ok' }));

  app.get('/readyz', async (request, reply) => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${PING_MS} ms`)), PING_MS);
    });
    try {
      await Promise.race([pingDatabase(db), late]);
      return { status: 'ready' };
    } catch (error) {
      request.log.warn({ err: error }, 'database is not reachable');
      return reply.code(503).send({ status: 'unavailable', reason: 'the database is not reachable' });
    } finally {
      clearTimeout(timer);
    }
  });
}
