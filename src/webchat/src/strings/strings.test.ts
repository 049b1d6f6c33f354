import { expect, it } from 'vitest';
import { preferredLanguage, strings, useLanguage } from '.';
import { english } from './en';
import { chinese } from './zh';

/** Every place that holds words, by its path. */
function places(table: object, path = ''): string[] {
  return Object.entries(table).flatMap(([name, value]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? places(value as object, `${path}${name}.`) : [`${path}${name}`],
  );
}

it('has the same words in every language', () => {
  expect(places(chinese).sort()).toEqual(places(english).sort());
});

it('takes the browser’s language where it knows it', async () => {
  expect(preferredLanguage(['fr', 'zh-TW', 'en'])).toBe('zh');
  expect(preferredLanguage(['en-GB', 'zh'])).toBe('en');
  expect(preferredLanguage(['fr'])).toBe('en');
});

it('switches every reader at once', async () => {
  const document = { documentElement: { lang: 'en' } };
  Object.assign(globalThis, { document });
  await useLanguage('zh');
  expect(strings.composer.send).toBe('发送');
  expect(document.documentElement.lang).toBe('zh-CN');
  await useLanguage('en');
  expect(strings.composer.send).toBe('Send');
});
