import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readModel } from '@polymode/policy';
import { HubError, type PullOptions, pullModel } from '@polymode/policy/hub';
import { findBaseModel } from '@polymode/policy/registry';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const SHIPPED = findBaseModel('polymode-tiny')!.path;
const GGUF = fileURLToPath(new URL('fixtures/gguf/smollm.gguf', import.meta.url));
const COMMITS = ['a', 'b'].map((c) => c.repeat(40));

/** A server with the calls of the Hub that a download makes: revisions, trees, files by commit, redirects, ranges. */
class Hub {
  readonly server: Server = createServer((request, response) => this.answer(request, response));
  /** file name → bytes, of the repository test/tiny at its newest commit */
  files = new Map<string, Buffer>();
  commit = COMMITS[0]!;
  /** what files were asked for, with the byte they were asked from */
  asked: string[] = [];
  token: string | null = null;
  /** ends connections after so many bytes of a file, once */
  cutAfter: number | null = null;
  /** sends wrong bytes for a file, so many times */
  spoil: { name: string; times: number } | null = null;
  url = '';

  async start(): Promise<void> {
    await new Promise<void>((done) => this.server.listen(0, '127.0.0.1', done));
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url!, this.url);
    const json = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (this.token !== null && request.headers.authorization !== `Bearer ${this.token}`) {
      json(401, { error: 'Invalid credentials' });
      return;
    }
    const revision = /^\/api\/models\/test\/tiny\/revision\/(.+)$/.exec(pathname);
    const tree = /^\/api\/models\/test\/tiny\/tree\/([^/]+)/.exec(pathname);
    const file = /^\/test\/tiny\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    if (revision !== null) {
      if (!['main', this.commit].includes(decodeURIComponent(revision[1]!))) json(404, { error: 'Invalid rev id' });
      else
        json(200, {
          _id: '1',
          id: 'test/tiny',
          modelId: 'test/tiny',
          sha: this.commit,
          likes: 0,
          downloads: 0,
          tags: [],
        });
    } else if (tree !== null) {
      json(
        200,
        [...this.files].map(([path, bytes]) => treeEntry(path, bytes)),
      );
    } else if (file !== null && file[1] === this.commit && this.files.has(file[2]!)) {
      // As the Hub does for large files.
      response.writeHead(302, { location: `/cdn/${file[2]}` }).end();
    } else if (pathname.startsWith('/cdn/')) {
      this.send(pathname.slice('/cdn/'.length), request, response);
    } else {
      json(404, { error: 'Repository not found' });
    }
  }

  private send(name: string, request: IncomingMessage, response: ServerResponse): void {
    const whole = this.files.get(name)!;
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    this.asked.push(from === 0 ? name : `${name} from ${from}`);
    let bytes = whole.subarray(from);
    if (this.spoil?.name === name && this.spoil.times-- > 0) {
      bytes = Buffer.from(bytes).fill(7, 0, 1);
    }
    response.writeHead(from === 0 ? 200 : 206, { 'content-length': bytes.length });
    if (this.cutAfter !== null && bytes.length > this.cutAfter) {
      response.write(bytes.subarray(0, this.cutAfter), () => response.destroy());
      this.cutAfter = null;
      return;
    }
    response.end(bytes);
  }
}

function treeEntry(path: string, bytes: Buffer): object {
  const blob = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
  const entry = { type: 'file', path, size: bytes.length, oid: blob };
  if (!/\.(safetensors|gguf)$/.test(path)) return entry;
  const oid = createHash('sha256').update(bytes).digest('hex');
  return { ...entry, oid: 'f'.repeat(40), lfs: { oid, size: bytes.length, pointerSize: 130 } };
}

const hub = new Hub();
let models: string;
const pull = (options: Partial<PullOptions> = {}) =>
  pullModel('test/tiny', { modelsDir: models, endpoint: hub.url, ...options });

beforeAll(async () => {
  await hub.start();
  return () => new Promise((done) => hub.server.close(done));
});
beforeEach(async () => {
  models = await mkdtemp(join(tmpdir(), 'polymode-hub-'));
  const names = await readdir(SHIPPED);
  hub.files = new Map(await Promise.all(names.map(async (n) => [n, await readFile(join(SHIPPED, n))] as const)));
  hub.files.set('README.md', Buffer.from('# not needed'));
  hub.files.set('pytorch_model.bin', Buffer.alloc(1000));
  Object.assign(hub, { asked: [], token: null, cutAfter: null, spoil: null, commit: COMMITS[0] });
});
const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  folders.push(models);
});

describe('pullModel', () => {
  it('fetches what a model needs, pinned to its commit, under a name that jobs can use', async () => {
    const progress: number[] = [];
    const pulled = await pull({ onProgress: ({ bytes, total }) => progress.push(bytes / total) });
    expect(pulled).toMatchObject({ id: 'test/tiny', commit: COMMITS[0], known: false });
    expect(hub.asked[0]).toBe('config.json');
    expect(hub.asked).toContain('model.safetensors');
    expect(hub.asked).not.toContain('README.md');
    expect(hub.asked).not.toContain('pytorch_model.bin');
    expect(progress.at(-1)).toBe(1);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));

    const model = findBaseModel('test/tiny', [models])!;
    expect(model).toMatchObject({ format: 'safetensors', path: pulled.path });
    expect((await readModel(model.path)).weights).toEqual((await readModel(SHIPPED)).weights);
    expect(JSON.parse(await readFile(join(model.path, '.polymode.json'), 'utf8'))).toMatchObject({
      revision: 'main',
      commit: COMMITS[0],
    });
    expect(await readdir(join(models, '.incoming'))).toEqual([]);

    hub.asked = [];
    expect(await pull()).toMatchObject({ known: true });
    expect(hub.asked).toEqual([]);
  });

  it('fetches a newer commit in place of an older one', async () => {
    const { path } = await pull();
    hub.commit = COMMITS[1]!;
    hub.files.set('generation_config.json', Buffer.from('{"eos_token_id": 0, "temperature": 0.5}'));
    expect(await pull()).toMatchObject({ path, commit: COMMITS[1], known: false });
    expect(await readFile(join(path, 'generation_config.json'), 'utf8')).toContain('0.5');
  });

  it('goes on where a connection was cut, and where an earlier call was', async () => {
    hub.cutAfter = 100_000;
    await pull();
    const resumed = hub.asked.filter((a) => a.startsWith('model.safetensors'));
    expect(resumed[0]).toBe('model.safetensors');
    expect(resumed[1]).toMatch(/^model\.safetensors from \d{4,}$/);

    // As a killed process leaves it.
    await rm(join(models, 'test'), { recursive: true });
    const incoming = join(models, '.incoming', `test--tiny-${COMMITS[0]}`);
    const bytes = hub.files.get('model.safetensors')!;
    await mkdir(incoming, { recursive: true });
    await writeFile(join(incoming, 'model.safetensors.part'), bytes.subarray(0, 5000));
    hub.asked = [];
    await pull();
    expect(hub.asked).toContain('model.safetensors from 5000');
    expect((await readModel(join(models, 'test/tiny'))).weights).toEqual((await readModel(SHIPPED)).weights);
  });

  it.each(['model.safetensors', 'tokenizer.json'])('fetches %s again when other bytes arrive', async (name) => {
    hub.spoil = { name, times: 1 };
    const { path } = await pull();
    expect(hub.asked.filter((a) => a === name)).toHaveLength(2);
    expect((await readFile(join(path, name))).equals(hub.files.get(name)!)).toBe(true);
  });

  it('gives up on bytes that never match, and keeps nothing under the model’s name', async () => {
    hub.spoil = { name: 'model.safetensors', times: 1000 };
    await expect(pull()).rejects.toThrow(/model\.safetensors could not be downloaded: its bytes are not those/);
    expect(findBaseModel('test/tiny', [models])).toBeUndefined();
  });

  it('refuses a model that cannot run before its weights are asked for', async () => {
    hub.files.set('config.json', Buffer.from('{"model_type": "mamba"}'));
    await expect(pull()).rejects.toThrow(/model_type/);
    expect(hub.asked).toEqual(['config.json']);
    expect(findBaseModel('test/tiny', [models])).toBeUndefined();
  });

  it('fetches one GGUF file by its name', async () => {
    hub.files.set('tiny.F32.gguf', await readFile(GGUF));
    const pulled = await pull({ file: 'tiny.F32.gguf' });
    expect(pulled).toMatchObject({ id: 'tiny.F32', commit: COMMITS[0] });
    expect(hub.asked).toEqual(['tiny.F32.gguf']);
    expect(findBaseModel('tiny.F32', [models])).toMatchObject({ format: 'gguf', path: pulled.path });
    expect(await pull({ file: 'tiny.F32.gguf' })).toMatchObject({ known: true });
    await expect(pull({ file: 'other.gguf' })).rejects.toThrow("has no file 'other.gguf'. It has tiny.F32.gguf.");
    hub.files.delete('model.safetensors');
    hub.commit = COMMITS[1]!;
    await expect(pull()).rejects.toThrow(/no model\.safetensors\. Name one of its GGUF files with --file: tiny\.F32/);
  });

  it('says what to do when it may not, when there is nothing, and when nobody answers', async () => {
    hub.token = 'hf_secret';
    await expect(pull()).rejects.toThrow(/private, gated or does not exist.*HF_TOKEN/);
    await expect(pull({ token: 'hf_secret' })).resolves.toMatchObject({ known: false });
    await expect(pull({ token: 'secret' })).rejects.toThrow('begin with hf_');
    hub.token = null;
    await expect(pull({ revision: 'v9' })).rejects.toThrow("has no revision 'v9'");
    await expect(pullModel('test/none', { modelsDir: models, endpoint: hub.url })).rejects.toThrow('does not exist');
    await expect(pull({ endpoint: 'http://127.0.0.1:1' })).rejects.toThrow(/cannot be reached .*HF_ENDPOINT/);
    await expect(pullModel('tiny', { modelsDir: models })).rejects.toThrow(HubError);
  });
});
