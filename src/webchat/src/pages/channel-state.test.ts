import { expect, it } from 'vitest';
import { stateOf } from './channel-state';

const word = (account: Record<string, unknown>) => stateOf({ enabled: true, configured: true, running: true, ...account })[0];

it('calls connected only what says so of itself', () => {
  expect(word({})).toBe('connecting');
  expect(word({ state: 'connecting' })).toBe('connecting');
  expect(word({ state: 'connected', connected: true, healthState: 'healthy' })).toBe('connected');
  expect(word({ state: 'connected', connected: true, healthState: 'unhealthy' })).toBe('failing');
});

it('tells apart who tries again, who waits for the person, and who was stopped', () => {
  expect(word({ state: 'backoff', lastError: 'no route' })).toBe('failing');
  expect(word({ state: 'parked', lastError: 'the token is wrong' })).toBe('parked');
  expect(word({ state: 'stopped', running: false, lastError: 'old news' })).toBe('stopped');
  expect(word({ running: false, lastError: 'failed' })).toBe('failing');
  expect(word({ running: false })).toBe('stopped');
});

it('says what the configuration lacks before anything else', () => {
  expect(word({ configured: false, state: 'parked' })).toBe('unset');
  expect(word({ enabled: false, configured: false })).toBe('off');
});
