import { resolve } from 'node:path';
import { HubError, type PullProgress, pullModel } from '@polymode/policy/hub';
import { listBaseModels, modelDirs, parameterCount } from '@polymode/policy/registry';
import { CommandError } from './command-error.js';
import { readArguments } from './read-arguments.js';

export const MODELS_USAGE = `Usage: polymode models list
       polymode models pull OWNER/NAME [options]

Lists the base models that jobs can name, or fetches one from the Hugging Face Hub.

  --revision R      branch, tag or commit (default main); it is pinned to its commit
  --file F          one GGUF file of the repository instead of its safetensors
  --data-dir DIR    models are kept in DIR/models (POLYMODE_DATA_DIR; default .polymode)
  --models-dir DIR  or in this folder; list it in POLYMODE_MODELS_DIR then

HF_TOKEN reads private and gated models, HF_ENDPOINT names another Hub.
`;

/** @param args what follows `polymode models` @throws CommandError */
export async function runModels(args: readonly string[]): Promise<void> {
  const { values, positionals } = readArguments(args, OPTIONS, MODELS_USAGE);
  if (values.help) {
    process.stdout.write(MODELS_USAGE);
    return;
  }
  const [command, id, ...rest] = positionals;
  const dataDir = resolve(values['data-dir'] ?? (process.env.POLYMODE_DATA_DIR || '.polymode'));
  if (command === 'list' && id === undefined) {
    await list(dataDir, values['models-dir']);
  } else if (command === 'pull' && id !== undefined && rest.length === 0) {
    await pull(id, resolve(values['models-dir'] ?? `${dataDir}/models`), values.revision, values.file);
  } else {
    throw new CommandError(MODELS_USAGE, 2);
  }
}

const OPTIONS = {
  revision: { type: 'string' },
  file: { type: 'string' },
  'data-dir': { type: 'string' },
  'models-dir': { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

async function list(dataDir: string, modelsDir: string | undefined): Promise<void> {
  const dirs = [
    ...modelDirs(dataDir, process.env.POLYMODE_MODELS_DIR),
    ...(modelsDir === undefined ? [] : [modelsDir]),
  ];
  for (const model of listBaseModels(dirs)) {
    const count = await parameterCount(model).catch(() => null);
    const size =
      count === null ? 'damaged' : count < 1e9 ? `${(count / 1e6).toFixed(1)}M` : `${(count / 1e9).toFixed(1)}B`;
    process.stdout.write(`${model.id}\t${size}\t${model.format}\t${model.path}\n`);
  }
}

async function pull(id: string, modelsDir: string, revision?: string, file?: string): Promise<void> {
  const { HF_ENDPOINT: endpoint, HF_TOKEN: token } = process.env;
  try {
    const { path, commit, bytes, known, ...model } = await pullModel(id, {
      modelsDir,
      ...(revision === undefined ? {} : { revision }),
      ...(file === undefined ? {} : { file }),
      ...(endpoint ? { endpoint } : {}),
      ...(token ? { token } : {}),
      onProgress: progressPrinter(),
    });
    const did = known ? 'is here already' : `fetched, ${(bytes / 1e6).toFixed(1)} MB`;
    process.stdout.write(`${model.id} ${did}: commit ${commit}, in ${path}\n`);
  } catch (error) {
    if (error instanceof HubError || (error instanceof Error && error.name === 'UnsupportedConfigError')) {
      throw new CommandError(error.message, 1);
    }
    throw error;
  }
}

/** A line for each tenth of the way, on standard error. */
function progressPrinter(): (progress: PullProgress) => void {
  let told = -1;
  return ({ file, bytes, total }) => {
    const tenth = total === 0 ? 10 : Math.floor((10 * bytes) / total);
    if (tenth === told) return;
    told = tenth;
    process.stderr.write(`${String(tenth * 10).padStart(3)} % of ${(total / 1e6).toFixed(1)} MB (${file})\n`);
  };
}
