import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

/** During `npm run dev` the API comes from a node that is already running. */
const node = process.env.RINGWELL_URL ?? 'http://127.0.0.1:9680'

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2023',
    // The binary embeds these files: no source maps, and nothing inlined that the CSP would refuse.
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: { '/api': { target: node, ws: true, changeOrigin: true }, '/-': node },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
})
