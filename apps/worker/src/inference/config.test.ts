import { describe, expect, it } from 'vitest';
import { readInferenceConfig } from './config.js';

const GIB = 2 ** 30;
const read = (env: NodeJS.ProcessEnv) => readInferenceConfig(env, 3, 10 * GIB);

describe('inference settings', () => {
  it('are there with nothing set: loopback, any port, half of the threads, two fifths of the memory', () => {
    expect(read({})).toEqual({
      host: '127.0.0.1',
      port: 0,
      url: undefined,
      threads: 2,
      memoryBytes: 4 * GIB,
      idleSeconds: 300,
      metricsToken: undefined,
    });
    // Compose hands over empty ones.
    expect(read({ POLYMODE_INFERENCE: '', POLYMODE_INFERENCE_URL: '', POLYMODE_INFERENCE_MEMORY_MB: '' })).toEqual(
      read({}),
    );
  });

  it('are what is set', () => {
    expect(
      read({
        POLYMODE_INFERENCE_HOST: '0.0.0.0',
        POLYMODE_INFERENCE_PORT: '8001',
        POLYMODE_INFERENCE_URL: 'http://worker-1:8001/',
        POLYMODE_INFERENCE_THREADS: '5',
        POLYMODE_INFERENCE_MEMORY_MB: '100',
      }),
    ).toMatchObject({
      host: '0.0.0.0',
      port: 8001,
      url: 'http://worker-1:8001',
      threads: 5,
      memoryBytes: 100 * 2 ** 20,
    });
    expect(read({ POLYMODE_INFERENCE: 'off' })).toBeNull();
  });

  it.each([
    ['POLYMODE_INFERENCE', 'no'],
    ['POLYMODE_INFERENCE_URL', 'worker-1:8001'],
    ['POLYMODE_INFERENCE_PORT', '-1'],
    ['POLYMODE_INFERENCE_MEMORY_MB', '0'],
  ])('say what is wrong with %s=%s', (name, value) => {
    expect(() => read({ [name]: value })).toThrow(`${name} is '${value}'. Set`);
  });
});
