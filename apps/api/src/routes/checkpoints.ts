import { Readable } from 'node:stream';
import {
  type CheckpointFile,
  type CheckpointFileList,
  type FineTuningJobCheckpoint,
  type FineTuningJobCheckpointList,
  ListCheckpointsQuery,
} from '@polymode/contracts';
import { type CheckpointFileRecord, type CheckpointRecord, getCheckpoint, listCheckpoints } from '@polymode/db';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { ApiError } from '../errors.js';
import { toSeconds } from '../ids.js';
import { existingJob } from '../job.js';
import { toList } from '../pagination.js';
import { attachment, sendObject } from '../send-object.js';
import { tarLength, tarOf } from '../tar-download.js';
import { parseRequest } from '../validation.js';

interface CheckpointPath {
  job: string;
  checkpoint: string;
}

/** Checkpoints of a job, and their files: one by one, or all in a tar. */
export async function checkpointRoutes(app: FastifyInstance, { db, storage }: ApiDependencies): Promise<void> {
  const base = '/fine_tuning/jobs/:job/checkpoints';

  app.get<{ Params: { job: string } }>(base, async (request): Promise<FineTuningJobCheckpointList> => {
    const query = parseRequest(ListCheckpointsQuery, request.query);
    const job = await existingJob(db, request);
    return toList(await listCheckpoints(db, job.id, query), toCheckpoint);
  });

  app.get<{ Params: CheckpointPath }>(`${base}/:checkpoint/files`, async (request): Promise<CheckpointFileList> => {
    const { files } = await existingCheckpoint(request);
    return toList({ data: files, hasMore: false }, toFile);
  });

  app.get<{ Params: CheckpointPath & { '*': string } }>(`${base}/:checkpoint/files/*`, async (request, reply) => {
    const { id, files } = await existingCheckpoint(request);
    const path = request.params['*'];
    const file = files.find((one) => one.path === path);
    if (!file) {
      const message = `Checkpoint ${id} has no file '${path}'. Its files: ${files.map((one) => one.path).join(', ')}.`;
      throw new ApiError(404, { message, param: 'path', code: 'checkpoint_file_not_found' });
    }
    const filename = path.split('/').at(-1) ?? path;
    return sendObject(storage, { ...file, filename, contentType: contentTypeOf(path) }, request, reply);
  });

  app.get<{ Params: CheckpointPath }>(`${base}/:checkpoint/download`, async (request, reply) => {
    const { jobId, step, files } = await existingCheckpoint(request);
    const length = tarLength(files);
    if (length !== undefined) reply.header('content-length', length);
    reply.type('application/x-tar').header('content-disposition', attachment(`${jobId}-step-${step}.tar`));
    return reply.send(request.method === 'HEAD' ? Readable.from([]) : tarOf(storage, files));
  });

  async function existingCheckpoint(request: FastifyRequest<{ Params: CheckpointPath }>): Promise<CheckpointRecord> {
    const job = await existingJob(db, request);
    const id = request.params.checkpoint;
    const checkpoint = await getCheckpoint(db, job.id, id);
    // Those that are not announced may vanish at any time: they are for resuming only.
    if (checkpoint?.announced) return checkpoint;
    throw new ApiError(404, {
      message: `Job ${job.id} has no checkpoint ${id}. GET /v1/fine_tuning/jobs/${job.id}/checkpoints lists those it has.`,
      param: 'checkpoint_id',
      code: 'checkpoint_not_found',
    });
  }
}

function toCheckpoint(checkpoint: CheckpointRecord): FineTuningJobCheckpoint {
  return {
    id: checkpoint.id,
    object: 'fine_tuning.job.checkpoint',
    created_at: toSeconds(checkpoint.createdAt),
    fine_tuning_job_id: checkpoint.jobId,
    fine_tuned_model_checkpoint: checkpoint.modelName,
    step_number: checkpoint.step,
    metrics: Object.fromEntries(
      Object.entries(checkpoint.metrics).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
    ),
  };
}

function toFile({ path, bytes, sha256 }: CheckpointFileRecord): CheckpointFile {
  return { id: path, object: 'fine_tuning.job.checkpoint.file', path, bytes, sha256 };
}

function contentTypeOf(path: string): string {
  return path.endsWith('.json') ? 'application/json' : 'application/octet-stream';
}
