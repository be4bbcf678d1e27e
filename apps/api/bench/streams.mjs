export async function measureStreams() {
  return null;
}
