import { defineConfig } from 'vite';
import { licences } from './licences.ts';

export default defineConfig({
  // Relative asset addresses: index.html carries a <base>, so that the same files work at `/` and below a base path.
  base: './',
  plugins: [licences()],
  build: {
    target: 'es2022',
    outDir: 'dist',
    emptyOutDir: true,
    // Inlined assets would become data: addresses, which the page's content security policy refuses.
    assetsInlineLimit: 0,
    // The polyfill is an inline script in older Vite set-ups; every browser we support has modulepreload.
    modulePreload: { polyfill: false },
  },
  server: {
    // `npm run dev` beside a running gateway: the page is served by Vite, the socket is passed on.
    proxy: { '^/$': { target: 'ws://127.0.0.1:18789', ws: true, bypass: (request, response) => (response ? request.url : undefined) } },
  },
});
