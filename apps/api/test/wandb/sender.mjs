// A process that sends to Weights & Biases and nothing else, for tests that kill it: the database's URL, the server's, the key.
import { connectDatabase } from '@polymode/db';
import { createLogger } from '@polymode/telemetry';
import { startWandb } from '../../dist/wandb/delivery.js';

const [databaseUrl, baseUrl, apiKey] = process.argv.slice(2);
startWandb({
  db: connectDatabase(databaseUrl, { maxConnections: 2 }),
  logger: createLogger({ name: 'sender', level: 'silent' }),
  settings: { baseUrl, apiKey, entity: null },
  intervalMs: 10,
  batchMs: 20,
  timeoutMs: 300,
  retryAfter: () => 20,
});
process.stdout.write('sending\n');
