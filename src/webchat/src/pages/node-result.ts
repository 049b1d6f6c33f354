/** What nodes answer: facts, and pictures or recordings as base64 among them. */
import { asObject, asText, type Json } from '../gateway/frames';

export interface Media {
  /** A `blob:` address; whoever shows it gives it back. */
  url: string;
  name: string;
  /** Whether it can be shown as a picture. */
  picture: boolean;
}

const TYPES: Record<string, string> = {
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  png: 'image/png',
  webp: 'image/webp',
  gif: 'image/gif',
  mp4: 'video/mp4',
  mov: 'video/quicktime',
  webm: 'video/webm',
  m4a: 'audio/mp4',
  wav: 'audio/wav',
};
const BASE64 = /^[A-Za-z0-9+/\s]+={0,2}\s*$/;
/** Of a text that is shown. */
const MOST = 20_000;

/** The bytes of an answer, and the rest of it as text. */
export function pictureIn(payload: unknown, command: string, address: (blob: Blob) => string = (blob) => URL.createObjectURL(blob)): { media: Media | null; rest: string | null } {
  const facts = asObject(payload);
  const data = asText(facts['base64']);
  const format = (asText(facts['format']) ?? 'bin').toLowerCase();
  if (data === null || data === '' || !BASE64.test(data)) return { media: null, rest: textOf(payload) };
  const bytes = Uint8Array.from(atob(data.replace(/\s/g, '')), (character) => character.charCodeAt(0));
  const type = TYPES[format] ?? 'application/octet-stream';
  const url = address(new Blob([bytes], { type }));
  const rest: Json = Object.fromEntries(Object.entries(facts).filter(([name]) => name !== 'base64'));
  return { media: { url, name: `${command}.${/^\w{1,5}$/.test(format) ? format : 'bin'}`, picture: type.startsWith('image/') }, rest: Object.keys(rest).length === 0 ? null : textOf(rest) };
}

function textOf(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value, null, 2) ?? 'null');
  return text.length > MOST ? `${text.slice(0, MOST)}…` : text;
}

/** Parameters to begin with, by command. */
const EXAMPLES: Record<string, Json> = {
  'camera.snap': { facing: 'front', maxWidth: 1200, quality: 0.8 },
  'camera.clip': { facing: 'front', durationMs: 3_000, includeAudio: false },
  'screen.record': { durationMs: 5_000, fps: 10 },
  'screen.snapshot': {},
  'canvas.snapshot': { format: 'png', maxWidth: 1200 },
  'canvas.navigate': { url: 'https://example.org/' },
  'canvas.eval': { javaScript: 'document.title' },
  'location.get': { desiredAccuracy: 'balanced' },
  'system.notify': { title: 'OpenClaw', body: 'Hello' },
  'system.which': { bins: ['git'] },
};

export function examples(command: string): string {
  const params = EXAMPLES[command] ?? {};
  return Object.keys(params).length === 0 ? '{}' : JSON.stringify(params, null, 2);
}
