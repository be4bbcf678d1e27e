import { DeviceError, parseDevice, resolveDevice } from '@polymode/autodiff';
import { findWebGpu } from '@polymode/autodiff/testing';
import { describe, expect, it } from 'vitest';

const webGpu = findWebGpu();
Object.assign(process.env, webGpu.env);

describe('a device’s name', () => {
  it.each([
    ['auto', { kind: 'auto' }],
    ['cpu', { kind: 'cpu', deviceId: 0 }],
    ['webgpu', { kind: 'webgpu', deviceId: 0 }],
    ['cuda', { kind: 'cuda', deviceId: 0 }],
    ['cuda:3', { kind: 'cuda', deviceId: 3 }],
  ])('%s is read', (text, spec) => {
    expect(parseDevice(text)).toEqual(spec);
  });

  it.each(['', 'gpu', 'CPU', 'cuda:', 'cuda:-1', 'cuda:x', 'webgpu:1'])(
    '%j is refused, with those that there are',
    (text) => {
      expect(() => parseDevice(text)).toThrow(DeviceError);
      expect(() => parseDevice(text)).toThrow(`'${text}' is no device. Use auto, cpu, webgpu, cuda or cuda:n`);
    },
  );
});

describe('choosing a device', () => {
  it('takes the CPU when asked to', async () => {
    expect(await resolveDevice('cpu')).toMatchObject({ provider: 'cpu', deviceId: 0 });
  });

  it('says how to install CUDA where it is missing', async () => {
    await expect(resolveDevice('cuda:1')).rejects.toThrow(DeviceError);
    await expect(resolveDevice('cuda:1')).rejects.toThrow(
      process.platform === 'linux' && process.arch === 'x64'
        ? 'node node_modules/onnxruntime-node/script/install --onnxruntime-node-install=cuda12'
        : 'linux/x64 only',
    );
  });

  it('survives a check that does not end', async () => {
    await expect(resolveDevice('webgpu', { timeoutMs: 1 })).rejects.toThrow(
      'webgpu cannot be used: its check did not end within 0.001 s.',
    );
  });

  it('does not take WebGPU without an adapter, and says what one needs', async () => {
    const before = process.env.VK_ICD_FILENAMES;
    process.env.VK_ICD_FILENAMES = '/nowhere.json';
    try {
      if (process.platform === 'linux') {
        await expect(resolveDevice('webgpu')).rejects.toThrow(/webgpu cannot be used: .*Vulkan on Linux/s);
      }
    } finally {
      if (before === undefined) delete process.env.VK_ICD_FILENAMES;
      else process.env.VK_ICD_FILENAMES = before;
    }
  });

  it.skipIf(!webGpu.available || process.env.POLYMODE_TEST_WEBGPU === 'device')(
    'takes the CPU by itself before a GPU that is emulated, though that one’s gradients are right',
    async () => {
      const { provider, why } = await resolveDevice('auto', { threads: 2 });
      expect(provider).toBe('cpu');
      expect(why).toMatch(/webgpu is slower, 0\.\d+ GFLOP\/s/);
    },
  );
});
