/** The bubbles of a conversation. */
import type { Attachment } from './attachments';
import type { Part, Usage } from './content';

export type Role = 'user' | 'assistant' | 'note';

/** Where the person's own message stands. */
export type Delivery =
  /** Not acknowledged; sent again with the same key after a reconnect. */
  | 'sending'
  /** The gateway has committed it. */
  | 'sent'
  /** The gateway refused it. */
  | 'failed';

export interface Problem {
  message: string;
  /** refusal, timeout, rate_limit, context_length, unknown */
  kind: string | null;
  detail: string | null;
}

export interface Row {
  /** Stable for as long as the row is shown. */
  readonly key: string;
  readonly role: Role;
  readonly parts: readonly Part[];
  readonly at: number | null;
  readonly runId: string | null;
  readonly messageId: string | null;
  readonly delivery: Delivery;
  /** Of an answer: under way, and whether the person asked to stop it. */
  readonly live: 'waiting' | 'streaming' | 'stopping' | null;
  readonly stopped: boolean;
  readonly problem: Problem | null;
  /** Of an answer: what it took, and which model wrote it. */
  readonly usage: Usage | null;
  readonly model: string | null;
  /** Of the person's own message, until it is delivered. */
  readonly attachments: readonly Attachment[];
}

export function blank(key: string, role: Role): Row {
  return {
    key,
    role,
    parts: [],
    at: null,
    runId: null,
    messageId: null,
    delivery: 'sent',
    live: null,
    stopped: false,
    problem: null,
    usage: null,
    model: null,
    attachments: [],
  };
}

/** The person's own message. */
export function question(key: string, text: string, now: number, attachments: readonly Attachment[] = []): Row {
  const pictures = attachments.map((file): Part =>
    file.preview === null ? { type: 'file', name: file.fileName, size: file.size } : { type: 'image', source: file.preview, name: file.fileName },
  );
  const parts: Part[] = text === '' ? pictures : [{ type: 'text', text }, ...pictures];
  return { ...blank(`${key}:user`, 'user'), parts, at: now, runId: key, delivery: 'sending', attachments };
}

/** The place of an answer that has not come yet. */
export function answer(runId: string): Row {
  return { ...blank(`${runId}:answer`, 'assistant'), runId, live: 'waiting' };
}

export const isAnswerOf = (runId: string) => (row: Row) => row.role !== 'user' && row.runId === runId;
