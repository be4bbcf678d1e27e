import { join } from 'node:path';
import { connectDatabase, disconnectDatabase, ensureFirstKey } from '@polymode/db';
import { openQueue } from '@polymode/queue';
import { openStorage } from '@polymode/storage';
import { createLogger, type Logger } from '@polymode/telemetry';
import { openGraderServices } from '@polymode/verifiers';
import { buildApp } from './app.js';
import type { ApiConfig } from './config.js';
import { startHousekeeping } from './housekeeping.js';
import { modelsIn } from './models-on-disk.js';
import { startWandb } from './wandb/delivery.js';
import { startWebhooks } from './webhook-delivery.js';

export interface ApiServer {
  /** Without a slash at its end, and without `/v1`. */
  url: string;
  /** The key to show, once, when this start generated the first one. */
  generatedKey: string | null;
  /** Stops taking requests, lets those under way end, and frees everything. */
  close(): Promise<void>;
}

/** Opens what a configuration names and serves the API. The database has its schema already. */
export async function startServer(
  config: ApiConfig,
  logger: Logger = createLogger({ name: 'api', level: config.logLevel }),
): Promise<ApiServer> {
  const db = connectDatabase(config.databaseUrl);
  const queue = openQueue({
    databaseUrl: config.databaseUrl,
    redisUrl: config.redisUrl,
    onError: (err) => logger.warn({ err }, 'queue connection failed'),
  });
  const storage = openStorage({ dir: join(config.dataDir, 'storage') });
  const graderServices = openGraderServices(config.graders);
  const release = async () => {
    graderServices.close();
    await queue.close();
    await disconnectDatabase(db);
  };
  try {
    const generatedKey = await ensureFirstKey(db, {
      organizationId: config.organizationId,
      environmentKey: config.apiKey,
    });
    const app = await buildApp({
      db,
      storage,
      queue,
      logger,
      ...modelsIn(config.modelDirs),
      modelAliases: config.modelAliases,
      graderServices,
      maxUploadBytes: config.maxUploadBytes,
      requestsPerMinute: config.requestsPerMinute,
      tokensPerMinute: config.tokensPerMinute,
      webhookAllow: config.graders.endpointAllow,
      wandb: config.wandb !== null,
    });
    const address = await app.listen({ host: config.host, port: config.port });
    const stopWebhooks = startWebhooks({ db, logger, allow: config.graders.endpointAllow });
    const stopWandb = config.wandb && startWandb({ db, logger, settings: config.wandb });
    const stopHousekeeping = startHousekeeping(db, storage, logger);
    logger.info({ url: address, queue: queue.backend }, 'api is serving');
    return {
      url: address,
      generatedKey,
      close: async () => {
        await app.close();
        await Promise.all([stopHousekeeping(), stopWebhooks(), stopWandb?.()]);
        await release();
        logger.info('api has stopped');
      },
    };
  } catch (error) {
    await release().catch(() => {});
    throw error;
  }
}
