import type { EmscriptenModule, FileNode, FileSystem, Stream, StreamWrite } from './emscripten.js';

// Error numbers of WASI.
const NO_SPACE = 51;
const READ_ONLY = 69;

/** What counts against the limit for something that holds no bytes itself. */
const NODE_BYTES = 4096;

const SCRATCH = '/tmp';
const READ_ONLY_FILES = ['/lib/python314.zip'];
const FOLDER = 0o040000;
const LINK = 0o120000;
const KIND = 0o170000;

/** Everything under /tmp, so that it can be made again. */
type ScratchEntry =
  | { readonly path: string; readonly mode: number; readonly bytes: Uint8Array }
  | { readonly path: string; readonly mode: number }
  | { readonly path: string; readonly target: string };

export interface FilesSnapshot {
  readonly scratch: readonly ScratchEntry[];
  readonly currentPath: string;
  readonly nextInode: number;
}

/**
 * The interpreter's files, which are memory of this process: read-only, except /tmp, where a call may write a limited
 * number of bytes. `restore` undoes everything that a call did.
 */
export class Files {
  private readonly fs: FileSystem;
  private scratch: FileNode | null = null;
  /** standard input, output and error */
  private standard: (Stream | null | undefined)[] = [];
  private written = 0;
  private changed = false;

  constructor(
    private readonly module: EmscriptenModule,
    private readonly limitBytes: number,
  ) {
    this.fs = module.FS;
  }

  /** Call once, when everything that the interpreter needs is in place. */
  protect(): void {
    const { fs } = this;
    const { MEMFS, PIPEFS } = this.module;
    this.standard = [...fs.streams];
    for (const path of READ_ONLY_FILES) fs.chmod(path, 0o444);
    this.scratch = fs.mount(MEMFS, {}, SCRATCH);
    const changes = (node: FileNode) => {
      if (node.mount.mountpoint !== SCRATCH) throw new fs.ErrnoError(READ_ONLY);
      this.changed = true;
    };
    const { dir, file, link, chrdev } = MEMFS.ops_table;
    for (const name of ['mknod', 'unlink', 'rmdir', 'symlink', 'setattr']) {
      const change = dir.node[name]!;
      dir.node[name] = (folder, ...rest) => {
        changes(folder);
        this.count(NODE_BYTES);
        return change(folder, ...rest);
      };
    }
    const rename = dir.node.rename as (old: FileNode, folder: FileNode, name: string) => unknown;
    dir.node.rename = (node: FileNode, ...rest: never[]) => {
      const [folder, name] = rest as unknown as [FileNode, string];
      changes(node);
      changes(folder);
      return rename(node, folder, name);
    };
    for (const operations of [file, link, chrdev]) {
      const set = operations.node.setattr!;
      operations.node.setattr = (node, ...rest) => {
        changes(node);
        return set(node, ...rest);
      };
    }
    const resize = MEMFS.resizeFileStorage;
    MEMFS.resizeFileStorage = (node, bytes) => {
      this.count(bytes);
      resize(node, bytes);
    };
    const write: StreamWrite = (stream, buffer, offset, length, position, canOwn) => {
      changes(stream.node);
      // A write far behind the end fills the gap.
      this.count(Math.max(length, position + length - (stream.node.usedBytes ?? 0)));
      return plainWrite(stream, buffer, offset, length, position, canOwn);
    };
    const plainWrite = MEMFS.stream_ops.write;
    MEMFS.stream_ops.write = write;
    file.stream.write = write;
    const pipe = PIPEFS.stream_ops.write;
    PIPEFS.stream_ops.write = (stream, buffer, offset, length, position) => {
      this.count(length);
      return pipe(stream, buffer, offset, length, position);
    };
  }

  snapshot(): FilesSnapshot {
    const { fs } = this;
    const scratch: ScratchEntry[] = [];
    const walk = (folder: FileNode, path: string) => {
      for (const node of Object.values(folder.contents)) {
        const inner = `${path}/${node.name}`;
        const kind = node.mode & KIND;
        if (kind === LINK) scratch.push({ path: inner, target: node.link ?? '' });
        else if (kind === FOLDER) {
          scratch.push({ path: inner, mode: node.mode });
          walk(node, inner);
        } else if (node.contents instanceof Uint8Array) {
          scratch.push({ path: inner, mode: node.mode, bytes: node.contents.slice(0, node.usedBytes) });
        }
      }
    };
    if (this.scratch) walk(this.scratch, SCRATCH);
    return { scratch, currentPath: fs.currentPath, nextInode: fs.nextInode };
  }

  restore(snapshot: FilesSnapshot): void {
    const { fs } = this;
    for (const stream of fs.streams) if (stream && !this.standard.includes(stream)) this.close(stream);
    fs.streams = this.standard.map((stream, fd) => stream && Object.assign(stream, { fd }));
    fs.currentPath = '/';
    if (this.changed) {
      fs.unmount(SCRATCH);
      this.scratch = fs.mount(this.module.MEMFS, {}, SCRATCH);
      for (const entry of snapshot.scratch) {
        if ('target' in entry) fs.symlink(entry.target, entry.path);
        else if ('bytes' in entry) fs.writeFile(entry.path, entry.bytes);
        else fs.mkdir(entry.path, entry.mode);
        if ('mode' in entry) fs.chmod(entry.path, entry.mode);
      }
      this.changed = snapshot.scratch.length > 0;
    }
    fs.nextInode = snapshot.nextInode;
    fs.currentPath = snapshot.currentPath;
    this.written = 0;
  }

  private close(stream: Stream): void {
    try {
      this.fs.close(stream);
    } catch {
      // A stream whose other end is gone, as a pipe's may be: nothing is left to close.
    }
  }

  private count(bytes: number): void {
    if (this.written + bytes > this.limitBytes) throw new this.fs.ErrnoError(NO_SPACE);
    this.written += bytes;
  }
}
