// The page that shows what agents describe in A2UI: one script, because a page of no origin may load modules only from
// whoever allows it, and a plain script from everybody. It lies beside the chat page and is never served with it.
import { defineConfig } from 'vite';
import { licences } from './licences.ts';

export default defineConfig({
  plugins: [licences()],
  publicDir: 'a2ui/public',
  define: { 'process.env.NODE_ENV': '"production"' },
  build: {
    target: 'es2022',
    outDir: 'dist/a2ui',
    emptyOutDir: true,
    lib: { entry: 'a2ui/main.ts', formats: ['iife'], name: 'openclawA2uiPage', fileName: () => 'a2ui.js' },
  },
});
