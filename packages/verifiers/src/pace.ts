import { setImmediate as nextTurn } from 'node:timers/promises';

/** Milliseconds that computations may take of one turn of the event loop, all together. */
const SLICE_MS = 5;

let sliceEnd = 0;
let turn: Promise<void> | null = null;

/**
 * For long computations to await every millisecond or so: it goes on at once until the slice of this turn is used up, then
 * in a later turn. Timers, sockets and lock renewals get their turn in between, however many computations there are.
 *
 * @throws the signal's reason when nobody waits for the computation any more
 */
export async function breathe(signal?: AbortSignal): Promise<void> {
  // All who wait resume in one turn, in which the first may use up the next slice.
  while (performance.now() >= sliceEnd) {
    turn ??= nextTurn().then(() => {
      turn = null;
      sliceEnd = performance.now() + SLICE_MS;
    });
    await turn;
  }
  signal?.throwIfAborted();
}
