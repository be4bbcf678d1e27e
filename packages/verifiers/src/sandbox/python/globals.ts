/** State of the generator below, xorshift32. */
let state = 1;

/** Every call draws the same numbers from the operating system, so that a grader gives the same reward again. */
export function restartRandomness(): void {
  state = 0x9e3779b9;
}

/** The few globals that Emscripten's runtime looks for where it takes its surroundings for a web worker. */
export function provideGlobals(): void {
  restartRandomness();
  const nothing = () => {};
  Object.assign(globalThis, {
    WorkerGlobalScope: class {},
    performance: { now: () => Date.now() },
    console: { log: nothing, warn: nothing, error: nothing },
    // A timer would fire in somebody else's call.
    setTimeout: () => 0,
    clearTimeout: nothing,
    crypto: {
      getRandomValues(view: Uint8Array): Uint8Array {
        for (let i = 0; i < view.length; i++) {
          state ^= state << 13;
          state ^= state >>> 17;
          state ^= state << 5;
          view[i] = state >>> 11;
        }
        return view;
      },
    },
  });
}
