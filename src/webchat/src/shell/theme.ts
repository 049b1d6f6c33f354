import { usableStore } from '../gateway/credentials';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'openclaw.theme';
const ORDER: readonly Theme[] = ['system', 'light', 'dark'];

export function storedTheme(): Theme {
  const value = usableStore(() => localStorage).getItem(KEY);
  return ORDER.find((theme) => theme === value) ?? 'system';
}

export function applyTheme(theme: Theme): void {
  usableStore(() => localStorage).setItem(KEY, theme);
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}

export function nextTheme(theme: Theme): Theme {
  return ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length] ?? 'system';
}
