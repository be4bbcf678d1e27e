import { createLogger } from '@polymode/telemetry';
import { parseConfig } from './config.js';
import { startServer } from './start.js';

// The process: configuration from the environment, logs to standard output, an end on SIGTERM,
// SIGINT, or the end of a parent that keeps a channel.
let logger = createLogger({ name: 'api' });
// Listened to from the start, so that a signal during the start ends it cleanly too. A second one kills.
const stopSignal = new Promise<string>((resolve) => {
  process.once('SIGTERM', resolve);
  process.once('SIGINT', resolve);
  // Whoever started this process with a channel is gone.
  process.once('disconnect', () => resolve('disconnect'));
});
try {
  const config = parseConfig(process.env);
  logger = createLogger({ name: 'api', level: config.logLevel, buffered: true });
  const server = await startServer(config, logger);
  // Logs hide keys, so this one line is for the operator's eyes and goes to standard error.
  if (server.generatedKey) process.stderr.write(`API key, shown only now: ${server.generatedKey}\n`);
  logger.info({ signal: await stopSignal }, 'stopping');
  await server.close();
  process.exit(0);
} catch (err) {
  logger.fatal({ err }, 'api failed');
  process.exit(1);
}
