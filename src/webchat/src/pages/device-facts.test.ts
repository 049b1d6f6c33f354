import { expect, it } from 'vitest';
import { nameOf, scopeWords, sensitive } from './device-facts';

it('says what an administrator can do once, and what else each scope allows', () => {
  expect(scopeWords(['operator'], ['operator.admin', 'operator.read']).map((word) => word.risky)).toEqual([true]);
  const words = scopeWords(['operator', 'node'], ['operator.read', 'operator.later']);
  expect(words.map((word) => word.risky)).toEqual([false, false, false]);
  expect(words[1]!.text).toBe('operator.later');
});

it('calls a device by the best name that it has', () => {
  expect(nameOf({ operatorLabel: 'Kitchen', displayName: 'tablet' })).toBe('Kitchen');
  expect(nameOf({ deviceId: 'a3f1c2d4e5f60718' })).toBe('a3f1c2d4e5f6…');
});

it('knows commands that see or run something', () => {
  expect(['camera.snap', 'system.run', 'canvas.present'].map(sensitive)).toEqual([true, true, false]);
});
