/** Turns what the gateway has stored into rows. */
import { asList, asObject, asText, type Json } from '../gateway/frames';
import { strings } from '../strings';
import { addUsage, readMessage, textOf, toolOutput, toolPart, withTool, type MessageFacts, type Part } from './content';
import { answer, blank, type Row } from './rows';

/** A stored message as a row; `null` for what has no place in a conversation. */
export function rowOf(facts: MessageFacts, index: number): Row | null {
  const key = facts.messageId ?? `stored-${index}`;
  const common = { parts: facts.parts, at: facts.at, runId: facts.runId, messageId: facts.messageId };
  switch (facts.role) {
    case 'user':
      return { ...blank(facts.runId === null ? key : `${facts.runId}:user`, 'user'), ...common };
    case 'assistant': {
      const stopped = facts.stopReason === 'aborted' || facts.stopReason === 'stop-requested';
      const problem = facts.error === null ? null : { message: facts.error, kind: null, detail: null };
      if (facts.parts.length === 0 && problem === null) return null;
      return { ...blank(key, 'assistant'), ...common, stopped, problem, usage: facts.usage, model: facts.model };
    }
    case 'custom': {
      if (facts.isSummary) return { ...blank(key, 'note'), ...common, runId: null, parts: summaryParts(textOf(facts.parts)) };
      const message = facts.error ?? textOf(facts.parts);
      if (message === '') return null;
      return { ...blank(key, 'assistant'), ...common, parts: [], problem: { message, kind: null, detail: null } };
    }
    case 'system':
      return textOf(facts.parts) === '' ? null : { ...blank(key, 'note'), ...common };
    default:
      return null;
  }
}

/** What is said where the model no longer sees what is above, with the summary folded below. */
function summaryParts(summary: string): Part[] {
  const said: Part = { type: 'text', text: strings.message.compacted };
  return summary === '' ? [said] : [said, { type: 'thinking', text: summary }];
}

/** The rows of a page of messages that follows the rows `before`; `from` tells apart rows without an id. */
export function rowsOf(messages: unknown, from = 0, before: readonly Row[] = []): Row[] {
  const seen = new Set(before.map((row) => row.key));
  const rows: Row[] = [...before];
  (Array.isArray(messages) ? (messages as unknown[]) : []).forEach((message, index) => {
    const facts = readMessage(message);
    if (facts.role === 'toolResult') {
      if (facts.toolCallId !== null) takeResult(rows, facts, facts.toolCallId);
      return;
    }
    const row = rowOf(facts, from + index);
    if (row === null || joined(rows, row)) return;
    // Two rows must never share a key; a second one of the same run keeps its own.
    const key = seen.has(row.key) ? `${row.key}#${index}` : row.key;
    seen.add(key);
    rows.push({ ...row, key });
  });
  return rows;
}

/** Puts what a tool gave back into its call; a result whose call is on an older page stands for itself. */
function takeResult(rows: Row[], facts: MessageFacts, id: string): void {
  const { output, images } = toolOutput(facts.parts.length === 0 ? '' : partsAsContent(facts));
  const state = facts.isError ? 'failed' : 'done';
  const at = rows.findLastIndex((row) => row.parts.some((part) => part.type === 'tool' && part.id === id));
  const edit = (row: Row): Row => ({
    ...row,
    parts: withTool(row.parts, id, (tool) => ({ ...(tool ?? toolPart(id, facts.toolName, null, state)), state, output, images })),
  });
  if (at >= 0) rows[at] = edit(rows[at]!);
  else rows.push(edit({ ...blank(facts.messageId ?? `tool-${id}`, 'assistant'), at: facts.at, runId: facts.runId, messageId: facts.messageId }));
}

function partsAsContent(facts: MessageFacts): unknown[] {
  return facts.parts.map((part) => (part.type === 'image' ? { type: 'image', url: part.source } : part));
}

/** An agent that uses tools writes several messages in one run: they are one answer. */
function joined(rows: Row[], row: Row): boolean {
  const last = rows.at(-1);
  if (last === undefined || row.role !== 'assistant' || last.role !== 'assistant' || row.runId === null || row.runId !== last.runId) return false;
  rows[rows.length - 1] = {
    ...row,
    key: last.key,
    parts: [...last.parts, ...row.parts],
    usage: addUsage(last.usage, row.usage),
    model: row.model ?? last.model,
  };
  return true;
}

/**
 * Messages that wait for their run: they are stored, but not part of the transcript yet. One that was interrupted says
 * so; one that was taken back is not shown.
 */
export function pendingRows(payload: Json): Row[] {
  return asList(asObject(payload['pendingInputs'])['items']).flatMap((value): Row[] => {
    const item = asObject(value);
    const state = asText(item['state']);
    const facts = readMessage(item['message']);
    const runId = asText(item['runId']) ?? facts.runId;
    const row = rowOf({ ...facts, role: 'user', runId, messageId: facts.messageId ?? asText(item['id']) }, 0);
    if (row === null || state === 'cancelled') return [];
    if (runId === null) return [row];
    if (state !== 'interrupted') return [row, answer(runId)];
    const problem = { message: strings.message.interrupted, kind: null, detail: null };
    return [row, { ...answer(runId), live: null, problem }];
  });
}

/** A row that is on the screen keeps its key, so that loading history again moves and re-renders nothing. */
export function keepKeys(stored: readonly Row[], shown: readonly Row[]): Row[] {
  const keys = new Map<string, string>();
  for (const row of shown) {
    if (row.messageId !== null) keys.set(`id ${row.messageId}`, row.key);
    if (row.runId !== null) keys.set(`${row.role} ${row.runId}`, row.key);
  }
  const used = new Set<string>();
  return stored.map((row) => {
    const known = keys.get(`id ${row.messageId ?? ''}`) ?? keys.get(`${row.role} ${row.runId ?? ''}`) ?? row.key;
    const key = used.has(known) ? row.key : known;
    used.add(key);
    return key === row.key ? row : { ...row, key };
  });
}
