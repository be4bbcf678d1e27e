import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';

const GRACE_MS = 5000;

/**
 * Frees connections whose request was refused before its body was read: what still comes is thrown away for a while, so that
 * the client can read the answer and use the connection again, and then the connection is cut.
 */
export const unreadBody = fp(async (app: FastifyInstance) => {
  app.addHook('onResponse', ({ raw }, _reply, done) => {
    done();
    if (raw.readableEnded || raw.destroyed) return;
    raw.unpipe();
    raw.resume();
    const timer = setTimeout(() => raw.destroy(), GRACE_MS).unref();
    raw.once('close', () => clearTimeout(timer));
    raw.once('end', () => clearTimeout(timer));
  });
});
