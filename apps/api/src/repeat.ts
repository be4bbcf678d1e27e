/**
 * Does something now and then again and again, never twice at once.
 *
 * @param work is told by its signal that it was the last time @param intervalMs between one end and the next beginning
 * @returns ends it, after the run under way
 */
export function repeat(
  work: (stopping: AbortSignal) => Promise<void>,
  intervalMs: number,
  onError: (error: unknown) => void,
): () => Promise<void> {
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let running = Promise.resolve();
  const start = (): void => {
    running = work(stopping.signal)
      .catch(onError)
      .then(() => {
        if (!stopping.signal.aborted) timer = setTimeout(start, intervalMs);
      });
  };
  start();
  return () => {
    stopping.abort();
    clearTimeout(timer);
    return running;
  };
}
