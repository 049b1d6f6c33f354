import { expect, it } from 'vitest';
import { ago, brieflyCounted, bytes, cost, duration, plain } from './format';

it('writes durations, sizes and counts as people read them', () => {
  expect([40_000, 720_000, 15_120_000, 273_600_000].map(duration)).toEqual(['40 s', '12 min', '4 h 12 min', '3 d 4 h']);
  expect([950, 1_200, 12_000, 1_234_567].map(brieflyCounted)).toEqual(['950', '1.2k', '12k', '1.2M']);
  expect([900, 20_480, 1_572_864].map(bytes)).toEqual(['900 B', '20 kB', '1.5 MB']);
  expect([0.0012, 1.5].map(cost)).toEqual(['$0.0012', '$1.50']);
});

it('says how long ago something was', () => {
  expect(ago(0, 3 * 60_000)).toBe('3 minutes ago');
  expect(ago(7_200_000, 0)).toBe('in 2 hours');
  expect(ago(0, 2_000)).toBe('now');
});

it('shows markdown as plain words where there is no room for more', () => {
  expect(plain('Here is **how**:\n\n1. first\n```js\nconst a_b = `x`;\n```\nSee [the page](https://example.org/a).')).toBe('Here is how: 1. first const a_b = x; See the page.');
  expect(plain('# Title\n| a | b |\n|---|:-:|\n| 1 | 2 |')).toBe('Title a b 1 2');
  expect(plain('ls | wc -l')).toBe('ls | wc -l');
});
