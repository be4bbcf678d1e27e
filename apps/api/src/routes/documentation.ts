import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { openApiDocument, operations } from '@polymode/contracts';
import type { FastifyInstance } from 'fastify';

/** The API's own description at `/openapi.json`, and to read at `/docs`. Neither wants a key, or anything from elsewhere. */
export async function documentationRoutes(app: FastifyInstance): Promise<void> {
  const document = openApiDocument(operations, {
    title: 'Polymode',
    version: '1',
    description:
      "Fine-tuning that speaks OpenAI's API: change `baseURL`, and jobs, files, graders and models are where clients look for them.",
  });
  app.get('/openapi.json', async () => document);
  await app.register(swagger, { mode: 'static', specification: { document: document as never } });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    theme: { title: 'Polymode API' },
    uiConfig: {
      // Without the bar that loads other documents.
      layout: 'BaseLayout',
      docExpansion: 'list',
      defaultModelsExpandDepth: 0,
      tryItOutEnabled: false,
      persistAuthorization: true,
    },
  });
}
