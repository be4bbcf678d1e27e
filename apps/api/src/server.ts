import { createLogger } from '@polymode/telemetry';
import { parseConfig } from './config.js';
import { startServer } from './start.js';

// The process: configuration from the environment, logs to standard output, an end on SIGTERM and SIGINT.
const logger = createLogger({ name: 'api' });
try {
  const config = parseConfig(process.env);
  const server = await startServer(config);
  // Logs hide keys, so this one line is for the operator's eyes and goes to standard error.
  if (server.generatedKey) process.stderr.write(`API key, shown only now: ${server.generatedKey}\n`);
  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'stopping');
    server.close().then(
      () => process.exit(0),
      (err) => {
        logger.fatal({ err }, 'could not stop cleanly');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
} catch (err) {
  logger.fatal({ err }, 'api could not start');
  process.exit(1);
}
