/** A model that cannot be fetched; the message says why and what to do. */
export class HubError extends Error {
  override name = 'HubError';
}
