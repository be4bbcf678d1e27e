/**
 * Reads several generators at the same time and yields what comes, whichever it comes from. Each is asked for its next item
 * only when its last was taken. The first failure ends all.
 *
 * @param sources started in order
 * @param atOnce how many are open at the same time
 */
export async function* merge<Item>(
  sources: readonly (() => AsyncGenerator<Item>)[],
  atOnce: number,
): AsyncGenerator<Item> {
  const open = new Set<AsyncGenerator<Item>>();
  const asked = new Map<AsyncGenerator<Item>, Promise<[AsyncGenerator<Item>, IteratorResult<Item>]>>();
  const ask = (source: AsyncGenerator<Item>): void => {
    open.add(source);
    asked.set(
      source,
      source.next().then((result) => [source, result]),
    );
  };
  let started = 0;
  try {
    for (;;) {
      while (started < sources.length && open.size < atOnce) ask(sources[started++]!());
      if (open.size === 0) return;
      const [source, result] = await Promise.race(asked.values());
      asked.delete(source);
      if (result.done) {
        open.delete(source);
        continue;
      }
      yield result.value;
      ask(source);
    }
  } finally {
    // Those that wait for an item end when it comes, or when their owner cancels what they wait for.
    for (const source of open) void source.return(undefined).catch(() => {});
  }
}
