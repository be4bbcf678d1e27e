import { text } from 'node:stream/consumers';
import { ResolvedMethod } from '@polymode/contracts';
import { type Database, getFile, type JobRecord } from '@polymode/db';
import { findBaseModel } from '@polymode/policy/registry';
import type { Storage } from '@polymode/storage';
import {
  type PreferenceRow,
  type SupervisedRow,
  TrainerInputError,
  type TrainerOptions,
  type TrainRow,
} from '@polymode/trainer';
import { compileGrader, compileOutcome, type GraderServices, inProject } from '@polymode/verifiers';

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
  const model = findBaseModel(job.baseModel, modelDirs);
  if (model === undefined) {
    throw new TrainerInputError('model_not_found', 'model', `this worker has no base model '${job.baseModel}'`);
  }
  const method = ResolvedMethod.parse(job.method);
  const rows = async <Row>(fileId: string | null, param: string): Promise<Row[]> =>
    fileId === null ? [] : await readRows<Row>(db, storage, job.projectId, fileId, param);
  const files = async <Row>() => ({
    trainRows: await rows<Row>(job.trainingFileId, 'training_file'),
    validationRows: await rows<Row>(job.validationFileId, 'validation_file'),
  });
  const shared = { model: { path: model.path, name: job.baseModel }, seed: job.seed };
  switch (method.type) {
    case 'supervised':
      return {
        ...shared,
        ...(await files<SupervisedRow>()),
        method: 'supervised',
        hyperparameters: method.supervised.hyperparameters,
      };
    case 'dpo':
      return {
        ...shared,
        ...(await files<PreferenceRow>()),
        method: 'dpo',
        hyperparameters: method.dpo.hyperparameters,
      };
    case 'reinforcement': {
      const { reinforcement } = method;
      const grader = compileGrader(reinforcement.grader, inProject(graderServices, job.projectId));
      return {
        ...shared,
        ...(await files<TrainRow>()),
        method: 'reinforcement',
        grader,
        ...(reinforcement.response_format === null
          ? {}
          : { completionSchema: reinforcement.response_format.json_schema.schema }),
        grading: {
          outcome: compileOutcome(reinforcement.outcome, grader),
          maxErrorShare: reinforcement.max_grader_error_share,
          timeoutMs: reinforcement.grader_timeout_ms,
        },
        hyperparameters: reinforcement.hyperparameters,
      };
    }
  }
}

async function readRows<Row>(
  db: Database,
  storage: Storage,
  projectId: string,
  fileId: string,
  param: string,
): Promise<Row[]> {
  const file = await getFile(db, projectId, fileId);
  if (file === null) throw new TrainerInputError('file_not_found', param, `No such File object: ${fileId}`);
  const content = await text(await storage.get(file.storageKey));
  const lines = content.replace(/^\uFEFF/, '').split('\n');
  return lines.filter((line) => line.trim() !== '').map((line) => JSON.parse(line) as Row);
}
