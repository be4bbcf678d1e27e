import type { GenerateRequest } from '@polymode/contracts';

/** Where a worker's inference server is. */
export interface InferenceWorker {
  readonly id: string;
  readonly url: string;
  /** What it wants to be shown. */
  readonly token: string;
  /** Models that it has loaded. */
  readonly models: readonly string[];
}

/** The live workers, and how much of them this process keeps busy. */
export class InferenceWorkers {
  private readonly underWay = new Map<string, number>();

  constructor(private readonly listLive: () => Promise<InferenceWorker[]>) {}

  /** Best first: those that have the request's model loaded, then those with the fewest requests of this process. */
  async inOrder(request: GenerateRequest): Promise<InferenceWorker[]> {
    const live = await this.listLive();
    const key = request.checkpointId ?? request.baseModel;
    const rank = ({ id, models }: InferenceWorker): [number, number] => [
      models.includes(key) || models.includes(request.model) ? 0 : 1,
      this.underWay.get(id) ?? 0,
    ];
    return live
      .map((worker) => ({ worker, rank: rank(worker) }))
      .sort(({ rank: a }, { rank: b }) => a[0] - b[0] || a[1] - b[1])
      .map(({ worker }) => worker);
  }

  /** Counts a request until the function is called that comes back. */
  begin({ id }: InferenceWorker): () => void {
    const add = (change: number): void => {
      const count = (this.underWay.get(id) ?? 0) + change;
      if (count > 0) this.underWay.set(id, count);
      else this.underWay.delete(id);
    };
    add(1);
    return () => add(-1);
  }
}
