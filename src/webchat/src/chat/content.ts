/** Reads the message shapes that appear in history and in chat events. */
import { asList, asNumber, asObject, asText, type Json } from '../gateway/frames';

export interface ToolPart {
  type: 'tool';
  id: string;
  name: string;
  input: string;
  state: 'running' | 'done' | 'failed';
  /** `null`: nothing came back yet, or nothing was kept. */
  output: string | null;
  images: readonly string[];
}

export type Part =
  | { type: 'text'; text: string }
  | { type: 'thinking'; text: string }
  | ToolPart
  | { type: 'image'; source: string | null; name: string | null; artifact?: string | null }
  | { type: 'file'; name: string; size?: number | null; artifact?: string | null };

/** Pictures are shown only as what they are known to be; an address must lie on the gateway itself. */
export function imageSource(part: Json): string | null {
  const inner = asObject(part['source']);
  const data = asText(part['data']) ?? asText(inner['data']) ?? asText(part['content']);
  const mime = asText(part['mimeType']) ?? asText(inner['media_type']) ?? asText(inner['mimeType']);
  if (data !== null && mime !== null && /^image\/(png|jpeg|gif|webp)$/.test(mime)) return `data:${mime};base64,${data}`;
  const address = asText(part['url']) ?? asText(inner['url']);
  if (address === null) return null;
  if (/^data:image\/(png|jpeg|gif|webp);base64,/.test(address)) return address;
  return /^\/[^/\\]/.test(address) ? address : null;
}

function readPart(value: unknown): Part | null {
  const part = asObject(value);
  switch (part['type']) {
    case 'text':
    case 'input_text':
    case 'output_text':
      return { type: 'text', text: asText(part['text']) ?? '' };
    case 'thinking':
      return { type: 'thinking', text: asText(part['thinking']) ?? asText(part['text']) ?? '' };
    case 'toolCall':
      return toolPart(asText(part['id']) ?? '', asText(part['name']), part['arguments'], 'done');
    case 'image':
      return { type: 'image', source: imageSource(part), name: asText(part['fileName']) ?? asText(part['name']), artifact: asText(part['artifactId']) };
    case 'file':
    case 'document':
    case 'attachment': {
      const name = asText(part['fileName']) ?? asText(part['name']) ?? 'file';
      const source = imageSource(part);
      if (source !== null) return { type: 'image', source, name };
      return { type: 'file', name, size: asNumber(part['sizeBytes']), artifact: asText(part['artifactId']) };
    }
    default:
      return null;
  }
}

export function toolPart(id: string, name: string | null, args: unknown, state: ToolPart['state']): ToolPart {
  return { type: 'tool', id, name: name ?? 'tool', input: pretty(args), state, output: null, images: [] };
}

/** Arguments and results as text: strings as they are, anything else as indented JSON. */
export function pretty(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  const text = JSON.stringify(value, null, 2);
  return text === '{}' ? '' : text;
}

/** What a tool gave back: text, parts, or anything at all. */
export function toolOutput(result: unknown): { output: string; images: string[] } {
  const content = Array.isArray(result) ? result : asObject(result)['content'];
  if (!Array.isArray(content)) return { output: pretty(typeof content === 'string' ? content : result), images: [] };
  const parts = readParts(content);
  const images = parts.flatMap((part) => (part.type === 'image' && part.source !== null ? [part.source] : []));
  return { output: textOf(parts), images };
}

/** `content` is a string or a list of parts. */
export function readParts(content: unknown): Part[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  return asList(content)
    .map(readPart)
    .filter((part): part is Part => part !== null);
}

export function textOf(parts: readonly Part[]): string {
  return parts
    .filter((part) => part.type === 'text')
    .map((part) => part.text)
    .join('\n\n');
}

/**
 * The parts of a live answer with what it says now. `text` is all that the run has said so far, or all since its last
 * tool call: what stands before that call is kept either way.
 */
export function withText(parts: readonly Part[], text: string): Part[] {
  const last = parts.findLastIndex((part) => part.type === 'tool' || part.type === 'thinking');
  const kept = parts.slice(0, last + 1);
  const before = kept.filter((part) => part.type === 'text').map((part) => part.text);
  const tail = before.length > 0 ? afterAll(text, before) : text;
  return tail.trim() === '' ? kept : [...kept, { type: 'text', text: tail }];
}

/** What follows the pieces, if the text begins with all of them in order. */
function afterAll(text: string, pieces: readonly string[]): string {
  let rest = text;
  for (const piece of pieces) {
    const trimmed = rest.trimStart();
    if (!trimmed.startsWith(piece.trim())) return text;
    rest = trimmed.slice(piece.trim().length);
  }
  return rest.trimStart();
}

/** Exchanges one tool call; adds it when it is new. */
export function withTool(parts: readonly Part[], id: string, edit: (tool: ToolPart | null) => ToolPart): Part[] {
  const at = parts.findIndex((part) => part.type === 'tool' && part.id === id);
  if (at < 0) return [...parts, edit(null)];
  return parts.map((part, index) => (index === at ? edit(part as ToolPart) : part));
}

/** What an answer took. */
export interface Usage {
  input: number;
  output: number;
  /** Dollars; `null` where the price is not known. */
  cost: number | null;
}

export function readUsage(value: unknown): Usage | null {
  const usage = asObject(value);
  const number = (...names: string[]) => names.map((name) => asNumber(usage[name])).find((found) => found !== null) ?? 0;
  const input = number('input', 'inputTokens', 'input_tokens') + number('cacheRead') + number('cacheWrite');
  const output = number('output', 'outputTokens', 'output_tokens');
  if (input + output === 0) return null;
  const priced = asNumber(asObject(usage['cost'])['total']) ?? asNumber(usage['cost']);
  return { input, output, cost: priced !== null && priced > 0 ? priced : null };
}

export function addUsage(one: Usage | null, other: Usage | null): Usage | null {
  if (one === null || other === null) return one ?? other;
  const cost = one.cost === null && other.cost === null ? null : (one.cost ?? 0) + (other.cost ?? 0);
  return { input: one.input + other.input, output: one.output + other.output, cost };
}

/** What a stored message says about itself, besides its content. */
export interface MessageFacts {
  role: string;
  parts: Part[];
  at: number | null;
  messageId: string | null;
  /** The run that the message belongs to: of an answer its own, of a question the one that it started. */
  runId: string | null;
  error: string | null;
  stopReason: string | null;
  model: string | null;
  usage: Usage | null;
  /** Of a tool's result: the call that it answers. */
  toolCallId: string | null;
  toolName: string | null;
  isError: boolean;
  /** Whether it stands for older messages that the model no longer sees. */
  isSummary: boolean;
}

export function readMessage(value: unknown): MessageFacts {
  const message = asObject(value);
  const meta: Json = asObject(message['__openclaw']);
  const key = asText(message['idempotencyKey']) ?? asText(meta['idempotencyKey']);
  return {
    role: asText(message['role']) ?? '',
    parts: readParts(message['content']),
    at: asNumber(message['timestamp']) ?? asNumber(meta['recordTimestampMs']),
    messageId: asText(meta['id']) ?? asText(message['id']),
    // Stored keys of a run's rows carry a suffix: `<run>:user`, `<run>:terminal-error`.
    runId: asText(meta['runId']) ?? asText(message['runId']) ?? (key === null ? null : key.replace(/:(user|assistant|terminal-error)$/, '')),
    error: asText(message['errorMessage']),
    stopReason: asText(message['stopReason']),
    model: asText(message['model']),
    usage: readUsage(message['usage']),
    toolCallId: asText(message['toolCallId']),
    toolName: asText(message['toolName']),
    isError: message['isError'] === true,
    isSummary: meta['kind'] === 'compaction',
  };
}
