import assert from 'node:assert/strict';
import { frames } from './browser.mjs';

/** Prints what crossed the sockets of this file's pages, and fails on the first frame that no validator accepts. */
export function closingFrames() {
  console.log(`WebChat ${frames}`);
  assert.deepEqual(frames.violations, []);
}
