import { expect, it } from 'vitest';
import { SAMPLES, pointsOf } from './plot';

it('draws the newest value at the right edge and the highest near the top', () => {
  expect(pointsOf([0, 10])).toEqual([[SAMPLES - 1, 38], [SAMPLES, 4]]);
  expect(pointsOf([0, 0])[1]).toEqual([SAMPLES, 38]);
  expect(pointsOf([])).toEqual([]);
});
