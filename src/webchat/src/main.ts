import { preferredLanguage, useLanguage } from './strings';
import { applyTheme, storedTheme } from './shell/theme';

applyTheme(storedTheme());
// The first words are in the right language: English is here already, another table is loaded before the page.
await useLanguage(preferredLanguage(navigator.languages));
await import('./app');
