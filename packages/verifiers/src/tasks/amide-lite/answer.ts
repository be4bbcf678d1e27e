/** Characters of an answer that is looked at. */
const LONGEST_TEXT = 100_000;

/**
 * Characters of a SMILES that is handed to RDKit. The longest of the space has 52; each of RDKit's steps takes at most some
 * 20 ms for this many, whereas a chain of 600 atoms overflows its stack.
 */
const LONGEST_SMILES = 300;

/** `SMILES:` at the beginning of a line, perhaps in a list or in bold. A star after it may be a dummy atom. */
const MARKER = /^[ \t>*#-]{0,20}SMILES[ \t]?(?:\*\*:|:\*\*(?=\s)|:)/i;

/** What SMILES are written with. Neither white space nor `|{}`: RDKit would read names, extensions and other formats. */
const SMILES = /^[A-Za-z0-9()[\].=#$:/\\@+\-%*]+$/;

/**
 * Finds the SMILES in a model's answer.
 *
 * It is what follows `SMILES:` on the first line that begins so and goes on; failing that, the whole answer if it is nothing
 * else. Quotes and backticks around it are dropped; with anything else beside it, it is not read.
 *
 * @returns null when there is none, or one over 300 characters
 */
export function findSmiles(text: string): string | null {
  if (text.length > LONGEST_TEXT) return null;
  for (const line of text.split('\n')) {
    const marker = MARKER.exec(line)?.[0];
    if (marker === undefined) continue;
    const rest = unquoted(line.slice(marker.length).trim());
    if (rest !== '') return checked(rest);
  }
  return checked(unquoted(text.trim()));
}

function unquoted(text: string): string {
  const [, , inside] = /^(["'`])(.*)\1$/.exec(text) ?? [];
  return inside?.trim() ?? text;
}

function checked(text: string): string | null {
  return text.length <= LONGEST_SMILES && SMILES.test(text) ? text : null;
}

/** The answer in the form that the prompts ask for; no newline at the end. */
export function renderSmiles(smiles: string): string {
  return `SMILES: ${smiles}`;
}
