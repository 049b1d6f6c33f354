/**
 * The part of the gateway protocol that this page uses. Everything that comes from the socket is `unknown` until one of
 * the readers below has looked at it: a field that is missing or of another type is treated as absent.
 */

export const PROTOCOL = 4;

export type Json = Record<string, unknown>;

export interface ErrorShape {
  code: string;
  message: string;
  details: Json;
  retryable: boolean;
  retryAfterMs: number | null;
}

export type Frame =
  | { type: 'event'; event: string; payload: Json; seq: number | null }
  | { type: 'res'; id: string; ok: true; payload: unknown }
  | { type: 'res'; id: string; ok: false; payload: unknown; error: ErrorShape };

export interface HelloOk {
  protocol: number;
  version: string;
  connId: string;
  methods: ReadonlySet<string>;
  /** `null` when the gateway issued or confirmed none on this connect. */
  deviceToken: string | null;
  /** This browser's own device. */
  deviceId: string;
  scopes: readonly string[];
  presence: readonly Json[];
  health: Json;
  mainSessionKey: string;
  tickIntervalMs: number;
  attachmentMaxBytes: number | null;
  /** Whether messages may carry files. */
  takesAttachments: boolean;
}

export function asObject(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

export function asText(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

export function asNumber(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

export function readError(value: unknown): ErrorShape {
  const error = asObject(value);
  return {
    code: asText(error['code']) ?? 'UNAVAILABLE',
    message: asText(error['message']) ?? 'the gateway gave no reason',
    details: asObject(error['details']),
    retryable: error['retryable'] === true,
    retryAfterMs: asNumber(error['retryAfterMs']),
  };
}

/** Reads one text frame; `null` for anything that is neither an event nor a response. */
export function readFrame(text: string): Frame | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const frame = asObject(value);
  if (frame['type'] === 'event') {
    const event = asText(frame['event']);
    return event === null
      ? null
      : { type: 'event', event, payload: asObject(frame['payload']), seq: asNumber(frame['seq']) };
  }
  if (frame['type'] === 'res') {
    const id = asText(frame['id']);
    if (id === null) return null;
    return frame['ok'] === true
      ? { type: 'res', id, ok: true, payload: frame['payload'] }
      : { type: 'res', id, ok: false, payload: frame['payload'], error: readError(frame['error']) };
  }
  return null;
}

export function readHello(value: unknown): HelloOk {
  const hello = asObject(value);
  const server = asObject(hello['server']);
  const snapshot = asObject(hello['snapshot']);
  const defaults = asObject(snapshot['sessionDefaults']);
  const auth = asObject(hello['auth']);
  const policy = asObject(hello['policy']);
  const texts = (list: unknown) => asList(list).filter((item): item is string => typeof item === 'string');
  return {
    protocol: asNumber(hello['protocol']) ?? PROTOCOL,
    version: asText(server['version']) ?? '',
    connId: asText(server['connId']) ?? '',
    methods: new Set(texts(asObject(hello['features'])['methods'])),
    deviceToken: asText(auth['deviceToken']),
    deviceId: '',
    scopes: texts(auth['scopes']),
    presence: asList(snapshot['presence']).map(asObject),
    health: asObject(snapshot['health']),
    mainSessionKey: asText(defaults['mainSessionKey']) ?? asText(defaults['mainKey']) ?? 'main',
    tickIntervalMs: asNumber(policy['tickIntervalMs']) ?? 30_000,
    attachmentMaxBytes: asNumber(asObject(policy['attachments'])['maxBytes']),
    takesAttachments: policy['attachments'] !== undefined,
  };
}
