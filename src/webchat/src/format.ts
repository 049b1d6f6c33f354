/** Times, sizes and counts as people of the chosen language write them. */
import { language } from './strings';

/** Where English is read, the browser's own region decides how times look. */
function locale(): string | undefined {
  if (language === 'zh') return 'zh-CN';
  const own = globalThis.navigator?.language;
  return own?.startsWith('en') ? own : 'en';
}

const made = new Map<string, Intl.DateTimeFormat>();

function format(at: number, options: Intl.DateTimeFormatOptions): string {
  const key = `${locale()} ${JSON.stringify(options)}`;
  let formatter = made.get(key);
  if (!formatter) made.set(key, (formatter = new Intl.DateTimeFormat(locale(), options)));
  return formatter.format(at);
}

export const clock = (at: number) => format(at, { hour: '2-digit', minute: '2-digit' });
export const clockWithSeconds = (at: number) => format(at, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
export const shortDay = (at: number) => format(at, { day: 'numeric', month: 'short' });
export const longDay = (at: number) => format(at, { weekday: 'long', day: 'numeric', month: 'long' });
export const dateTime = (at: number) => format(at, { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' });

export function sameDay(one: number, other: number): boolean {
  return new Date(one).toDateString() === new Date(other).toDateString();
}

/** Today's times as a clock, older ones as a day. */
export function briefly(at: number, now = Date.now()): string {
  return sameDay(at, now) ? clock(at) : shortDay(at);
}

/** "3 minutes ago", "in 2 hours". */
export function ago(at: number, now = Date.now()): string {
  const formatter = new Intl.RelativeTimeFormat(locale(), { numeric: 'auto' });
  const seconds = Math.round((at - now) / 1_000);
  const steps: [Intl.RelativeTimeFormatUnit, number][] = [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ];
  for (const [unit, size] of steps) {
    if (Math.abs(seconds) >= size) return formatter.format(Math.trunc(seconds / size), unit);
  }
  return formatter.format(Math.abs(seconds) < 10 ? 0 : seconds, 'second');
}

/** `3 d 4 h`, `4 h 12 min`, `12 min`, `40 s`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3_600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min` : `${seconds} s`;
}

export function count(value: number): string {
  return new Intl.NumberFormat(locale()).format(value);
}

/** `950`, `12k`, `1.2M`. */
export function brieflyCounted(value: number): string {
  if (value < 1_000) return String(value);
  const [size, unit] = value < 1_000_000 ? [1_000, 'k'] : [1_000_000, 'M'];
  const scaled = value / size;
  return `${scaled < 10 ? scaled.toFixed(1).replace(/\.0$/, '') : Math.round(scaled)}${unit}`;
}

export function bytes(value: number): string {
  if (value < 1_024) return `${value} B`;
  if (value < 1_048_576) return `${Math.round(value / 1_024)} kB`;
  return `${(value / 1_048_576).toFixed(1)} MB`;
}

/** Dollars, exact enough for a single answer. */
export function cost(value: number): string {
  return `$${value < 0.01 ? value.toFixed(4) : value.toFixed(2)}`;
}

/** Markdown as one line of words: for places that are too small for more. */
export function plain(markdown: string): string {
  const marks = markdown
    .replace(/```[\w+-]*/g, ' ')
    .replace(/!?\[([^\]]*)\]\([^)]*\)?/g, '$1')
    .replace(/[*_~]{2,3}|`/g, '')
    .replace(/^\s*(?:#{1,6}|>)\s+/gm, '');
  // A line of dashes between bars makes it a table; elsewhere a bar is a bar.
  const rule = /\|?(?:\s*:?-+:?\s*\|)+/g;
  const words = rule.test(marks) ? marks.replace(rule, ' ').replaceAll('|', ' ') : marks;
  return words.replace(/\s+/g, ' ').trim();
}
