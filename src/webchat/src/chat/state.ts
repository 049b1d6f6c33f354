/**
 * What one conversation looks like. Pure: every change is {@link reduce}(state, action), with the time in the action.
 *
 * A row is one bubble. The answer to a message is placed behind that message as soon as the message is sent, and fills
 * as the run streams; the final text takes its place without moving anything. History, when it is loaded again after a
 * gap or a reconnect, is the truth: rows stay only while the gateway does not know them yet.
 */
import { asList, asNumber, asObject, asText, type Json } from '../gateway/frames';
import type { Attachment } from './attachments';
import { pretty, readMessage, readUsage, textOf, toolOutput, toolPart, withText, withTool } from './content';
import { keepKeys, pendingRows, rowOf, rowsOf } from './history';
import type { Part, ToolPart } from './content';
import { answer, isAnswerOf, question, type Problem, type Row } from './rows';

export type { Delivery, Problem, Role, Row } from './rows';

export interface ChatState {
  readonly sessionKey: string;
  readonly history: 'loading' | 'ready' | 'failed';
  readonly historyProblem: string | null;
  /** Where the next older page starts; `null`: all is shown. */
  readonly olderOffset: number | null;
  readonly rows: readonly Row[];
  /** Of {@link rows}, what the gateway has told as history; what came since is asked for with the cursor. */
  readonly stored: readonly Row[];
  /** Where the gateway goes on telling; `null`: the newest page is asked for. */
  readonly cursor: string | null;
  /** Runs that ended: later frames of theirs (duplicates, stragglers) change nothing. Bounded. */
  readonly ended: readonly string[];
  /** The last `seq` of each live run, so that a frame that arrives twice counts once. */
  readonly seqs: Readonly<Record<string, number>>;
}

export type Action =
  | { type: 'loading' }
  | { type: 'loaded'; payload: Json; reconnected: boolean }
  | { type: 'older'; payload: Json }
  | { type: 'loadFailed'; message: string }
  | { type: 'send'; key: string; text: string; now: number; attachments?: readonly Attachment[] }
  | { type: 'acknowledged'; key: string }
  | { type: 'refused'; key: string; message: string; detail: string | null }
  | { type: 'discard'; key: string }
  | { type: 'stopping'; runId: string }
  | { type: 'chat'; payload: Json; now: number }
  | { type: 'agent'; payload: Json }
  | { type: 'message'; payload: Json }
  /** Forgets all but the newest rows; they are asked for again when somebody scrolls up to them. */
  | { type: 'trim'; keep: number };

const ENDED_KEPT = 64;

export function initialState(sessionKey: string): ChatState {
  return { sessionKey, history: 'loading', historyProblem: null, olderOffset: null, rows: [], stored: [], cursor: null, ended: [], seqs: {} };
}

/** Messages that the gateway has not acknowledged, in the order in which they were written. */
export function unacknowledged(state: ChatState): readonly Row[] {
  return state.rows.filter((row) => row.role === 'user' && row.delivery === 'sending');
}

/** The run that "Stop" stops: the oldest that is under way. */
export function activeRun(state: ChatState): Row | null {
  return state.rows.find((row) => row.live !== null && row.live !== 'stopping') ?? state.rows.find((row) => row.live !== null) ?? null;
}

/**
 * Runs of which nothing has come while another one is under way. `after`: those that wait behind it; the others were
 * taken into it (the gateway answers messages that wait together) and end with it.
 */
export function queuedRuns(state: ChatState): { all: ReadonlySet<string | null>; after: ReadonlySet<string | null> } {
  const live = state.rows.filter((row) => row.live !== null && row.role !== 'user');
  const speaks = live.findIndex((row) => row.parts.length > 0);
  const active = Math.max(speaks, 0);
  const silent = (row: Row, index: number) => index !== active && row.parts.length === 0 && row.live === 'waiting';
  const runs = (rows: readonly Row[]) => new Set(rows.map((row) => row.runId));
  return { all: runs(live.filter(silent)), after: runs(live.filter((row, index) => index > active && silent(row, index))) };
}

export function reduce(state: ChatState, action: Action): ChatState {
  switch (action.type) {
    case 'loading':
      return { ...state, history: 'loading', historyProblem: null };
    case 'loadFailed':
      return { ...state, history: 'failed', historyProblem: action.message };
    case 'loaded':
      return loaded(state, action.payload, action.reconnected);
    case 'older':
      return older(state, action.payload);
    case 'send':
      return { ...state, rows: [...state.rows, question(action.key, action.text, action.now, action.attachments), answer(action.key)] };
    case 'acknowledged':
      return acknowledged(state, action.key);
    case 'refused':
      return refused(state, action.key, { message: action.message, kind: null, detail: action.detail });
    case 'discard':
      return { ...state, rows: state.rows.filter((row) => row.runId !== action.key) };
    case 'stopping':
      return change(state, action.runId, (row) => ({ ...row, live: row.live && 'stopping' }));
    case 'chat':
      return chatEvent(state, action.payload, action.now);
    case 'agent':
      return agentEvent(state, action.payload);
    case 'message':
      return storedElsewhere(state, action.payload);
    case 'trim':
      return trimmed(state, action.keep);
  }
}

function trimmed(state: ChatState, keep: number): ChatState {
  if (state.rows.length <= keep) return state;
  const from = state.rows.length - keep;
  // What the gateway does not have yet is nowhere else.
  const rows = state.rows.filter((row, index) => index >= from || row.delivery !== 'sent' || row.live !== null);
  // Each row is at least one stored message, so the next older page begins too early rather than too late.
  return { ...state, rows, stored: state.stored.slice(-keep), olderOffset: rows.filter((row) => row.messageId !== null).length };
}

function change(state: ChatState, runId: string, edit: (row: Row) => Row): ChatState {
  const matches = isAnswerOf(runId);
  return { ...state, rows: state.rows.map((row) => (matches(row) ? edit(row) : row)) };
}

/** Makes sure that the run has a row: behind its question, else at the end. */
function withAnswer(state: ChatState, runId: string): ChatState {
  if (state.rows.some(isAnswerOf(runId))) return state;
  const asked = state.rows.findIndex((row) => row.role === 'user' && row.runId === runId);
  const at = asked < 0 ? state.rows.length : asked + 1;
  return { ...state, rows: [...state.rows.slice(0, at), answer(runId), ...state.rows.slice(at)] };
}

function acknowledged(state: ChatState, key: string): ChatState {
  const rows = state.rows.map((row): Row => (row.role === 'user' && row.runId === key ? { ...row, delivery: 'sent' } : row));
  return { ...state, rows };
}

function refused(state: ChatState, key: string, problem: Problem): ChatState {
  const rows = state.rows
    .filter((row) => !(isAnswerOf(key)(row) && row.live !== null && row.parts.length === 0))
    .map((row): Row => (row.role === 'user' && row.runId === key ? { ...row, delivery: 'failed', problem } : row));
  return { ...state, rows };
}

function end(state: ChatState, runId: string): ChatState {
  const { [runId]: _, ...seqs } = state.seqs;
  return { ...state, seqs, ended: [...state.ended.filter((id) => id !== runId), runId].slice(-ENDED_KEPT) };
}

function chatEvent(state: ChatState, payload: Json, now: number): ChatState {
  const runId = asText(payload['runId']);
  if (runId === null) return state;
  const kind = payload['state'];
  if (state.ended.includes(runId)) return kind === 'error' ? enrichError(state, runId, payload) : state;
  // An event of the run proves that its message was accepted, even when the acknowledgement was lost.
  const known = acknowledged(state, runId);
  switch (kind) {
    case 'status':
      return withAnswer(known, runId);
    case 'delta':
      return delta(known, runId, payload);
    case 'final':
      return finished(known, runId, payload, now, false);
    case 'aborted':
      return finished(known, runId, payload, now, true);
    case 'error':
      return failed(known, runId, payload, now);
    default:
      return state;
  }
}

function delta(state: ChatState, runId: string, payload: Json): ChatState {
  const seq = asNumber(payload['seq']);
  if (seq !== null && seq <= (state.seqs[runId] ?? -1)) return state;
  const whole = asObject(payload['message'])['content'] === undefined ? null : readMessage(payload['message']).parts;
  const added = asText(payload['deltaText']) ?? '';
  const shown = withAnswer(state, runId);
  const next = change(shown, runId, (row) => {
    const last = row.parts.at(-1);
    const text = whole !== null ? textOf(whole) : payload['replace'] === true ? added : (last?.type === 'text' ? last.text : '') + added;
    const parts = whole?.some((part) => part.type === 'tool') ? whole : withText(row.parts, text);
    return { ...row, parts, live: row.live === 'stopping' ? 'stopping' : 'streaming' };
  });
  return seq === null ? next : { ...next, seqs: { ...next.seqs, [runId]: seq } };
}

function finished(state: ChatState, runId: string, payload: Json, now: number, stopped: boolean): ChatState {
  const message = readMessage(payload['message']);
  const next = change(withAnswer(state, runId), runId, (row) => ({
    ...row,
    parts: finalParts(row.parts, message.parts),
    usage: message.usage ?? readUsage(payload['usage']) ?? row.usage,
    model: message.model ?? row.model,
    at: message.at ?? row.at ?? now,
    messageId: message.messageId ?? row.messageId,
    live: null,
    stopped,
    problem: message.error === null ? row.problem : { message: message.error, kind: null, detail: null },
  }));
  return end(withoutJoined(next, runId), runId);
}

/** The answer to a message that was taken into a later one's run stands behind that one: its own place goes. */
function withoutJoined(state: ChatState, runId: string): ChatState {
  const at = state.rows.findIndex(isAnswerOf(runId));
  const row = state.rows[at];
  const joined = row !== undefined && row.parts.length === 0 && !row.stopped && row.problem === null && state.rows[at + 1]?.role === 'user';
  return joined ? { ...state, rows: state.rows.filter((other) => other !== row) } : state;
}

/** A final without a message keeps what was streamed; one that only tells the text keeps the tool calls before it. */
function finalParts(shown: readonly Part[], told: readonly Part[]): readonly Part[] {
  const settled = shown.map((part): Part => (part.type === 'tool' && part.state === 'running' ? { ...part, state: 'done' } : part));
  if (told.length === 0) return settled;
  if (told.some((part) => part.type === 'tool') || !shown.some((part) => part.type === 'tool')) return told;
  return withText(settled, textOf(told));
}

/** What the agent does beside talking: tool calls, and its thoughts where it shows them. */
function agentEvent(state: ChatState, payload: Json): ChatState {
  const runId = asText(payload['runId']);
  const data = asObject(payload['data']);
  if (runId === null || state.ended.includes(runId)) return state;
  const streaming = (edit: (parts: readonly Part[]) => readonly Part[]) =>
    change(withAnswer(state, runId), runId, (row) => ({ ...row, parts: edit(row.parts), live: row.live === 'stopping' ? 'stopping' : 'streaming' }));
  if (payload['stream'] === 'thinking' || payload['stream'] === 'reasoning') {
    const text = asText(data['text']);
    return text === null ? state : streaming((parts) => withThoughts(parts, text));
  }
  const id = asText(data['toolCallId']);
  if (payload['stream'] !== 'tool' || id === null) return state;
  return streaming((parts) => withTool(parts, id, (known) => toolStep(known ?? toolPart(id, asText(data['name']), null, 'running'), data)));
}

function toolStep(tool: ToolPart, data: Json): ToolPart {
  switch (data['phase']) {
    case 'start':
      return { ...tool, name: asText(data['name']) ?? tool.name, input: pretty(data['args']) || tool.input };
    case 'update':
      return tool.state === 'running' ? { ...tool, ...toolOutput(data['partialResult']) } : tool;
    case 'result':
      return { ...tool, ...toolOutput(data['result']), state: data['isError'] === true ? 'failed' : 'done' };
    default:
      return tool;
  }
}

function withThoughts(parts: readonly Part[], text: string): Part[] {
  const last = parts.at(-1);
  const kept = last?.type === 'thinking' ? parts.slice(0, -1) : parts;
  return [...kept, { type: 'thinking', text }];
}

function readProblem(payload: Json): Problem {
  return {
    message: asText(payload['errorMessage']) ?? '',
    kind: asText(payload['errorKind']),
    detail: readDetail(payload['errorDetail']),
  };
}

/** A text, or facts by name: one line each. */
function readDetail(value: unknown): string | null {
  if (typeof value === 'string') return value;
  const lines = Object.entries(asObject(value)).map(([name, fact]) => `${name}: ${String(fact)}`);
  return lines.length === 0 ? null : lines.join('\n');
}

function failed(state: ChatState, runId: string, payload: Json, now: number): ChatState {
  const { parts } = readMessage(payload['message']);
  const next = change(withAnswer(state, runId), runId, (row) => ({
    ...row,
    parts: finalParts(row.parts, parts),
    live: null,
    at: row.at ?? now,
    problem: readProblem(payload),
  }));
  return end(next, runId);
}

/** A run may report its error twice, once for people and once with details: what the first lacked is filled in. */
function enrichError(state: ChatState, runId: string, payload: Json): ChatState {
  const more = readProblem(payload);
  return change(state, runId, (row) =>
    row.problem === null
      ? row
      : {
          ...row,
          problem: {
            message: row.problem.message || more.message,
            kind: row.problem.kind ?? more.kind,
            detail: row.problem.detail ?? more.detail,
          },
        },
  );
}

/** A page of history, or what came since the last one: then `messages` are events that tell of one each. */
function transcriptOf(state: ChatState, payload: Json): Pick<ChatState, 'stored' | 'olderOffset'> {
  if (payload['kind'] !== 'delta') {
    return { stored: rowsOf(payload['messages']), olderOffset: payload['hasMore'] === true ? asNumber(payload['nextOffset']) : null };
  }
  const told = asList(payload['messages']).map((event) => asObject(event)['message']);
  const stored = rowsOf(told, state.stored.length, state.stored);
  return { stored, olderOffset: state.olderOffset === null ? null : state.olderOffset + told.length };
}

function loaded(state: ChatState, payload: Json, reconnected: boolean): ChatState {
  const { stored: transcript, olderOffset } = transcriptOf(state, payload);
  const known = new Set(transcript.map((row) => row.key));
  const stored = [...transcript, ...pendingRows(payload).filter((row) => !known.has(row.key))];
  const asked = new Set(stored.filter((row) => row.role === 'user').map((row) => row.runId));
  // A run whose last stored word is a tool call is not over yet.
  const answered = new Set(stored.filter((row) => row.role === 'assistant' && row.parts.at(-1)?.type !== 'tool').map((row) => row.runId));
  const partly = new Set(stored.filter((row) => row.role === 'assistant').map((row) => row.runId));
  const inFlight = payload['inFlightRun'] === undefined || payload['inFlightRun'] === null ? null : asObject(payload['inFlightRun']);
  const running = inFlight === null ? null : asText(inFlight['runId']);

  const kept = state.rows.filter((row) => {
    if (row.runId === null) return false;
    if (row.role === 'user') return row.delivery !== 'sent' && !asked.has(row.runId);
    if (row.live === null || answered.has(row.runId) || partly.has(row.runId)) return false;
    // Under way as far as we know: the question is still ours to send, or nothing says that the run is over.
    const waits = state.rows.some((other) => other.role === 'user' && other.runId === row.runId && other.delivery !== 'sent');
    return (waits && !asked.has(row.runId)) || row.runId === running || (!reconnected && !state.ended.includes(row.runId));
  });

  const told = keepKeys(stored, state.rows);
  let rows = told;
  for (const row of kept) {
    const question = rows.findIndex((other) => other.role === 'user' && other.runId === row.runId);
    rows = row.role === 'user' || question < 0 ? [...rows, row] : [...rows.slice(0, question + 1), row, ...rows.slice(question + 1)];
  }
  let next: ChatState = {
    ...state,
    rows,
    history: 'ready',
    historyProblem: null,
    stored: told.slice(0, transcript.length),
    cursor: asText(payload['deltaCursor']),
    olderOffset,
  };
  if (running !== null && !answered.has(running) && !state.ended.includes(running)) {
    next = withAnswer(next, running);
    const text = asText(inFlight?.['text']);
    next = change(next, running, (row) => ({ ...row, live: row.live ?? 'waiting' }));
    if (text) next = change(next, running, (row) => (row.parts.at(-1)?.type === 'text' ? row : { ...row, parts: withText(row.parts, text), live: 'streaming' }));
  }
  return next;
}

function older(state: ChatState, payload: Json): ChatState {
  const known = new Set(state.rows.map((row) => row.messageId).filter((id) => id !== null));
  // A page may begin with what is shown already, also with what has not been given its stored id here yet.
  const named = (row: Row) => `${row.role === 'user' ? 'asked' : 'answered'} ${row.runId}`;
  const unnamed = new Set(state.rows.filter((row) => row.messageId === null && row.runId !== null).map(named));
  const fresh = (row: Row) => (row.messageId === null || !known.has(row.messageId)) && !unnamed.has(named(row));
  const page = rowsOf(payload['messages'], state.rows.length).filter(fresh);
  const keys = new Set(state.rows.map((row) => row.key));
  const rows = page.map((row) => (keys.has(row.key) ? { ...row, key: `${row.key}#older` } : row));
  return {
    ...state,
    rows: [...rows, ...state.rows],
    stored: [...rows, ...state.stored],
    olderOffset: payload['hasMore'] === true ? asNumber(payload['nextOffset']) : null,
  };
}

/** A message that was written by another client or came in by a channel. Our own are on the screen already. */
function storedElsewhere(state: ChatState, payload: Json): ChatState {
  const facts = readMessage(payload['message']);
  const messageId = facts.messageId ?? asText(payload['messageId']);
  const row = rowOf({ ...facts, messageId, runId: facts.runId ?? asText(payload['runId']) }, state.rows.length);
  if (row === null) return state;
  const same = (other: Row) =>
    (messageId !== null && other.messageId === messageId) ||
    (row.runId !== null && other.runId === row.runId && (other.role === 'user') === (row.role === 'user'));
  if (state.rows.some(same)) return messageId === null ? state : acknowledgeId(state, same, messageId, row);
  const answerAt = row.runId === null || row.role !== 'user' ? -1 : state.rows.findIndex(isAnswerOf(row.runId));
  // Rows without a stored id share the numbering of history: this one is told apart.
  const fresh = { ...row, key: messageId === null ? `live-${state.rows.length}-${row.key}` : row.key };
  const at = answerAt < 0 ? state.rows.length : answerAt;
  return { ...state, rows: [...state.rows.slice(0, at), fresh, ...state.rows.slice(at)] };
}

function acknowledgeId(state: ChatState, same: (row: Row) => boolean, messageId: string, stored: Row): ChatState {
  const facts = (row: Row) => ({ messageId, delivery: 'sent' as const, usage: row.usage ?? stored.usage, model: row.model ?? stored.model });
  const rows = state.rows.map((row): Row => (same(row) && row.role === stored.role ? { ...row, ...facts(row) } : row));
  return { ...state, rows };
}
