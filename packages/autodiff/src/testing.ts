import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';

/** What a process needs in its environment to find a WebGPU device, or why there is none. */
export interface WebGpuForTests {
  readonly available: boolean;
  /** for the line that says why tests are skipped */
  readonly reason?: string;
  /** to be set before the first engine starts */
  readonly env: Readonly<Record<string, string>>;
}

/** Where Debian's chromium keeps SwiftShader, a Vulkan device in software. Its libvulkan1 is the loader. */
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';
const LOADERS = ['/usr/lib/x86_64-linux-gnu/libvulkan.so.1', '/usr/lib/aarch64-linux-gnu/libvulkan.so.1'];

/**
 * A WebGPU device for tests: the one that VK_ICD_FILENAMES names already, or SwiftShader from Debian's packages
 * `chromium` and `libvulkan1`. Set POLYMODE_TEST_WEBGPU=device to use the machine's own GPU.
 */
export function findWebGpu(): WebGpuForTests {
  if (process.env.POLYMODE_TEST_WEBGPU === 'device' || process.env.VK_ICD_FILENAMES)
    return { available: true, env: {} };
  if (!LOADERS.some(existsSync)) {
    return { available: false, reason: 'there is no Vulkan loader; install libvulkan1', env: {} };
  }
  if (!existsSync(SWIFTSHADER)) {
    return { available: false, reason: 'there is no SwiftShader; install chromium', env: {} };
  }
  // Vulkan's loader wants a runtime folder; any will do.
  return {
    available: true,
    env: { VK_ICD_FILENAMES: SWIFTSHADER, XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? tmpdir() },
  };
}
