import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** Runs the worker, which must end before it opens anything: there is no database at this address. */
function startWith(device: string): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(process.execPath, [fileURLToPath(new URL('../dist/main.js', import.meta.url))], {
    env: { ...process.env, DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', POLYMODE_DEVICE: device },
    encoding: 'utf8',
  });
  return { status, stderr };
}

describe('a worker’s POLYMODE_DEVICE', () => {
  it('must be a device', () => {
    const { status, stderr } = startWith('gpu');
    expect(status).toBe(2);
    expect(stderr).toBe(
      "POLYMODE_DEVICE: 'gpu' is no device. Use auto, cpu, webgpu, cuda or cuda:n, where n is the number of a GPU.\n",
    );
  });

  it('must be a device that is there', () => {
    const { status, stderr } = startWith('cuda:999');
    expect(status).toBe(2);
    expect(stderr).toMatch(/^POLYMODE_DEVICE: .*(optional download|cannot be used|linux\/x64 only)/m);
    expect(stderr).toMatch(/POLYMODE_DEVICE=(webgpu|cpu)/);
  });
});
