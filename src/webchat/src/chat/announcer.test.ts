import { expect, it } from 'vitest';
import { Announcer } from './announcer';

it('says whole sentences once, and the rest at the end', () => {
  const announcer = new Announcer();
  expect(announcer.next('a', 'Hello wor', false)).toBeNull();
  expect(announcer.next('a', 'Hello world. Version 1.', false)).toBe('Hello world.');
  expect(announcer.next('a', 'Hello world. Version 1.5 is out', false)).toBeNull();
  expect(announcer.next('a', 'Hello world. Version 1.5 is out', true)).toBe('Version 1.5 is out');
  expect(announcer.next('a', 'Hello world. Version 1.5 is out', true)).toBeNull();
  expect(announcer.next('b', 'Next one! And', false)).toBe('Next one!');
});
