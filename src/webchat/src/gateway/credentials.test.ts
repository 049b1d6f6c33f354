import { beforeEach, describe, expect, it } from 'vitest';
import { Credentials, takeToken, usableStore } from './credentials';

const broken = () => {
  throw new Error('storage is switched off');
};

describe('takeToken', () => {
  const taken = (hash: string) => {
    const replaced: unknown[] = [];
    const token = takeToken({ hash, pathname: '/chat/x', search: '?a=1' }, { replaceState: (...all) => void replaced.push(all) });
    return { token, replaced };
  };

  it('reads the fragment and removes it from the address', () => {
    expect(taken('#token=abc')).toEqual({ token: 'abc', replaced: [[null, '', '/chat/x?a=1']] });
  });

  it('keeps a plus and decodes percent signs', () => {
    expect(taken('#x=1&token=a+b%2Fc').token).toBe('a+b/c');
  });

  it('takes a badly encoded token as it is', () => {
    expect(taken('#token=100%').token).toBe('100%');
  });

  it('removes an empty token and keeps nothing', () => {
    expect(taken('#token=')).toEqual({ token: null, replaced: [[null, '', '/chat/x?a=1']] });
  });

  it('leaves any other fragment alone', () => {
    expect(taken('#section')).toEqual({ token: null, replaced: [] });
  });
});

describe('Credentials', () => {
  let credentials: Credentials;
  beforeEach(() => {
    credentials = new Credentials(usableStore(broken), usableStore(broken));
  });

  it('has nothing at first', () => {
    expect(credentials.choose('d1')).toEqual({ kind: 'none' });
  });

  it('prefers the device token over the shared one, unless that one may do more', () => {
    credentials.setShared('s');
    credentials.setDeviceToken('d1', 't', ['operator.admin', 'operator.read']);
    expect(credentials.choose('d1')).toEqual({ kind: 'device', token: 't' });
    expect(credentials.deviceScopes('d1')).toEqual(['operator.admin', 'operator.read']);
    credentials.setDeviceToken('d1', 't');
    expect(credentials.deviceScopes('d1')).toEqual(['operator.read', 'operator.write']);
    expect(credentials.choose('d1')).toEqual({ kind: 'shared', token: 's' });
    credentials.setNarrow('d1');
    expect(credentials.choose('d1')).toEqual({ kind: 'device', token: 't' });
    credentials.setShared('newer');
    expect(credentials.choose('d1')).toEqual({ kind: 'shared', token: 'newer' });
  });

  it('does not offer the token of another key', () => {
    credentials.setDeviceToken('d1', 't');
    expect(credentials.choose('d2')).toEqual({ kind: 'none' });
  });

  it('falls back to the shared token once the device token was refused', () => {
    credentials.setShared('s');
    credentials.setDeviceToken('d1', 't');
    credentials.dropDeviceToken('d1', 't');
    expect(credentials.choose('d1')).toEqual({ kind: 'shared', token: 's' });
  });

  it('keeps a token that another tab has stored since', () => {
    credentials.setDeviceToken('d1', 'newer');
    credentials.dropDeviceToken('d1', 'older');
    expect(credentials.choose('d1')).toEqual({ kind: 'device', token: 'newer' });
  });
});
