import { loadTokenizer } from '@polymode/policy';

const LETTERS = 'bcdfghjklmnpqrstvwxz';

/**
 * Conversations that render to exactly `length` tokens: letters are appended until they do.
 *
 * @returns {Promise<{ messages: { role: string, content: string }[], tokens: number[] }[]>}
 */
export async function makePrompts(modelDir, count, length) {
  const { encodeChat } = await loadTokenizer(modelDir);
  let state = 1;
  const letter = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return LETTERS[Math.floor((state / 2 ** 32) * LETTERS.length)];
  };
  const make = () => {
    for (let content = ''; ; ) {
      const messages = [{ role: 'user', content }];
      const tokens = encodeChat(messages);
      if (tokens.length === length) return { messages, tokens };
      if (content === '' && tokens.length > length)
        throw new Error(`the chat template alone has ${tokens.length} tokens`);
      // A letter with its blank is one token, or one for each byte.
      if (tokens.length > length) content = content.slice(0, content.length >> 1);
      else content += length - tokens.length === 1 ? letter() : ` ${letter()}`;
    }
  };
  return Array.from({ length: count }, make);
}
