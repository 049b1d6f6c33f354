/** Reads the gateway's log lines: JSON with a level, a message and facts, or plain text. */
import { asObject, asText, type Json } from '../gateway/frames';

export const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type Level = (typeof LEVELS)[number];

export interface LogLine {
  id: number;
  at: number | null;
  level: Level;
  text: string;
  /** `name=value`, one after another. */
  fields: string;
  /** What the filter looks at. */
  searched: string;
}

const KNOWN = new Set(['level', 'message', 'msg', 'timestamp', 'time', 'ts', 'fields', 'target', 'span', 'spans']);

export function readLine(line: string, id: number): LogLine {
  let value: Json;
  try {
    value = asObject(JSON.parse(line));
  } catch {
    return made(id, null, /\b(error|warn|debug)\b/i.exec(line)?.[1] ?? 'info', line, '');
  }
  const inner = asObject(value['fields']);
  const text = asText(value['message']) ?? asText(inner['message']) ?? asText(value['msg']) ?? line;
  const stamp = value['timestamp'] ?? value['time'] ?? value['ts'];
  const at = typeof stamp === 'number' ? stamp : Date.parse(asText(stamp) ?? '');
  const facts = { ...value, ...inner };
  const fields = Object.entries(facts)
    .filter(([name]) => !KNOWN.has(name))
    .map(([name, fact]) => `${name}=${typeof fact === 'string' ? fact : JSON.stringify(fact)}`)
    .join(' ');
  return made(id, Number.isFinite(at) ? at : null, asText(value['level']) ?? 'info', text, fields);
}

/** A message, and the facts that were written behind it. */
const BEHIND = /^(.*?)((?: [a-z_][\w.]*=(?:"(?:[^"\\]|\\.)*"|[^\s"]*))+)$/s;

function made(id: number, at: number | null, level: string, whole: string, more: string): LogLine {
  const [, text = whole, behind = ''] = BEHIND.exec(whole) ?? [];
  const fields = `${behind} ${more}`.trim();
  const lower = level.toLowerCase();
  const known = lower === 'trace' ? 'debug' : lower.startsWith('warn') ? 'warn' : (LEVELS.find((name) => name === lower) ?? 'info');
  return { id, at, level: known, text, fields, searched: `${text} ${fields}`.toLowerCase() };
}

/** Lines of at least this level that hold every word of the text. */
export function filterLines(lines: readonly LogLine[], least: Level, text: string): LogLine[] {
  const from = LEVELS.indexOf(least);
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== '');
  return lines.filter((line) => LEVELS.indexOf(line.level) >= from && words.every((word) => line.searched.includes(word)));
}
