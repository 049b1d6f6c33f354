import { asList, asText, type ErrorShape } from './frames';

/**
 * Why the gateway did not let this page in, sorted by what the person can do about it.
 *
 * - `token`: a secret is missing or wrong; a field to paste it helps.
 * - `pairing`: an owner has to approve this browser; the page goes on asking.
 * - `origin`: the address of the page is not one that the gateway trusts.
 * - `identity`: the key of this browser is not accepted; a new one helps.
 * - `version`: page and gateway do not speak the same protocol; a reload helps.
 * - `other`: the gateway's own words, and "try again".
 */
export type RefusalKind = 'token' | 'pairing' | 'origin' | 'identity' | 'version' | 'other';

export interface Refusal {
  kind: RefusalKind;
  /** `details.code`, or the error's own code. */
  code: string;
  /** The gateway's words, for the person who wants them. */
  message: string;
  requestId: string | null;
  deviceId: string | null;
  /** Of a device that asked for more than it has: what it has. */
  approvedScopes: readonly string[];
  /** What the gateway itself recommends, as a sentence. */
  hint: string | null;
  /** Ask again by itself after this time; `null`: only when the person says so. */
  retryAfterMs: number | null;
}

/** How often a browser that waits for its approval asks again. */
export const PAIRING_POLL_MS = 3_000;

/** Codes that mean "this credential is no good", as opposed to "not now". */
const TOKEN_CODES = new Set([
  'AUTH_TOKEN_MISSING',
  'AUTH_TOKEN_MISMATCH',
  'AUTH_TOKEN_NOT_CONFIGURED',
  'AUTH_PASSWORD_MISSING',
  'AUTH_PASSWORD_MISMATCH',
  'AUTH_PASSWORD_NOT_CONFIGURED',
  'AUTH_DEVICE_TOKEN_MISMATCH',
  'AUTH_SCOPE_MISMATCH',
  'AUTH_REQUIRED',
  'AUTH_UNAUTHORIZED',
]);

export function isTokenRefused(code: string): boolean {
  return TOKEN_CODES.has(code);
}

function kindOf(code: string): RefusalKind {
  if (isTokenRefused(code)) return 'token';
  if (code === 'PAIRING_REQUIRED' || code === 'NOT_PAIRED') return 'pairing';
  if (code === 'CONTROL_UI_ORIGIN_NOT_ALLOWED') return 'origin';
  if (code === 'PROTOCOL_MISMATCH') return 'version';
  if (code.startsWith('DEVICE_') || code === 'CONTROL_UI_DEVICE_IDENTITY_REQUIRED') return 'identity';
  return 'other';
}

export function readRefusal(error: ErrorShape): Refusal {
  const code = asText(error.details['code']) ?? error.code;
  const kind = kindOf(code);
  const paused = error.details['pauseReconnect'] === true;
  const patient = error.retryable ? (error.retryAfterMs ?? 1_000) : null;
  return {
    kind,
    code,
    message: error.message,
    requestId: asText(error.details['requestId']),
    deviceId: asText(error.details['deviceId']),
    approvedScopes:
      error.details['reason'] === 'scope-upgrade' ? asList(error.details['approvedScopes']).filter((scope): scope is string => typeof scope === 'string') : [],
    hint: asText(error.details['remediationHint']),
    retryAfterMs: kind === 'pairing' && !paused ? PAIRING_POLL_MS : patient,
  };
}
