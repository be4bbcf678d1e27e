/** A GGUF file is damaged, or holds or asks for something that this package has not; the message names it. */
export class GgufError extends Error {
  override name = 'GgufError';
}
