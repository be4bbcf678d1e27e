import type { ToolCall } from '@polymode/contracts';
import { heldBack } from '@polymode/policy';
import { readToolCalls } from '@polymode/verifiers';

/** A piece of a completion's text, in its order; not shown where it is a tool call, or the space around one. */
export interface Piece {
  readonly text: string;
  readonly shown: boolean;
}

const OPEN = '<tool_call>';
const CLOSE = '</tool_call>';

/**
 * Takes tool calls out of a text that arrives bit by bit, and holds back what may turn out to be one. What is not well formed
 * is no call and stays in the text, as `readToolCalls` has it.
 */
export class ToolCallReader {
  readonly calls: ToolCall[] = [];
  private undecided = '';
  /** whether nothing but blank space came since a call */
  private afterCall = false;

  /** @returns what is decided now */
  push(text: string): Piece[] {
    this.undecided += text;
    const pieces: Piece[] = [];
    while (this.undecided !== '') {
      const open = this.undecided.indexOf(OPEN);
      if (open < 0) {
        const kept = heldBack([OPEN], this.undecided);
        pieces.push(...this.take(spaceBefore(this.undecided, this.undecided.length - kept), true));
        break;
      }
      const close = this.undecided.indexOf(CLOSE, open);
      if (close < 0) {
        pieces.push(...this.take(spaceBefore(this.undecided, open), true));
        break;
      }
      const end = close + CLOSE.length;
      const [call] = readToolCalls(this.undecided.slice(open, end)).calls;
      if (call === undefined) {
        pieces.push(...this.take(end, true));
        continue;
      }
      pieces.push(...this.take(spaceBefore(this.undecided, open), true));
      pieces.push(...this.take(this.undecided.indexOf(CLOSE) + CLOSE.length, false));
      this.calls.push(call.function);
      this.afterCall = true;
    }
    return pieces;
  }

  /** @returns what is left when nothing more comes */
  end(): Piece[] {
    return this.take(this.undecided.length, this.calls.length === 0 || this.undecided.trim() !== '');
  }

  private take(length: number, shown: boolean): Piece[] {
    const taken = this.undecided.slice(0, length);
    this.undecided = this.undecided.slice(length);
    const blank = shown && this.afterCall ? taken.length - taken.trimStart().length : 0;
    if (shown && blank < taken.length) this.afterCall = false;
    return [
      { text: taken.slice(0, blank), shown: false },
      { text: taken.slice(blank), shown },
    ].filter((piece) => piece.text !== '');
  }
}

/** Where the blank space begins that ends at a place. */
function spaceBefore(text: string, end: number): number {
  return text.slice(0, end).trimEnd().length;
}
