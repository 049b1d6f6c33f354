import { applyTheme, storedTheme } from './shell/theme';
import './app';

applyTheme(storedTheme());
