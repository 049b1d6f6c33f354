/**
 * The identity of this browser: an Ed25519 key whose private half never leaves it. Where the browser can (a secure
 * context with Ed25519 in WebCrypto) the key is made non-extractable and kept in IndexedDB, so that not even a script
 * in this page could copy it; otherwise (plain http in a LAN, older browsers) a seed is kept in localStorage.
 */
import { usableStore } from './credentials';

export interface DeviceIdentity {
  /** Lower-case hex SHA-256 of the raw public key. */
  readonly id: string;
  /** Raw 32 bytes, base64url without padding. */
  readonly publicKey: string;
  /** Signs the UTF-8 text; base64url without padding. */
  sign(text: string): Promise<string>;
}

export interface SignedFields {
  deviceId: string;
  clientId: string;
  clientMode: string;
  role: string;
  scopes: readonly string[];
  signedAtMs: number;
  token: string;
  nonce: string;
  platform: string;
  deviceFamily: string;
}

/** The text that a connect signs (payload version 3). The scopes stand in the order in which they are sent. */
export function signaturePayload(fields: SignedFields): string {
  const plain = (value: string) => value.trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return [
    'v3',
    fields.deviceId,
    fields.clientId,
    fields.clientMode,
    fields.role,
    fields.scopes.join(','),
    String(fields.signedAtMs),
    fields.token,
    fields.nonce.trim(),
    plain(fields.platform),
    plain(fields.deviceFamily),
  ].join('|');
}

export function base64Url(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const utf8 = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(new TextEncoder().encode(text));

/** An identity from a 32-byte seed, for browsers whose WebCrypto cannot do it. */
export async function identityFromSeed(seed: Uint8Array): Promise<DeviceIdentity> {
  // Loaded only where it is needed: most browsers never download it.
  const [ed25519, { sha512, sha256 }] = await Promise.all([
    import('@noble/ed25519'),
    import('@noble/hashes/sha2.js'),
  ]);
  ed25519.hashes.sha512 = (message) => sha512(message);
  const publicKey = ed25519.getPublicKey(seed);
  return {
    id: hex(sha256(publicKey)),
    publicKey: base64Url(publicKey),
    sign: async (text) => base64Url(ed25519.sign(utf8(text), seed)),
  };
}

async function identityFromKeys(keys: CryptoKeyPair): Promise<DeviceIdentity> {
  const raw = new Uint8Array(await crypto.subtle.exportKey('raw', keys.publicKey));
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', raw));
  return {
    id: hex(digest),
    publicKey: base64Url(raw),
    sign: async (text) => base64Url(new Uint8Array(await crypto.subtle.sign('Ed25519', keys.privateKey, utf8(text)))),
  };
}

const DATABASE = 'openclaw';
const KEYS = 'device';
const KEY = 'keys';
const SEED = 'openclaw.device-seed';

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB failed'));
  });
}

function openDatabase(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(KEYS);
  return settled(request);
}

async function keysFromDatabase(name: string): Promise<CryptoKeyPair> {
  const database = await openDatabase();
  try {
    const read = () => settled<CryptoKeyPair | undefined>(database.transaction(KEYS).objectStore(KEYS).get(name));
    const stored = await read();
    if (stored) return stored;
    const made = (await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify'])) as CryptoKeyPair;
    try {
      // `add` fails when another tab was faster; then its key is this browser's key.
      await settled(database.transaction(KEYS, 'readwrite').objectStore(KEYS).add(made, name));
      return made;
    } catch (error) {
      const other = await read();
      if (other) return other;
      throw error;
    }
  } finally {
    database.close();
  }
}

function storedSeed(suffix: string): Uint8Array | null {
  const text = usableStore(() => localStorage).getItem(SEED + suffix);
  if (!text) return null;
  try {
    const seed = fromBase64Url(text);
    return seed.length === 32 ? seed : null;
  } catch {
    return null;
  }
}

/**
 * This browser's identity at one gateway; made at the first call. Each gateway sees another one, so that none can pass a
 * signature on to another, nor can two find out that they know the same browser.
 *
 * @param suffix the gateway's, as {@link Place} has it
 */
export async function loadIdentity(suffix = ''): Promise<DeviceIdentity> {
  const seed = storedSeed(suffix);
  if (seed) return identityFromSeed(seed);
  try {
    if (globalThis.crypto?.subtle) return await identityFromKeys(await keysFromDatabase(KEY + suffix));
  } catch {
    // No Ed25519 in this WebCrypto, or no IndexedDB in a private window: the seed does the same.
  }
  const made = crypto.getRandomValues(new Uint8Array(32));
  usableStore(() => localStorage).setItem(SEED + suffix, base64Url(made));
  return identityFromSeed(made);
}

/** Forgets this browser's key: the gateway then sees a new device. */
export async function forgetIdentity(suffix = ''): Promise<void> {
  usableStore(() => localStorage).removeItem(SEED + suffix);
  if (!globalThis.indexedDB) return;
  const database = await openDatabase();
  try {
    await settled(database.transaction(KEYS, 'readwrite').objectStore(KEYS).delete(KEY + suffix));
  } finally {
    database.close();
  }
}
