import type { GenerateRequest } from '@polymode/contracts';
import { type Database, type InferenceWorkerRecord, listInferenceWorkers } from '@polymode/db';

/** Milliseconds of silence after which a worker counts as gone: it is to be heard of three times meanwhile. */
const SILENT_MS = 15_000;

/** The live workers, and how much of them this process keeps busy. */
export class InferenceWorkers {
  private readonly underWay = new Map<string, number>();

  constructor(private readonly db: Database) {}

  /**
   * Best first: those that have the model loaded, then those that have its base model, then others; of equal ones that which
   * serves the fewest requests of this process.
   */
  async inOrder(request: GenerateRequest): Promise<InferenceWorkerRecord[]> {
    const live = await listInferenceWorkers(this.db, SILENT_MS);
    return live
      .map((worker) => ({ worker, missing: missing(worker, request), busy: this.underWay.get(worker.id) ?? 0 }))
      .sort((a, b) => a.missing - b.missing || a.busy - b.busy)
      .map(({ worker }) => worker);
  }

  /** Counts a request until the function is called that comes back. */
  begin({ id }: InferenceWorkerRecord): () => void {
    const add = (change: number): void => {
      const count = (this.underWay.get(id) ?? 0) + change;
      if (count > 0) this.underWay.set(id, count);
      else this.underWay.delete(id);
    };
    add(1);
    return () => add(-1);
  }
}

/** How much of a model a worker has to load first: 0 for nothing, 2 for all. */
function missing({ models }: InferenceWorkerRecord, { baseModel, checkpointId }: GenerateRequest): number {
  if (models.includes(checkpointId ?? baseModel)) return 0;
  return models.includes(baseModel) ? 1 : 2;
}
