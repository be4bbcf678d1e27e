/** The parts of Emscripten's runtime, as Pyodide builds it, that the interpreter's keeper touches. */
export interface EmscriptenModule {
  /** a new view after each growth of the memory */
  readonly HEAPU8: Uint8Array;
  readonly HEAPU32: Uint32Array;
  readonly FS: FileSystem;
  readonly MEMFS: MemoryFileSystem;
  readonly PIPEFS: { stream_ops: { write: StreamWrite } };
  readonly ENV: Record<string, string>;
  stringToNewUTF8(text: string): number;
}

/** Functions of CPython and of the C library; pointers are addresses. */
export interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly __stack_pointer: { value: number };
  /** address of the variable that points to CPython's table of built-in modules */
  readonly PyImport_Inittab: { readonly value: number };
  malloc(bytes: number): number;
  free(address: number): void;
  PyRun_SimpleString(address: number): number;
  PyImport_AddModule(name: number): number;
  PyObject_GetAttrString(object: number, name: number): number;
  PyObject_CallOneArg(callable: number, argument: number): number;
  PyUnicode_FromStringAndSize(address: number, bytes: number): number;
  PyUnicode_AsUTF8AndSize(object: number, size: number): number;
  PyErr_Clear(): void;
  Py_DecRef(object: number): void;
}

export interface FileNode {
  readonly mount: { readonly mountpoint: string };
  readonly name: string;
  readonly mode: number;
  readonly link?: string;
  readonly usedBytes?: number;
  /** of a folder its entries, of a file its bytes */
  contents: Record<string, FileNode> | Uint8Array;
}

export interface Stream {
  readonly node: FileNode;
  /** null when closed */
  fd: number | null;
}

export type StreamWrite = (
  stream: Stream,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
  canOwn?: boolean,
) => number;

export interface FileSystem {
  readonly ErrnoError: new (errno: number) => Error;
  streams: (Stream | null | undefined)[];
  currentPath: string;
  nextInode: number;
  mkdirTree(path: string): void;
  writeFile(path: string, bytes: Uint8Array, options?: { canOwn: boolean }): void;
  mkdir(path: string, mode: number): unknown;
  symlink(target: string, path: string): unknown;
  chmod(path: string, mode: number): void;
  chdir(path: string): void;
  close(stream: Stream): void;
  mount(type: MemoryFileSystem, options: object, path: string): FileNode;
  unmount(path: string): void;
}

/** Takes a node, or a folder and a name; which one depends on the operation. */
type NodeOperation = (first: FileNode, ...rest: never[]) => unknown;

export interface MemoryFileSystem {
  ops_table: {
    dir: { node: Record<string, NodeOperation> };
    file: { node: Record<string, NodeOperation>; stream: { write: StreamWrite } };
    link: { node: Record<string, NodeOperation> };
    chrdev: { node: Record<string, NodeOperation> };
  };
  stream_ops: { write: StreamWrite };
  resizeFileStorage(node: FileNode, bytes: number): void;
}
