import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GatewayClient, type Connection } from './client';
import { Credentials, usableStore } from './credentials';
import type { Json } from './frames';
import { FakeSocket } from './testing';

const HELLO = { type: 'hello-ok', protocol: 4, auth: { deviceToken: 'issued' }, policy: { tickIntervalMs: 10_000 } };
const mismatch = (code: string, more: Json = {}) => ({ code: 'INVALID_REQUEST', message: 'no', details: { code, ...more } });

describe('GatewayClient', () => {
  let sockets: FakeSocket[];
  let connections: Connection[];
  let events: string[];
  let gaps: number;
  let credentials: Credentials;
  let client: GatewayClient;

  const socket = () => sockets.at(-1)!;
  const phase = () => client.connection.phase;

  const challenged = async () => {
    socket().challenge();
    await vi.advanceTimersByTimeAsync(0);
  };
  const online = async () => {
    await challenged();
    socket().answer('connect', HELLO);
    await vi.advanceTimersByTimeAsync(0);
  };

  beforeEach(() => {
    vi.useFakeTimers();
    [sockets, connections, events, gaps] = [[], [], [], 0];
    const off = () => {
      throw new Error('off');
    };
    credentials = new Credentials(usableStore(off), usableStore(off));
    credentials.setShared('shared');
    client = new GatewayClient({
      url: 'ws://gateway/',
      identity: async () => ({ id: 'dev', publicKey: 'pk', sign: async (text) => `signed ${text}` }),
      credentials,
      openSocket: () => {
        sockets.push(new FakeSocket());
        return socket();
      },
      random: () => 1,
      onConnection: (connection) => connections.push(connection),
      onEvent: (event) => events.push(event),
      onGap: () => (gaps += 1),
    });
    client.start();
  });

  afterEach(() => {
    client.stop();
    vi.useRealTimers();
  });

  it('comes in with what it was approved for when it may not have more', async () => {
    await challenged();
    const approved = ['operator.read', 'operator.write'];
    socket().refuse('connect', mismatch('PAIRING_REQUIRED', { reason: 'scope-upgrade', approvedScopes: approved }));
    await vi.advanceTimersByTimeAsync(0);
    await challenged();
    expect(socket().params('connect')['scopes']).toEqual(approved);
    expect(credentials.narrow('dev')).toBe(true);
  });

  it('signs the challenge with the gateway’s own time and the shared token', async () => {
    await challenged();
    const params = socket().request('connect')['params'] as Json;
    expect(params).toMatchObject({
      minProtocol: 4,
      maxProtocol: 4,
      client: { id: 'webchat-ui', mode: 'webchat' },
      role: 'operator',
      scopes: ['operator.admin', 'operator.approvals', 'operator.pairing', 'operator.read', 'operator.write'],
      auth: { token: 'shared' },
      device: { id: 'dev', signedAt: 5, nonce: 'n' },
    });
    expect((params['device'] as Json)['signature']).toBe(
      'signed v3|dev|webchat-ui|webchat|operator|operator.admin,operator.approvals,operator.pairing,operator.read,operator.write|5|shared|n|web|',
    );
  });

  it('keeps the issued device token and presents it the next time', async () => {
    await online();
    expect(phase()).toBe('online');
    socket().lose();
    await vi.advanceTimersByTimeAsync(500);
    await challenged();
    expect((socket().request('connect')['params'] as Json)['auth']).toEqual({ deviceToken: 'issued' });
  });

  it('falls back to the shared token at once when the device token is refused', async () => {
    credentials.setDeviceToken('dev', 'stale', ['operator.admin']);
    await challenged();
    socket().refuse('connect', mismatch('AUTH_DEVICE_TOKEN_MISMATCH'));
    await vi.advanceTimersByTimeAsync(0);
    expect(sockets).toHaveLength(2);
    await challenged();
    expect((socket().request('connect')['params'] as Json)['auth']).toEqual({ token: 'shared' });
  });

  it('stops at a refused shared token, forgets it, and waits for the person', async () => {
    await challenged();
    socket().refuse('connect', mismatch('AUTH_TOKEN_MISMATCH'));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(client.connection).toMatchObject({ phase: 'refused', refusal: { kind: 'token' }, retryAt: null });
    expect(sockets).toHaveLength(1);
    expect(credentials.choose('dev')).toEqual({ kind: 'none' });
    credentials.setShared('right');
    client.retryNow();
    await online();
    expect(phase()).toBe('online');
  });

  it('asks again while it waits for its approval, and shows the request all the while', async () => {
    await challenged();
    socket().refuse('connect', { code: 'NOT_PAIRED', message: 'pairing required', details: { code: 'PAIRING_REQUIRED', requestId: 'r1' } });
    await vi.advanceTimersByTimeAsync(0);
    expect(client.connection).toMatchObject({ phase: 'refused', refusal: { kind: 'pairing', requestId: 'r1' } });
    await vi.advanceTimersByTimeAsync(3_000);
    expect(client.connection).toMatchObject({ phase: 'connecting', after: { requestId: 'r1' } });
    await online();
    expect(phase()).toBe('online');
  });

  it('explains a refused origin and does not insist', async () => {
    await challenged();
    socket().refuse('connect', mismatch('CONTROL_UI_ORIGIN_NOT_ALLOWED'));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(client.connection).toMatchObject({ phase: 'refused', refusal: { kind: 'origin' } });
    expect(sockets).toHaveLength(1);
  });

  it('waits as long as a gateway that is still starting asks for', async () => {
    await challenged();
    socket().refuse('connect', { code: 'UNAVAILABLE', message: 'starting', retryable: true, retryAfterMs: 700 });
    await vi.advanceTimersByTimeAsync(0);
    expect(client.connection).toMatchObject({ phase: 'waiting', cause: 'busy', said: 'starting' });
    await vi.advanceTimersByTimeAsync(699);
    expect(sockets).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(sockets).toHaveLength(2);
  });

  it('comes back with growing waits, and says since when and why', async () => {
    await online();
    socket().lose();
    expect(client.connection).toMatchObject({ phase: 'waiting', attempt: 1, cause: 'lost', retryAt: Date.now() + 500 });
    for (const wait of [500, 1_000, 2_000]) {
      const before = sockets.length;
      await vi.advanceTimersByTimeAsync(wait - 1);
      expect(sockets).toHaveLength(before);
      await vi.advanceTimersByTimeAsync(1);
      expect(sockets).toHaveLength(before + 1);
      socket().lose();
    }
    expect(client.connection).toMatchObject({ phase: 'waiting', attempt: 4, cause: 'unreachable' });
    await vi.advanceTimersByTimeAsync(4_000);
    await online();
    socket().lose();
    expect(client.connection).toMatchObject({ phase: 'waiting', attempt: 1 });
  });

  it('calls a restart a restart', async () => {
    await online();
    socket().receive({ type: 'event', event: 'shutdown', payload: { reason: 'gateway stopping' }, seq: 1 });
    socket().lose(1012);
    expect(client.connection).toMatchObject({ phase: 'waiting', cause: 'restarting' });
    expect(events).toEqual(['shutdown']);
  });

  it('ends a wait when the network comes back', async () => {
    await online();
    socket().lose();
    client.wake();
    expect(sockets).toHaveLength(2);
  });

  it('gives up a handshake that hangs', async () => {
    await vi.advanceTimersByTimeAsync(15_000);
    expect(client.connection).toMatchObject({ phase: 'waiting', cause: 'unreachable' });
  });

  it('leaves a gateway that was silent for more than two ticks', async () => {
    await online();
    await vi.advanceTimersByTimeAsync(15_000);
    socket().receive({ type: 'event', event: 'tick', payload: {}, seq: 1 });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(phase()).toBe('online');
    const silent = socket();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(silent.closedWith).toBe(4_000);
    expect(connections.some((connection) => connection.phase === 'waiting' && connection.cause === 'silent')).toBe(true);
  });

  it('reports a gap in seq once, and none when events follow each other', async () => {
    await online();
    const event = (seq: number) => socket().receive({ type: 'event', event: 'tick', payload: {}, seq });
    event(1);
    event(2);
    expect(gaps).toBe(0);
    event(5);
    event(6);
    expect(gaps).toBe(1);
  });

  it('counts seq anew on each connection', async () => {
    await online();
    socket().receive({ type: 'event', event: 'tick', payload: {}, seq: 1 });
    socket().lose();
    await vi.advanceTimersByTimeAsync(500);
    await online();
    socket().receive({ type: 'event', event: 'tick', payload: {}, seq: 1 });
    expect(gaps).toBe(0);
  });

  it('rejects what was unanswered when the connection ends', async () => {
    await online();
    const answer = client.request('chat.history', {});
    socket().lose();
    await expect(answer).rejects.toMatchObject({ code: 'DISCONNECTED', unanswered: true });
    await expect(client.request('health', {})).rejects.toMatchObject({ code: 'DISCONNECTED' });
  });

  it('sends nothing on a socket that is closing', async () => {
    await online();
    socket().readyState = 2;
    const sent = socket().sent.length;
    await expect(client.request('health', {})).rejects.toMatchObject({ code: 'DISCONNECTED' });
    expect(socket().sent).toHaveLength(sent);
  });

  it('gives up a request without an answer, and ignores the late one', async () => {
    await online();
    const answer = client.request('health', {}, 1_000);
    const failed = expect(answer).rejects.toMatchObject({ code: 'TIMEOUT' });
    await vi.advanceTimersByTimeAsync(1_000);
    await failed;
    socket().answer('health', {});
  });

  it('ignores frames that it cannot read', async () => {
    await online();
    socket().onmessage?.({ data: 'not json' });
    socket().receive({ type: 'unheard of' });
    expect(phase()).toBe('online');
  });
});
