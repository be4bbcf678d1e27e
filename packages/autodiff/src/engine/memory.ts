import { readFileSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Resident bytes of the process: now, and the most that there were. */
export function residentMemory(): { now: number; peak: number } {
  // In kilobytes, and the only figure that is right after the peak was reset.
  const fromLinux = /^VmHWM:\s+(\d+) kB/m.exec(readOrEmpty('/proc/self/status'))?.[1];
  const peak = fromLinux === undefined ? process.resourceUsage().maxRSS : Number(fromLinux);
  return { now: process.memoryUsage.rss(), peak: peak * 1024 };
}

/** Forgets the peak, where the system lets a process do so; elsewhere the peak stays that of its whole life. */
export function resetPeakMemory(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // Not Linux, or not allowed.
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Garbage may grow so large before it is collected. */
const COLLECT_BYTES = 64e6;

/**
 * Collects large buffers that nobody uses any more. V8 sees a few small objects and not what they hold outside its heap,
 * so replaced results of hundreds of megabytes would wait for it for a long time.
 */
export class Garbage {
  private bytes = 0;
  private collect: (() => void) | null = null;

  add(bytes: number): void {
    this.bytes += bytes;
    if (this.bytes < COLLECT_BYTES) return;
    this.bytes = 0;
    if (this.collect === null) {
      setFlagsFromString('--expose-gc');
      this.collect = runInNewContext('gc') as () => void;
    }
    this.collect();
  }
}
