/** Bytes in MiB, for people. */
export const mib = (bytes: number): string => (Math.ceil((10 * bytes) / 2 ** 20) / 10).toLocaleString('en');
