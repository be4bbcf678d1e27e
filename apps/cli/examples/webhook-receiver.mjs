// A server that is told when jobs end. `unwrap` refuses what was not signed with the endpoint's secret.
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import OpenAI from 'openai';

const secret = process.env.OPENAI_WEBHOOK_SECRET;
if (!secret) throw new Error('Set OPENAI_WEBHOOK_SECRET to the secret that POST /v1/webhook_endpoints answered.');
const client = new OpenAI({ apiKey: process.env.OPENAI_API_KEY ?? 'not needed', webhookSecret: secret });

const server = createServer(async (request, response) => {
  try {
    const event = await client.webhooks.unwrap(await text(request), request.headers);
    console.log(event.type, event.data.id);
    response.writeHead(204).end();
  } catch (error) {
    console.log(`refused: ${error.message}`);
    response.writeHead(400).end();
  }
});
server.listen(Number(process.env.PORT ?? 8787), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
