import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionProvider } from './protocol.js';
import type { SelfCheck } from './self-check.js';

/** What to run on, as a user names it: `auto`, `cpu`, `webgpu`, `cuda`, or `cuda:n` for one of several. */
export type DeviceSpec = { readonly kind: 'auto' } | { readonly kind: ExecutionProvider; readonly deviceId: number };

/** A device that passed its check, as `EngineOptions` take it. */
export interface Device {
  readonly provider: ExecutionProvider;
  readonly deviceId: number;
  /** why it was chosen: a line for the log */
  readonly why: string;
}

/** A device was asked for that is not there or computes wrong; the message says what to do. */
export class DeviceError extends Error {
  override name = 'DeviceError';
}

export interface DeviceOptions {
  /** of the CPU, which a device must be faster than. @defaultValue 1 */
  readonly threads?: number;
  /** Milliseconds that one device's check may take. @defaultValue 120,000 */
  readonly timeoutMs?: number;
}

/** @throws DeviceError for anything else than a DeviceSpec */
export function parseDevice(text: string): DeviceSpec {
  if (text === 'auto') return { kind: 'auto' };
  if (text === 'cpu' || text === 'webgpu') return { kind: text, deviceId: 0 };
  const cuda = /^cuda(?::(\d{1,3}))?$/.exec(text);
  if (cuda !== null) return { kind: 'cuda', deviceId: Number(cuda[1] ?? 0) };
  throw new DeviceError(
    `'${text}' is no device. Use auto, cpu, webgpu, cuda or cuda:n, where n is the number of a GPU.`,
  );
}

/**
 * The device that a user asked for, after a check of its gradients; with `auto` the fastest that passes: CUDA where its
 * libraries are installed, WebGPU, or the CPU. Speed is measured, so that a GPU that is emulated in software, or one that
 * is slower than this CPU, is not chosen by itself.
 *
 * @throws DeviceError when the device that was named cannot be used
 */
export async function resolveDevice(spec: string, options: DeviceOptions = {}): Promise<Device> {
  const wanted = parseDevice(spec);
  if (wanted.kind === 'cpu') return { provider: 'cpu', deviceId: 0, why: 'the CPU, as asked' };
  if (wanted.kind !== 'auto') {
    const { kind: provider, deviceId } = wanted;
    if (provider === 'cuda') requireCuda();
    const { gflops } = await probe(provider, deviceId, options).catch((error: Error) => {
      throw new DeviceError(`${spec} cannot be used: ${error.message} ${ADVICE[provider]}`);
    });
    return { provider, deviceId, why: `${spec}, as asked; its gradients are right, ${rate(gflops)}` };
  }

  const cpu = await probe('cpu', 0, options).catch((error: Error) => {
    throw new DeviceError(`The CPU cannot be used: ${error.message} Reinstall onnxruntime-node for this platform.`);
  });
  const rejected: string[] = [];
  for (const provider of ['cuda', 'webgpu'] as const) {
    if (provider === 'cuda' && cudaLibrary().missing !== null) {
      rejected.push('cuda is not installed');
      continue;
    }
    try {
      const { gflops } = await probe(provider, 0, options);
      if (gflops > cpu.gflops) {
        const why = `${provider}: its gradients are right, ${rate(gflops)} against the CPU's ${rate(cpu.gflops)}`;
        return { provider, deviceId: 0, why };
      }
      rejected.push(`${provider} is slower, ${rate(gflops)}`);
    } catch (error) {
      rejected.push(`${provider}: ${(error as Error).message}`);
    }
  }
  return { provider: 'cpu', deviceId: 0, why: `the CPU, ${rate(cpu.gflops)}; ${rejected.join('; ')}` };
}

const ADVICE = {
  webgpu:
    'Set POLYMODE_DEVICE=cpu, or install a driver for the GPU: Vulkan on Linux, where the loader is the package libvulkan1; ' +
    'macOS and Windows bring Metal and DirectX 12.',
  cuda: 'Set POLYMODE_DEVICE=cpu or webgpu, or install the driver, CUDA 12 and cuDNN 9, where the loader finds them.',
} as const;

const rate = (gflops: number): string => `${gflops.toPrecision(3)} GFLOP/s`;

const INSTALL_CUDA = 'node node_modules/onnxruntime-node/script/install --onnxruntime-node-install=cuda12';

/** @throws DeviceError saying how to get the libraries, where they are not there */
function requireCuda(): void {
  const { missing, possible } = cudaLibrary();
  if (missing === null) return;
  if (!possible) {
    throw new DeviceError(
      `onnxruntime has CUDA for linux/x64 only, and this is ${process.platform}/${process.arch}. Set POLYMODE_DEVICE=webgpu or cpu.`,
    );
  }
  throw new DeviceError(
    `CUDA is an optional download that is not installed: ${missing} is not there. Run "${INSTALL_CUDA}" in the folder that ` +
      'holds node_modules (a few hundred MB), or set POLYMODE_DEVICE=webgpu, which runs on GPUs of every make.',
  );
}

/** @returns the library that is missing, or null; and whether there is one for this machine */
function cudaLibrary(): { missing: string | null; possible: boolean } {
  const root = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const library = join(root, 'bin/napi-v6', process.platform, process.arch, 'libonnxruntime_providers_cuda.so');
  const possible = process.platform === 'linux' && process.arch === 'x64';
  return { missing: existsSync(library) ? null : library, possible };
}

/** Checks a device in a process of its own. @throws Error that says how it failed */
async function probe(provider: ExecutionProvider, deviceId: number, options: DeviceOptions): Promise<SelfCheck> {
  const { threads = 1, timeoutMs = 120_000 } = options;
  const script = fileURLToPath(new URL('./device-probe.js', import.meta.url));
  const argument = JSON.stringify({ provider, deviceId, threads });
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [script, argument], { timeout: timeoutMs, killSignal: 'SIGKILL' }, (failure, stdout) => {
      const answer = readAnswer(stdout);
      if (answer !== null && 'gflops' in answer) resolve(answer);
      else if (answer !== null) reject(new Error(`its check failed: ${shortened(answer.error)}.`));
      else if (failure?.killed) reject(new Error(`its check did not end within ${timeoutMs / 1000} s.`));
      else reject(new Error(`its check ended the process (${failure?.signal ?? `exit code ${failure?.code}`}).`));
    });
  });
}

/** The runtime puts the place in its source before what it has to say. */
function shortened(message: string): string {
  return message.replace(/^\/onnxruntime_src\/.* was false\. /s, '').replace(/[\s.]+$/, '');
}

function readAnswer(stdout: string): SelfCheck | { error: string } | null {
  try {
    return JSON.parse(stdout.slice(stdout.lastIndexOf('{')));
  } catch {
    return null;
  }
}
