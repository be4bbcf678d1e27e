import { text } from 'node:stream/consumers';
import { ResolvedHyperparameters, ResolvedMethod } from '@polymode/contracts';
import { type Database, getFile, type JobRecord } from '@polymode/db';
import { findBaseModel } from '@polymode/policy/registry';
import type { Storage } from '@polymode/storage';
import { TrainerInputError, type TrainerOptions, type TrainRow } from '@polymode/trainer';
import { compileGrader, compileOutcome, type GraderServices } from '@polymode/verifiers';

/**
 * What a job's row and files ask of the trainer.
 *
 * @throws TrainerInputError when the base model or a file is not there any more
 */
export async function readJobInput(
  db: Database,
  storage: Storage,
  job: JobRecord,
  modelDirs: readonly string[],
  graderServices: GraderServices,
): Promise<TrainerOptions> {
  const model = findBaseModel(job.model, modelDirs);
  if (model === undefined) {
    throw new TrainerInputError('model_not_found', 'model', `this worker has no base model '${job.model}'`);
  }
  const { reinforcement } = ResolvedMethod.parse(job.method);
  const grader = compileGrader(reinforcement.grader, graderServices);
  return {
    method: 'reinforcement',
    model: { path: model.path, name: job.model },
    trainRows: await readRows(db, storage, job.trainingFileId, 'training_file'),
    validationRows:
      job.validationFileId === null ? [] : await readRows(db, storage, job.validationFileId, 'validation_file'),
    grader,
    grading: {
      outcome: compileOutcome(reinforcement.outcome, grader),
      maxErrorShare: reinforcement.max_grader_error_share,
      timeoutMs: reinforcement.grader_timeout_ms,
    },
    hyperparameters: ResolvedHyperparameters.parse(job.hyperparameters),
    seed: job.seed,
  };
}

async function readRows(db: Database, storage: Storage, fileId: string, param: string): Promise<TrainRow[]> {
  const file = await getFile(db, fileId);
  if (file === null) throw new TrainerInputError('file_not_found', param, `No such File object: ${fileId}`);
  const content = await text(await storage.get(file.storageKey));
  const lines = content.replace(/^\uFEFF/, '').split('\n');
  return lines.filter((line) => line.trim() !== '').map((line) => JSON.parse(line) as TrainRow);
}
