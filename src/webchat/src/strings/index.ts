/**
 * Every sentence that a person reads, in the language of their choice. `strings` is a live binding: it is read where
 * something is rendered, never kept, and the page renders anew when the language changes.
 */
import { usableStore } from '../gateway/credentials';
import { english } from './en';

export type Strings = typeof english;
export type Language = 'en' | 'zh';

const KEY = 'openclaw.language';

export let strings: Strings = english;
export let language: Language = 'en';

/** The language that was chosen here, else the browser's. */
export function preferredLanguage(browser: readonly string[]): Language {
  const chosen = usableStore(() => localStorage).getItem(KEY);
  if (chosen === 'en' || chosen === 'zh') return chosen;
  const known = browser.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag === 'en' || tag === 'zh');
  return known === 'zh' ? 'zh' : 'en';
}

/** Loads a language's table and makes it the one in use. */
export async function useLanguage(next: Language): Promise<void> {
  strings = next === 'zh' ? (await import('./zh')).chinese : english;
  language = next;
  document.documentElement.lang = next === 'zh' ? 'zh-CN' : 'en';
}

/** As {@link useLanguage}, and remembered. */
export async function chooseLanguage(next: Language): Promise<void> {
  await useLanguage(next);
  usableStore(() => localStorage).setItem(KEY, next);
}
