import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Credentials, usableStore } from '../gateway/credentials';
import type { Json } from '../gateway/frames';
import { FakeSocket } from '../gateway/testing';
import { textOf } from './content';
import { ChatController } from './controller';

const METHODS = ['sessions.subscribe', 'sessions.messages.subscribe', 'sessions.list', 'system-presence', 'health', 'agents.list'];
const HELLO = {
  type: 'hello-ok',
  protocol: 4,
  features: { methods: METHODS },
  snapshot: { health: { ok: true }, presence: [{ mode: 'gateway' }, { mode: 'webchat' }], sessionDefaults: { mainSessionKey: 'agent:main:main' } },
};

describe('ChatController', () => {
  let sockets: FakeSocket[];
  let controller: ChatController;
  let seq: number;

  const socket = () => sockets.at(-1)!;
  const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms);
  const texts = () => controller.view.chat.rows.map((row) => `${row.role}:${textOf(row.parts)}`);
  const event = (name: string, payload: Json, at?: number) => {
    seq = at ?? seq + 1;
    socket().receive({ type: 'event', event: name, payload, seq });
  };
  const online = async (messages: Json[] = []) => {
    seq = 0;
    socket().challenge();
    await settle();
    socket().answer('connect', HELLO);
    await settle();
    socket().answer('chat.history', { messages });
    await settle();
  };
  const asked = (key: string, text: string) => ({ role: 'user', content: text, __openclaw: { id: `m-${key}`, idempotencyKey: `${key}:user` } });

  beforeEach(() => {
    vi.useFakeTimers();
    sockets = [];
    const off = () => {
      throw new Error('off');
    };
    controller = new ChatController({
      url: 'ws://gateway/',
      identity: async () => ({ id: 'dev', publicKey: 'pk', sign: async () => 'sig' }),
      credentials: new Credentials(usableStore(off), usableStore(off)),
      random: () => 1,
      openSocket: () => {
        sockets.push(new FakeSocket());
        return socket();
      },
    });
    controller.client.start();
  });

  afterEach(() => {
    controller.client.stop();
    vi.useRealTimers();
  });

  it('sends an unacknowledged message again after a reconnect, with the same key', async () => {
    await online();
    controller.send('hello');
    const first = socket().params('chat.send');
    socket().lose();
    await settle(500);
    await online();
    expect(socket().params('chat.send')).toEqual(first);
    expect(socket().all('chat.send')).toHaveLength(1);
    socket().answer('chat.send', { runId: first['idempotencyKey'], status: 'in_flight' });
    await settle();
    expect(controller.view.chat.rows[0]?.delivery).toBe('sent');
  });

  it('does not send again what the gateway turns out to have', async () => {
    await online();
    controller.send('hello');
    const key = String(socket().params('chat.send')['idempotencyKey']);
    socket().lose();
    await settle(500);
    await online([asked(key, 'hello')]);
    expect(socket().all('chat.send')).toHaveLength(0);
    expect(texts()).toEqual(['user:hello']);
  });

  it('keeps what is written while there is no connection, and sends it in order', async () => {
    controller.send('one');
    controller.send('two');
    await online();
    expect(socket().all('chat.send').map((frame) => (frame['params'] as Json)['message'])).toEqual(['one', 'two']);
  });

  it('sends a message only once while its answer is awaited', async () => {
    socket().challenge();
    await settle();
    socket().answer('connect', HELLO);
    await settle();
    controller.send('before the history is there');
    socket().answer('chat.history', { messages: [] });
    await settle();
    expect(socket().all('chat.send')).toHaveLength(1);
  });

  it('delivers what was written in a session that is no longer open', async () => {
    controller.send('for main');
    controller.open('agent:main:other');
    await online();
    expect(socket().params('chat.send')).toMatchObject({ sessionKey: 'main', message: 'for main' });
    expect(texts()).toEqual([]);
  });

  it('asks for everything again after a gap, once', async () => {
    await online();
    const before = socket().all('chat.history').length;
    event('tick', {}, 5);
    event('tick', {}, 9);
    await settle(200);
    expect(socket().all('chat.history')).toHaveLength(before + 1);
    expect(socket().all('system-presence')).toHaveLength(1);
    expect(socket().all('health')).toHaveLength(1);
    socket().answer('chat.history', { messages: [asked('k', 'missed')] });
    socket().answer('system-presence', [{ mode: 'gateway' }, { mode: 'ui' }, { mode: 'webchat' }]);
    socket().answer('health', { ok: false, reason: 'disk full' });
    await settle();
    expect(texts()).toEqual(['user:missed']);
    expect(controller.view).toMatchObject({ clients: 2, unhealthy: 'disk full' });
  });

  it('asks only for what came since, after a gap and after a reconnect, and for all where that leads nowhere', async () => {
    await online();
    controller.reload();
    socket().answer('chat.history', { messages: [asked('k1', 'one')], deltaCursor: 'c1' });
    await settle();
    event('tick', {}, 5);
    event('tick', {}, 9);
    await settle(200);
    expect(socket().params('chat.history')).toEqual({ sessionKey: 'main', cursor: 'c1' });
    socket().answer('chat.history', { kind: 'delta', messages: [{ message: asked('k2', 'two') }], deltaCursor: 'c2' });
    await settle();
    expect(texts()).toEqual(['user:one', 'user:two']);
    socket().lose();
    await settle(500);
    socket().challenge();
    await settle();
    socket().answer('connect', HELLO);
    await settle();
    expect(socket().params('chat.history')).toEqual({ sessionKey: 'main', cursor: 'c2' });
    socket().answer('chat.history', { kind: 'reset' });
    await settle();
    expect(socket().params('chat.history')).toEqual({ sessionKey: 'main', limit: 200 });
    socket().answer('chat.history', { messages: [asked('k3', 'anew')], deltaCursor: 'c3' });
    await settle();
    expect(texts()).toEqual(['user:anew']);
  });

  it('takes events of the main session under its canonical key, and no others', async () => {
    await online();
    const delta = (sessionKey: string, runId: string) =>
      event('chat', { sessionKey, runId, seq: 1, state: 'delta', deltaText: 'x', message: { role: 'assistant', content: [{ type: 'text', text: runId }] } });
    delta('agent:main:main', 'mine');
    delta('agent:main:telegram:1', 'foreign');
    expect(texts()).toEqual(['assistant:mine']);
  });

  it('loads history again when a stored result answers', async () => {
    await online();
    controller.send('hello');
    const before = socket().all('chat.history').length;
    socket().answer('chat.send', { status: 'ok' });
    await settle(200);
    expect(socket().all('chat.history')).toHaveLength(before + 1);
  });

  it('shows a refused message with its reason and sends it again with its key', async () => {
    await online();
    controller.send('hello');
    const key = socket().params('chat.send')['idempotencyKey'];
    socket().refuse('chat.send', { code: 'UNAVAILABLE', message: 'store-unavailable' });
    await settle();
    const row = controller.view.chat.rows[0]!;
    expect(row).toMatchObject({ delivery: 'failed', problem: { message: 'store-unavailable' } });
    controller.retry(row);
    expect(socket().params('chat.send')).toMatchObject({ message: 'hello', idempotencyKey: key });
  });

  it('asks a failed question again under a new key', async () => {
    await online();
    controller.send('hello');
    const key = String(socket().params('chat.send')['idempotencyKey']);
    event('chat', { sessionKey: 'agent:main:main', runId: key, seq: 1, state: 'error', errorMessage: 'no key' });
    controller.askAgain(controller.view.chat.rows[1]!);
    expect(socket().params('chat.send')).toMatchObject({ message: 'hello' });
    expect(socket().params('chat.send')['idempotencyKey']).not.toBe(key);
  });

  it('stops the run that is under way', async () => {
    await online();
    controller.send('hello');
    const runId = socket().params('chat.send')['idempotencyKey'];
    void controller.stop();
    expect(socket().params('chat.abort')).toEqual({ sessionKey: 'main', runId });
    expect(controller.view.chat.rows[1]?.live).toBe('stopping');
  });

  it('says what failed when history cannot be loaded, and tries again when asked', async () => {
    socket().challenge();
    await settle();
    socket().answer('connect', HELLO);
    await settle();
    socket().refuse('chat.history', { code: 'UNAVAILABLE', message: 'store-unavailable' });
    await settle();
    expect(controller.view.chat).toMatchObject({ history: 'failed', historyProblem: 'store-unavailable' });
    controller.reload();
    socket().answer('chat.history', { messages: [] });
    await settle();
    expect(controller.view.chat.history).toBe('ready');
  });
});
