import { describe, expect, it } from 'vitest';
import type { Json } from '../gateway/frames';
import { textOf } from './content';
import { activeRun, initialState, queuedRuns, reduce, unacknowledged, type Action, type ChatState, type Row } from './state';

const NOW = 1_000;

function play(actions: readonly Action[], from: ChatState = { ...initialState('main'), history: 'ready' }): ChatState {
  return actions.reduce(reduce, from);
}

const send = (key: string, text = `text of ${key}`): Action => ({ type: 'send', key, text, now: NOW });
const acknowledged = (key: string): Action => ({ type: 'acknowledged', key });
const chat = (payload: Json): Action => ({ type: 'chat', payload, now: NOW });
const message = (text: string, more: Json = {}) => ({ role: 'assistant', content: [{ type: 'text', text }], ...more });
const delta = (runId: string, seq: number, text: string, more: Json = {}) =>
  chat({ runId, seq, state: 'delta', deltaText: text, message: message(text), ...more });
const final = (runId: string, text: string, id?: string) =>
  chat({ runId, seq: 99, state: 'final', message: message(text, id === undefined ? {} : { __openclaw: { id, runId } }) });
const stored = (role: string, text: string, id: string, runId?: string): Json => ({
  role,
  content: [{ type: 'text', text }],
  timestamp: 5,
  __openclaw: { id, ...(runId === undefined ? {} : role === 'user' ? { idempotencyKey: `${runId}:user` } : { runId }) },
});
const loaded = (messages: Json[], more: Json = {}, reconnected = false): Action => ({ type: 'loaded', payload: { messages, ...more }, reconnected });

const view = (state: ChatState) =>
  state.rows.map((row) => `${row.role}:${textOf(row.parts)}${row.live ? `(${row.live})` : ''}${row.delivery === 'sent' ? '' : `[${row.delivery}]`}`);
const row = (state: ChatState, index: number): Row => state.rows[index]!;

describe('a turn', () => {
  it('shows the message at once, with its answer behind it', () => {
    expect(view(play([send('r1', 'hi')]))).toEqual(['user:hi[sending]', 'assistant:(waiting)']);
  });

  it('streams, then takes the final text, in the same row', () => {
    const streaming = play([send('r1'), acknowledged('r1'), delta('r1', 1, 'He'), delta('r1', 2, 'Hello')]);
    expect(view(streaming)).toEqual(['user:text of r1', 'assistant:Hello(streaming)']);
    const done = play([final('r1', 'Hello!')], streaming);
    expect(view(done)).toEqual(['user:text of r1', 'assistant:Hello!']);
    expect(row(done, 1).key).toBe(row(streaming, 1).key);
    expect(activeRun(done)).toBeNull();
  });

  it('keeps the answers of queued messages behind their questions', () => {
    const state = play([send('a'), send('b'), delta('a', 1, 'for a'), final('a', 'for a'), delta('b', 1, 'for b')]);
    expect(view(state)).toEqual(['user:text of a', 'assistant:for a', 'user:text of b', 'assistant:for b(streaming)']);
  });

  it('adds deltas that carry no cumulative message, and obeys replace', () => {
    const bare = (seq: number, deltaText: string, more: Json = {}) => chat({ runId: 'r', seq, state: 'delta', deltaText, ...more });
    const state = play([bare(1, 'a'), bare(2, 'b')]);
    expect(view(state)).toEqual(['assistant:ab(streaming)']);
    expect(view(play([bare(3, 'new', { replace: true })], state))).toEqual(['assistant:new(streaming)']);
  });

  it('ignores a delta that arrives twice or late', () => {
    const state = play([delta('r', 2, 'two'), delta('r', 2, 'again'), delta('r', 1, 'one'), final('r', 'end'), delta('r', 3, 'late')]);
    expect(view(state)).toEqual(['assistant:end']);
  });

  it('keeps the streamed text when the final carries none', () => {
    expect(view(play([delta('r', 1, 'text'), chat({ runId: 'r', seq: 2, state: 'final' })]))).toEqual(['assistant:text']);
  });

  it('takes an event of the run as its acknowledgement', () => {
    expect(unacknowledged(play([send('r'), delta('r', 1, 'x')]))).toEqual([]);
  });

  it('says that it was stopped and keeps what was written', () => {
    const state = play([send('r'), delta('r', 1, 'part'), { type: 'stopping', runId: 'r' }]);
    expect(row(state, 1).live).toBe('stopping');
    const stopped = play([delta('r', 2, 'part more'), chat({ runId: 'r', seq: 3, state: 'aborted', stopReason: 'rpc' })], state);
    expect(row(stopped, 1)).toMatchObject({ live: null, stopped: true });
    expect(textOf(row(stopped, 1).parts)).toBe('part more');
  });

  it('shows an error once, with the details of its second report', () => {
    const state = play([
      send('r'),
      chat({ runId: 'r', seq: 1, state: 'error', errorDetail: 'HTTP 429' }),
      chat({ runId: 'r', seq: 1, state: 'error', errorMessage: 'slow down', errorKind: 'rate_limit' }),
    ]);
    expect(state.rows).toHaveLength(2);
    expect(row(state, 1).problem).toEqual({ message: 'slow down', kind: 'rate_limit', detail: 'HTTP 429' });
  });

  it('keeps what was written before a run failed, and lists the facts of the failure', () => {
    const errorDetail = { provider: 'openai', httpStatus: 500 };
    const state = play([chat({ runId: 'r', seq: 1, state: 'error', errorMessage: 'broke', errorDetail, message: message('half') })]);
    expect(textOf(row(state, 0).parts)).toBe('half');
    expect(row(state, 0).problem?.detail).toBe('provider: openai\nhttpStatus: 500');
  });

  it('keeps a refused message with its reason, to send again or discard', () => {
    const state = play([send('r'), { type: 'refused', key: 'r', message: 'disk full', detail: null }]);
    expect(view(state)).toEqual(['user:text of r[failed]']);
    expect(row(state, 0).problem?.message).toBe('disk full');
    expect(play([{ type: 'discard', key: 'r' }], state).rows).toEqual([]);
  });
});

describe('history', () => {
  it('replaces what is shown and keeps the rows that are on the screen', () => {
    const before = play([send('r'), final('r', 'answer', 'm2')]);
    const after = play([loaded([stored('user', 'text of r', 'm1', 'r'), stored('assistant', 'answer', 'm2', 'r')])], before);
    expect(view(after)).toEqual(['user:text of r', 'assistant:answer']);
    expect(after.rows.map((each) => each.key)).toEqual(before.rows.map((each) => each.key));
  });

  it('keeps a message that the gateway does not know yet, to be sent again with its key', () => {
    const state = play([send('r'), loaded([stored('user', 'old', 'm1')], {}, true)]);
    expect(view(state)).toEqual(['user:old', 'user:text of r[sending]', 'assistant:(waiting)']);
    expect(unacknowledged(state).map((each) => each.runId)).toEqual(['r']);
  });

  it('does not send again what the gateway has', () => {
    const state = play([send('r'), loaded([stored('user', 'text of r', 'm1', 'r')], { inFlightRun: { runId: 'r', text: 'so far' } }, true)]);
    expect(unacknowledged(state)).toEqual([]);
    expect(view(state)).toEqual(['user:text of r', 'assistant:so far(streaming)']);
  });

  it('picks up a run that is under way', () => {
    const state = play([loaded([stored('user', 'q', 'm1', 'r')], { inFlightRun: { runId: 'r', text: 'so far' } }, true)]);
    expect(view(state)).toEqual(['user:q', 'assistant:so far(streaming)']);
    expect(view(play([final('r', 'all of it')], state))).toEqual(['user:q', 'assistant:all of it']);
  });

  it('lets go of a run that ended while the page was away', () => {
    const before = play([send('r'), acknowledged('r'), delta('r', 1, 'half')]);
    const state = play([loaded([stored('user', 'text of r', 'm1', 'r')], {}, true)], before);
    expect(view(state)).toEqual(['user:text of r']);
    expect(activeRun(state)).toBeNull();
  });

  it('keeps a run under way when only a gap made it load again', () => {
    const before = play([send('r'), acknowledged('r'), delta('r', 1, 'half')]);
    const state = play([loaded([stored('user', 'text of r', 'm1', 'r')])], before);
    expect(view(state)).toEqual(['user:text of r', 'assistant:half(streaming)']);
  });

  it('shows messages that wait for their run, and those that a restart interrupted', () => {
    const waiting = (runId: string, state: string) => ({ id: `p-${runId}`, runId, state, message: { role: 'user', content: `q ${runId}` } });
    const pendingInputs = { items: [waiting('a', 'queued'), waiting('b', 'interrupted'), waiting('c', 'cancelled')], total: 3 };
    const state = play([send('a', 'q a'), acknowledged('a'), loaded([], { pendingInputs })]);
    expect(view(state)).toEqual(['user:q a', 'assistant:(waiting)', 'user:q b', 'assistant:']);
    expect(row(state, 3).problem?.message).toMatch(/restarted/);
    expect(view(play([delta('a', 1, 'now')], state))).toContain('assistant:now(streaming)');
  });

  it('puts older pages in front, each message once', () => {
    const state = play([
      loaded([stored('user', 'b', 'm2')], { hasMore: true, nextOffset: 1 }),
      { type: 'older', payload: { messages: [stored('user', 'a', 'm1'), stored('user', 'b', 'm2')], hasMore: false } },
    ]);
    expect(view(state)).toEqual(['user:a', 'user:b']);
    expect(state.olderOffset).toBeNull();
  });

  it('says where the model goes on with a summary', () => {
    const state = play([
      loaded([stored('user', 'a', 'm1'), { role: 'custom', content: [{ type: 'text', text: 'They met.' }], __openclaw: { kind: 'compaction', id: 'm2' } }]),
    ]);
    expect(state.rows.map((row) => row.role)).toEqual(['user', 'note']);
    expect(state.rows[1]!.problem).toBeNull();
    expect(state.rows[1]!.parts).toContainEqual({ type: 'thinking', text: 'They met.' });
  });

  it('reads plain strings, notes and failed turns, and skips tool results', () => {
    const state = play([
      loaded([
        { role: 'user', content: 'plain' },
        { role: 'toolResult', content: [{ type: 'text', text: '{}' }] },
        { role: 'custom', customType: 'run-failed-before-reply', content: [{ type: 'text', text: 'no key' }] },
        { role: 'assistant', content: [], stopReason: 'error', errorMessage: 'interrupted' },
        { role: 'somethingNew', content: 'x' },
      ]),
    ]);
    expect(view(state)).toEqual(['user:plain', 'assistant:', 'assistant:']);
    expect(state.rows.map((each) => each.problem?.message ?? null)).toEqual([null, 'no key', 'interrupted']);
    expect(new Set(state.rows.map((each) => each.key)).size).toBe(3);
  });
});

describe('an agent that uses tools', () => {
  const tool = (data: Json): Action => ({ type: 'agent', payload: { runId: 'r', stream: 'tool', data: { toolCallId: 'c1', ...data } } });
  const parts = (state: ChatState) => state.rows.at(-1)!.parts.map((part) => (part.type === 'text' ? part.text : part.type === 'tool' ? `${part.name}:${part.state}:${part.output}` : part.type));

  it('shows calls between the texts, whether these come whole or since the last call', () => {
    const calling = play([send('r'), delta('r', 1, 'Let me look.'), tool({ phase: 'start', name: 'read', args: { path: 'a.txt' } })]);
    expect(parts(calling)).toEqual(['Let me look.', 'read:running:null']);
    const read = play([tool({ phase: 'update', partialResult: 'half' }), tool({ phase: 'result', result: { content: [{ type: 'text', text: 'whole' }] } })], calling);
    expect(parts(read)).toEqual(['Let me look.', 'read:done:whole']);
    expect(parts(play([delta('r', 2, 'Let me look. It says')], read))).toEqual(['Let me look.', 'read:done:whole', 'It says']);
    expect(parts(play([delta('r', 2, 'It says')], read))).toEqual(['Let me look.', 'read:done:whole', 'It says']);
    const over = play([delta('r', 2, 'It says'), final('r', 'It says hi.')], read);
    expect(parts(over)).toEqual(['Let me look.', 'read:done:whole', 'It says hi.']);
    expect(play([tool({ phase: 'start', name: 'late' })], over)).toBe(over);
  });

  it('is one answer in history, with what each call gave back', () => {
    const meta = (id: string) => ({ id, runId: 'r' });
    const state = play([
      loaded([
        stored('user', 'read it', 'm1', 'r'),
        { role: 'assistant', content: [{ type: 'toolCall', id: 'c1', name: 'read', arguments: {} }], usage: { input: 10, output: 2 }, __openclaw: meta('m2') },
        { role: 'toolResult', toolCallId: 'c1', toolName: 'read', content: [{ type: 'text', text: 'no such file' }], isError: true, __openclaw: meta('m3') },
        { role: 'assistant', content: [{ type: 'text', text: 'It is gone.' }], usage: { input: 20, output: 3, cost: { total: 0.5 } }, model: 'gpt', __openclaw: meta('m4') },
      ]),
    ]);
    expect(state.rows).toHaveLength(2);
    expect(parts(state)).toEqual(['read:failed:no such file', 'It is gone.']);
    expect(state.rows[1]).toMatchObject({ usage: { input: 30, output: 5, cost: 0.5 }, model: 'gpt', messageId: 'm4' });
  });

  it('goes on where it was when the page comes back in the middle of a run', () => {
    const call = { role: 'assistant', content: [{ type: 'toolCall', id: 'c1', name: 'read', arguments: {} }], __openclaw: { id: 'm2', runId: 'r' } };
    const payload = { messages: [stored('user', 'read it', 'm1', 'r'), call], inFlightRun: { runId: 'r', text: 'So far' } };
    const state = play([{ type: 'loaded', payload, reconnected: true }]);
    expect(parts(state)).toEqual(['read:done:null', 'So far']);
    expect(state.rows.at(-1)!.live).toBe('streaming');
  });
});

describe('messages that wait for their turn', () => {
  it('are queued behind the answer that is being written', () => {
    const state = play([send('a'), delta('a', 1, 'Writing'), send('b'), send('c')]);
    expect([...queuedRuns(state).after]).toEqual(['b', 'c']);
    expect([...queuedRuns(play([final('a', 'done')], state)).after]).toEqual(['c']);
  });

  it('leave no empty answer when they were answered together', () => {
    const joined = play([send('a'), send('b'), delta('b', 1, 'To both')]);
    expect([...queuedRuns(joined).all]).toEqual(['a']);
    expect([...queuedRuns(joined).after]).toEqual([]);
    const over = play([final('b', 'To both'), chat({ runId: 'a', seq: 9, state: 'final' })], joined);
    expect(view(over)).toEqual(['user:text of a[sending]', 'user:text of b', 'assistant:To both'].map((text) => text.replace('text of a[sending]', 'text of a')));
  });
});

describe('messages of other clients', () => {
  const event = (stored: Json): Action => ({ type: 'message', payload: { message: stored } });

  it('appear once, in front of their answer', () => {
    const state = play([delta('r', 1, 'An'), event(stored('user', 'asked elsewhere', 'm1', 'r')), event(stored('user', 'asked elsewhere', 'm1', 'r'))]);
    expect(view(state)).toEqual(['user:asked elsewhere', 'assistant:An(streaming)']);
  });

  it('do not repeat what is on the screen', () => {
    const state = play([send('r'), event(stored('user', 'text of r', 'm1', 'r')), final('r', 'answer'), event(stored('assistant', 'answer', 'm2', 'r'))]);
    expect(view(state)).toEqual(['user:text of r', 'assistant:answer']);
    expect(state.rows.map((each) => each.messageId)).toEqual(['m1', 'm2']);
  });
});

describe('a conversation that is open for weeks', () => {
  const many = Array.from({ length: 50 }, (_, index) => stored('assistant', `m${index}`, `id${index}`));

  it('forgets all but the newest rows, and what the gateway does not have yet', () => {
    const state = play([loaded(many), send('r1'), { type: 'trim', keep: 10 }]);
    expect(view(state).slice(0, 2)).toEqual(['assistant:m42', 'assistant:m43']);
    expect(state.rows).toHaveLength(10);
    // Eight of them are stored: the next page may begin with what is shown, and must leave out nothing.
    expect(state.olderOffset).toBe(8);
    expect(view(play([send('r2'), loaded(many), { type: 'trim', keep: 1 }])).filter((text) => text.includes('r2'))).toEqual(['user:text of r2[sending]']);
    expect(play([loaded(many), { type: 'trim', keep: 50 }]).olderOffset).toBeNull();
  });

  it('gets them back without doubling what is shown', () => {
    const trimmed = play([loaded(many), send('r1'), acknowledged('r1'), final('r1', 'so'), { type: 'trim', keep: 10 }]);
    const page = [...many.slice(30), stored('user', 'text of r1', 'q1', 'r1'), stored('assistant', 'so', 'a1', 'r1')];
    const state = play([{ type: 'older', payload: { messages: page, hasMore: true, nextOffset: 22 } }], trimmed);
    expect(view(state)).toEqual([...many.slice(30).map((_, index) => `assistant:m${30 + index}`), 'user:text of r1', 'assistant:so']);
    expect(state.olderOffset).toBe(22);
  });
});

describe('what came since', () => {
  const call = (id: string, name: string) => ({ type: 'toolCall', id, name, arguments: {} });
  const transcript: Json[] = [
    stored('user', 'first', 'm1', 'r1'),
    stored('assistant', 'one', 'm2', 'r1'),
    stored('user', 'look it up', 'm3', 'r2'),
    { role: 'assistant', content: [call('t1', 'read')], timestamp: 5, __openclaw: { id: 'm4', runId: 'r2' } },
    { role: 'toolResult', toolCallId: 't1', toolName: 'read', content: [{ type: 'text', text: 'found' }], __openclaw: { id: 'm5', runId: 'r2' } },
    stored('assistant', 'two', 'm6', 'r2'),
    stored('user', 'last', 'm7', 'r3'),
    stored('assistant', 'three', 'm8', 'r3'),
  ];
  const since = (messages: Json[], more: Json = {}): Action => ({
    type: 'loaded',
    reconnected: true,
    payload: { kind: 'delta', deltaCursor: 'later', messages: messages.map((told) => ({ sessionKey: 'main', message: told })), ...more },
  });
  const shown = (state: ChatState) => state.rows.map(({ role, parts, messageId, live }) => ({ role, parts, messageId, live }));

  it('comes to the same as all of it, wherever it begins', () => {
    const whole = shown(play([loaded(transcript)]));
    for (let at = 0; at <= transcript.length; at += 1) {
      const state = play([loaded(transcript.slice(0, at), { deltaCursor: 'then' }), since(transcript.slice(at))]);
      expect(shown(state), `from ${at}`).toEqual(whole);
      expect(state.cursor).toBe('later');
    }
  });

  it('takes the place of what was shown meanwhile, and leaves alone what was there', () => {
    const before = play([loaded(transcript.slice(0, 2), { deltaCursor: 'then' })]);
    const live = play([send('r2', 'look it up'), acknowledged('r2'), delta('r2', 1, 'tw')], before);
    const state = play([since(transcript.slice(2, 6))], live);
    expect(view(state)).toEqual(['user:first', 'assistant:one', 'user:look it up', 'assistant:two']);
    expect(row(state, 0)).toBe(row(before, 0));
    expect(row(state, 3).key).toBe(row(live, 3).key);
  });

  it('keeps its place in what is older, also where older pages were read or let go', () => {
    const page = play([loaded(transcript.slice(2, 4), { deltaCursor: 'then', hasMore: true, nextOffset: 2 })]);
    expect(play([since(transcript.slice(4))], page).olderOffset).toBe(6);
    const all = play([{ type: 'older', payload: { messages: transcript.slice(0, 2), hasMore: false } }, since(transcript.slice(4))], page);
    expect(shown(all)).toEqual(shown(play([loaded(transcript)])));
    expect(all.olderOffset).toBeNull();
    const few = play([{ type: 'trim', keep: 2 }, since(transcript.slice(4))], page);
    expect(view(few).at(-1)).toBe('assistant:three');
  });
});
