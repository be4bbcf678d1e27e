import { Readable } from 'node:stream';
import {
  type CheckpointFile,
  type CheckpointFileList,
  type FineTuningJobCheckpoint,
  type FineTuningJobCheckpointList,
  operations,
} from '@polymode/contracts';
import {
  type Caller,
  type CheckpointFileRecord,
  type CheckpointRecord,
  getCheckpoint,
  listCheckpoints,
} from '@polymode/db';
import type { ByteRange } from '@polymode/storage';
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { ApiError } from '../errors.js';
import { toSeconds } from '../ids.js';
import { existingJobId } from '../job.js';
import { toList } from '../pagination.js';
import { attachment, sendBytes, sendObject } from '../send-object.js';
import { serve } from '../serve.js';
import { tarDigest, tarLength, tarOf } from '../tar-download.js';

interface CheckpointPath {
  params: { fine_tuning_job_id: string; checkpoint_id: string };
  caller: Caller;
}

/** Checkpoints of a job, and their files: one by one, or all in a tar. */
export async function checkpointRoutes(app: FastifyInstance, { db, storage }: ApiDependencies): Promise<void> {
  serve(app, operations.listFineTuningCheckpoints, async (incoming): Promise<FineTuningJobCheckpointList> => {
    const jobId = await existingJobId(db, incoming);
    return toList(await listCheckpoints(db, jobId, incoming.query), toCheckpoint);
  });

  serve(app, operations.listCheckpointFiles, async (incoming): Promise<CheckpointFileList> => {
    const { files } = await existingCheckpoint(incoming);
    return toList({ data: files, hasMore: false }, toFile);
  });

  serve(app, operations.retrieveCheckpointFile, async (incoming, request, reply) => {
    const { id, files } = await existingCheckpoint(incoming);
    const { path } = incoming.params;
    const file = files.find((one) => one.path === path);
    if (!file) {
      const message = `Checkpoint ${id} has no file '${path}'. Its files: ${files.map((one) => one.path).join(', ')}.`;
      throw new ApiError(404, { message, param: 'path', code: 'checkpoint_file_not_found' });
    }
    const filename = path.split('/').at(-1) ?? path;
    return sendObject(storage, { ...file, filename, contentType: contentTypeOf(path) }, request, reply);
  });

  serve(app, operations.downloadCheckpoint, async (incoming, request, reply) => {
    const { jobId, step, files } = await existingCheckpoint(incoming);
    const length = tarLength(files);
    const [filename, contentType] = [`${jobId}-step-${step}.tar`, 'application/x-tar'];
    if (length !== undefined) {
      const open = async (range?: ByteRange) => tarOf(storage, files, range);
      return sendBytes({ bytes: length, sha256: tarDigest(files), filename, contentType, open }, request, reply);
    }
    reply.type(contentType).header('content-disposition', attachment(filename));
    return reply.send(request.method === 'HEAD' ? Readable.from([]) : tarOf(storage, files));
  });

  async function existingCheckpoint(incoming: CheckpointPath): Promise<CheckpointRecord> {
    const jobId = await existingJobId(db, incoming);
    const id = incoming.params.checkpoint_id;
    const checkpoint = await getCheckpoint(db, jobId, id);
    // Those that are not announced may vanish at any time: they are for resuming only.
    if (checkpoint?.announced) return checkpoint;
    throw new ApiError(404, {
      message: `Job ${jobId} has no checkpoint ${id}. GET /v1/fine_tuning/jobs/${jobId}/checkpoints lists those it has.`,
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
