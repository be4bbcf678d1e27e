import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

/** Modules of this workspace and of onnxruntime that importing `name` loads, seen from a fresh process. */
function loadedBy(name: string): string[] {
  const script = `
    import { register } from 'node:module';
    register('data:text/javascript,' + encodeURIComponent(\`
      export async function resolve(specifier, context, next) {
        const found = await next(specifier, context);
        console.log(found.url);
        return found;
      }\`));
    await import(${JSON.stringify(name)});`;
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: new URL('.', import.meta.url),
    encoding: 'utf8',
  });
  return out.split('\n').filter((url) => url.startsWith('file:'));
}

it('the advantages load alone, without the tensor engine that the surrogate needs', () => {
  const engine = /packages\/autodiff|onnxruntime/;
  const light = loadedBy('@polymode/objectives/advantages');
  expect(light.length).toBeGreaterThan(0);
  expect(light.filter((url) => engine.test(url))).toEqual([]);
  // The same look at the main entry finds it.
  expect(loadedBy('@polymode/objectives').some((url) => engine.test(url))).toBe(true);
});
