/**
 * Where a one-line answer stands: the rest of the line after the first marker, or the whole text where there is none, so that
 * small models need not learn the marker and others may think aloud before it.
 */
export function answerLine(text: string, marker: string): string {
  const at = text.indexOf(marker);
  if (at < 0) return text.trim();
  return text
    .slice(at + marker.length)
    .split('\n', 1)[0]!
    .trim();
}
