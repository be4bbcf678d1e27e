import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';
import { lockDown } from '../child/lockdown.js';
import { serve } from '../child/serve.js';
import { runTimed } from '../child/timed.js';
import type { SandboxReply, SandboxRequest } from '../protocol.js';

/*
 * The program of a process that grades with Python. Arguments: the folder of the pyodide package, the memory limit in
 * mebibytes.
 */

type Realm = typeof import('./realm.js');

const [pyodide, memoryMb] = process.argv.slice(2) as [string, string];

/** Its global object comes from no object of this realm, and text cannot become code in it. */
const context = vm.createContext(Object.create(null), { codeGeneration: { strings: false, wasm: true } });

async function load(path: string, modules = new Map<string, vm.SourceTextModule>()): Promise<vm.SourceTextModule> {
  const module = new vm.SourceTextModule(readFileSync(path, 'utf8'), {
    context,
    identifier: path,
    initializeImportMeta: (meta) => {
      meta.url = 'file:///module.mjs';
    },
  });
  modules.set(path, module);
  await module.link(async (specifier, from) => {
    const to = join(dirname(from.identifier), specifier);
    return modules.get(to) ?? load(to, modules);
  });
  return module;
}

const realmModule = await load(join(dirname(fileURLToPath(import.meta.url)), 'realm.js'));
await realmModule.evaluate();
const realm = realmModule.namespace as Realm;
const emscripten = await load(join(pyodide, 'pyodide.asm.mjs'));
await emscripten.evaluate();
const { default: createModule } = emscripten.namespace as { default: Parameters<Realm['start']>[0] };
for (const name of ['pyodide.asm.wasm', 'python_stdlib.zip']) {
  const bytes = readFileSync(join(pyodide, name));
  realm.allocate(name, bytes.length).set(bytes);
}
await realm.start(createModule, Number(memoryMb) * 1024 * 1024);

lockDown();
serve(({ kind, source, input, timeoutMs }: SandboxRequest): SandboxReply => {
  const reply = runTimed(timeoutMs, () =>
    kind === 'check' ? realm.check(source) : realm.grade(source, JSON.stringify(input)),
  );
  return JSON.parse(reply) as SandboxReply;
});
