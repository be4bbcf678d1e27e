import { defineConfig } from 'vitest/config';

// Tests import packages by their public names, so they exercise what `npm run build` made.
export default defineConfig({
  test: {
    include: ['{apps,packages}/*/{src,test}/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Two cores: engine threads and real services share them with the tests.
    maxWorkers: 2,
  },
});
