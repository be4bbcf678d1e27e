import { open } from 'node:fs/promises';

const EVERY_MS = 50;
const PAGE_BYTES = 4096;

/**
 * Watches the resident memory of a process, on systems that have /proc. It is the last of several caps: WebAssembly's
 * memory, the files in it and the JavaScript heap have caps of their own.
 */
export class MemoryWatch {
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly pid: number | undefined,
    private readonly limitBytes: number,
    private readonly onExcess: () => void,
  ) {}

  start(): void {
    if (process.platform !== 'linux' || this.pid === undefined) return;
    this.timer ??= setInterval(() => void this.look(), EVERY_MS).unref();
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer);
    this.timer = null;
  }

  private async look(): Promise<void> {
    const resident = await residentBytes(this.pid!);
    if (this.timer && resident > this.limitBytes) this.onExcess();
  }
}

/** @returns 0 when the process is gone */
async function residentBytes(pid: number): Promise<number> {
  try {
    const file = await open(`/proc/${pid}/statm`);
    try {
      return Number((await file.readFile('utf8')).split(' ')[1]) * PAGE_BYTES;
    } finally {
      await file.close();
    }
  } catch {
    return 0;
  }
}
