import { expect, it } from 'vitest';
import { filterLines, readLine } from './log-lines';

it('reads lines of JSON with their facts, and takes others as they are', () => {
  const line = readLine('{"timestamp":"2026-11-22T10:00:00Z","level":"WARN","fields":{"message":"slow","ms":40},"target":"x"}', 1);
  expect(line).toMatchObject({ at: Date.parse('2026-11-22T10:00:00Z'), level: 'warn', text: 'slow', fields: 'ms=40' });
  expect(readLine('{"level":"TRACE","message":"deep"}', 2)).toMatchObject({ level: 'debug', text: 'deep', at: null });
  const behind = readLine('{"message":"a device was paired: it is here; undo: `openclaw devices remove 1` audit=pairing.approved name=\\"Chrome on Linux\\" scopes=\\"\\"","subsystem":"x"}', 4);
  expect(behind).toMatchObject({ text: 'a device was paired: it is here; undo: `openclaw devices remove 1`', fields: 'audit=pairing.approved name="Chrome on Linux" scopes="" subsystem=x' });
  expect(readLine('{"message":"a=b"}', 5)).toMatchObject({ text: 'a=b', fields: '' });
  expect(readLine('panicked: ERROR', 3)).toMatchObject({ level: 'error', text: 'panicked: ERROR' });
});

it('shows lines from a level on that hold every word', () => {
  const lines = [readLine('{"level":"DEBUG","message":"a cat"}', 1), readLine('{"level":"ERROR","message":"a cat","name":"Tom"}', 2)];
  expect(filterLines(lines, 'info', 'CAT tom').map((line) => line.id)).toEqual([2]);
  expect(filterLines(lines, 'debug', '').map((line) => line.id)).toEqual([1, 2]);
});
