/** Reads the message shapes that appear in history and in chat events. */
import { asList, asNumber, asObject, asText, type Json } from '../gateway/frames';

export type Part =
  | { type: 'text'; text: string }
  | { type: 'thinking'; text: string }
  | { type: 'tool'; id: string; name: string; input: string }
  | { type: 'image'; source: string | null };

function readPart(value: unknown): Part | null {
  const part = asObject(value);
  switch (part['type']) {
    case 'text':
      return { type: 'text', text: asText(part['text']) ?? '' };
    case 'thinking':
      return { type: 'thinking', text: asText(part['thinking']) ?? asText(part['text']) ?? '' };
    case 'toolCall':
      return {
        type: 'tool',
        id: asText(part['id']) ?? '',
        name: asText(part['name']) ?? 'tool',
        input: JSON.stringify(part['arguments'] ?? {}, null, 2),
      };
    case 'image': {
      const data = asText(part['data']);
      const mime = asText(part['mimeType']);
      const known = data !== null && mime !== null && /^image\/(png|jpeg|gif|webp)$/.test(mime);
      return { type: 'image', source: known ? `data:${mime};base64,${data}` : null };
    }
    default:
      return null;
  }
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
  };
}
