import { expect, it } from 'vitest';
import { CHUNK, Chunker } from './chunks';

const rows = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => ({ key: `m${from + index}` }));

it('keeps the bounds of pieces while rows come at both ends', () => {
  const chunker = new Chunker<{ key: string }>();
  const first = chunker.cut(rows(1000, 1100)).map((chunk) => chunk.key);
  expect(first).toEqual(['m1000', 'm1040', 'm1080']);
  const appended = chunker.cut(rows(1000, 1130)).map((chunk) => chunk.key);
  expect(appended).toEqual(['m1000', 'm1040', 'm1080', 'm1120']);
  const prepended = chunker.cut(rows(910, 1130));
  expect(prepended.map((chunk) => chunk.key)).toEqual(['m910', 'm920', 'm960', 'm1000', 'm1040', 'm1080', 'm1120']);
  expect(prepended.every((chunk) => chunk.rows.length <= CHUNK)).toBe(true);
  expect(prepended[1]!.before!.key).toBe('m919');
  expect(prepended.flatMap((chunk) => chunk.rows)).toEqual(rows(910, 1130));
});
