import { describe, expect, it } from 'vitest';
import { base64Url, identityFromSeed, signaturePayload } from './device';
import { newId } from './ids';

const bytes = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

const fields = {
  deviceId: 'ABC',
  clientId: 'webchat-ui',
  clientMode: 'webchat',
  role: 'operator',
  scopes: ['operator.read', 'operator.write'],
  signedAtMs: 1_700_000_000_000,
  token: 't0k',
  nonce: ' n1 ',
  platform: ' Web ',
  deviceFamily: '',
};

describe('signaturePayload', () => {
  it('joins the fields of version 3 in their order, with platform trimmed and lower-cased', () => {
    expect(signaturePayload(fields)).toBe('v3|ABC|webchat-ui|webchat|operator|operator.read,operator.write|1700000000000|t0k|n1|web|');
  });

  it('lower-cases ASCII only', () => {
    expect(signaturePayload({ ...fields, platform: 'İX' }).split('|')[9]).toBe('İx');
  });
});

describe('identityFromSeed', () => {
  // RFC 8032, section 7.1, tests 1 and 2.
  const first = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
  const second = '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb';

  it('signs as the known vectors do', async () => {
    const empty = await (await identityFromSeed(bytes(first))).sign('');
    expect(empty).toBe(
      base64Url(
        bytes(
          'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
        ),
      ),
    );
    const one = await (await identityFromSeed(bytes(second))).sign('r');
    expect(one).toBe(
      base64Url(
        bytes(
          '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
        ),
      ),
    );
  });

  it('names itself by the hash of its public key', async () => {
    const identity = await identityFromSeed(bytes(first));
    expect(identity.publicKey).toBe(base64Url(bytes('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a')));
    expect(identity.id).toBe('21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9');
    expect(identity.publicKey).toHaveLength(43);
  });

  it('is verified by WebCrypto', async () => {
    const identity = await identityFromSeed(bytes(second));
    const raw = Uint8Array.from(Buffer.from(identity.publicKey, 'base64url'));
    const key = await crypto.subtle.importKey('raw', raw, 'Ed25519', false, ['verify']);
    const text = signaturePayload(fields);
    const signature = Uint8Array.from(Buffer.from(await identity.sign(text), 'base64url'));
    expect(await crypto.subtle.verify('Ed25519', key, signature, new TextEncoder().encode(text))).toBe(true);
  });
});

describe('newId', () => {
  it('is a version 4 UUID where crypto.randomUUID is missing', () => {
    const id = newId({ getRandomValues: (array) => array });
    expect(id).toBe('00000000-0000-4000-8000-000000000000');
  });
});
