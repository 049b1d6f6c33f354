/** The list of conversations as it is shown: titles, marks, and what has not been read. */
import { usableStore } from '../gateway/credentials';
import { asNumber, asObject, asText, type Json } from '../gateway/frames';

export interface SessionRow {
  key: string;
  title: string;
  /** The person's own name for it. */
  label: string | null;
  preview: string | null;
  updatedAt: number | null;
  pinned: boolean;
  archived: boolean;
  running: boolean;
  unread: boolean;
  /** `provider/model` that was chosen for this conversation or is its agent's. */
  model: string | null;
  tokens: number | null;
}

export function sessionRow(row: Json): SessionRow {
  const key = asText(row['key']) ?? '';
  const label = asText(row['label']);
  const title = [label, asText(row['derivedTitle']), asText(row['displayName'])].find((text) => text !== null && text !== '' && text !== key);
  const model = asText(row['model']);
  const provider = asText(row['modelProvider']);
  return {
    key,
    title: title ?? key,
    label,
    preview: asText(row['lastMessagePreview']),
    updatedAt: asNumber(row['lastInteractionAt']) ?? asNumber(row['updatedAt']),
    pinned: row['pinned'] === true,
    archived: row['archived'] === true,
    running: row['hasActiveRun'] === true,
    unread: row['unread'] === true,
    model: model === null ? null : provider === null ? model : `${provider}/${model}`,
    tokens: asNumber(row['totalTokens']),
  };
}

const KEY = 'openclaw.seen';
const KEPT = 300;

/** When each conversation was last looked at in this browser. What was there before the first visit counts as read. */
export class SeenTimes {
  #times: Map<string, number>;
  #since: number;

  #key: string;

  constructor(
    now: number,
    suffix = '',
    private readonly store = usableStore(() => localStorage),
  ) {
    this.#key = KEY + suffix;
    const stored = parse(store.getItem(this.#key));
    this.#since = asNumber(stored['since']) ?? now;
    this.#times = new Map(Object.entries(asObject(stored['times'])).filter((entry): entry is [string, number] => typeof entry[1] === 'number'));
  }

  isUnread(row: SessionRow): boolean {
    if (row.updatedAt === null) return row.unread;
    return row.unread || row.updatedAt > (this.#times.get(row.key) ?? this.#since);
  }

  /** The person has this conversation in front of them. */
  look(key: string, now: number): void {
    this.#times.delete(key);
    this.#times.set(key, now);
    while (this.#times.size > KEPT) this.#times.delete(this.#times.keys().next().value!);
    this.store.setItem(this.#key, JSON.stringify({ since: this.#since, times: Object.fromEntries(this.#times) }));
  }
}

function parse(text: string | null): Json {
  try {
    return asObject(JSON.parse(text ?? '{}'));
  } catch {
    return {};
  }
}
