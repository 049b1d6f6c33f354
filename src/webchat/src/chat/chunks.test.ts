import { expect, it } from 'vitest';
import { Chunker } from './chunks';

const rows = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => ({ key: `m${from + index}` }));

it('keeps the bounds of pieces while rows come at both ends', () => {
  const chunker = new Chunker<{ key: string }>(40);
  const first = chunker.cut(rows(1000, 1100)).map((chunk) => chunk.key);
  expect(first).toEqual(['m1000', 'm1040', 'm1080']);
  const appended = chunker.cut(rows(1000, 1130)).map((chunk) => chunk.key);
  expect(appended).toEqual(['m1000', 'm1040', 'm1080', 'm1120']);
  const prepended = chunker.cut(rows(910, 1130));
  expect(prepended.map((chunk) => chunk.key)).toEqual(['m910', 'm920', 'm960', 'm1000', 'm1040', 'm1080', 'm1120']);
  expect(prepended.every((chunk) => chunk.rows.length <= 40)).toBe(true);
  expect(prepended[1]!.before!.key).toBe('m919');
  expect(prepended.flatMap((chunk) => chunk.rows)).toEqual(rows(910, 1130));
});

it('cuts what is left as before when the oldest rows are forgotten', () => {
  const chunker = new Chunker<{ key: string }>(40);
  chunker.cut(rows(1000, 1100));
  expect(chunker.cut(rows(1050, 1110)).map((chunk) => chunk.key)).toEqual(['m1050', 'm1080']);
  expect(chunker.cut(rows(1000, 1110)).map((chunk) => chunk.key)).toEqual(['m1000', 'm1010', 'm1050', 'm1080']);
});
