import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { exportGraph } from '@polymode/autodiff';
import type { ModelConfig } from '../config.js';
import {
  bytesFile,
  copiedFiles,
  type ExpectedLogits,
  ExportError,
  type ExportSource,
  type Format,
  float32Config,
  jsonBytes,
} from './format.js';
import { cachedDecoder } from './onnx-graph.js';

const MODEL = 'model.onnx';
/** What transformers.js looks for beside it. */
const DATA = `${MODEL}_data`;

/** A folder for transformers.js: `pipeline('text-generation', folder, { dtype: 'fp32' })`. */
export const onnx: Format = {
  files: async (source) => {
    const { policy } = source;
    // Only operators that every provider runs, WebGPU in a browser included.
    const { model, data } = exportGraph(cachedDecoder(policy.config), 'portable', DATA);
    return [
      bytesFile('config.json', jsonBytes(onnxConfig(source, policy.config))),
      ...copiedFiles(source, ['config.json']),
      bytesFile(`onnx/${MODEL}`, model),
      {
        path: `onnx/${DATA}`,
        async *chunks() {
          let end = 0;
          for (const { name, offset } of data) {
            if (offset > end) yield new Uint8Array(offset - end);
            const values = await policy.mergedWeight(name);
            yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
            end = offset + values.byteLength;
          }
        },
      },
    ];
  },
  logits: (folder, _source, expected) => logitsInTransformersJs(folder, expected),
  tolerance: () => 1e-4,
};

/** What transformers.js sizes the cache by, spelt out. */
function onnxConfig(source: ExportSource, config: ModelConfig): Record<string, unknown> {
  const json = float32Config(source);
  const sizes =
    config.family === 'gpt2'
      ? {}
      : {
          num_attention_heads: config.numAttentionHeads,
          num_key_value_heads: config.numKeyValueHeads,
          head_dim: config.headDim,
        };
  return { ...json, ...sizes, 'transformers.js_config': { dtype: 'fp32', use_external_data_format: true } };
}

const CHILD = fileURLToPath(new URL('./onnx-child.js', import.meta.url));

/** In a process of its own: transformers.js brings its own session of onnxruntime, and its memory goes with it. */
async function logitsInTransformersJs(folder: string, { tokens, threads }: ExpectedLogits): Promise<Float32Array> {
  const child = spawn(process.execPath, [CHILD, resolve(folder), String(threads)], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(JSON.stringify(tokens));
  const exited = new Promise<number | null>((done) => child.once('close', done));
  const [bytes, errors] = await Promise.all([buffer(child.stdout), text(child.stderr)]);
  const code = await exited;
  if (code !== 0) throw new ExportError(`transformers.js does not run the ONNX model: ${errors.trim().slice(-2000)}`);
  return new Float32Array(new Uint8Array(bytes).buffer);
}
