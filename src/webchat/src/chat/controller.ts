/**
 * Keeps one conversation in step with the gateway: loads history, sends with idempotency keys, feeds events into the
 * reducer, and after a gap or a reconnect asks for what came since. The view only reads {@link View} and calls methods.
 */
import { GatewayClient, GatewayError, type ClientOptions, type Connection } from '../gateway/client';
import { asList, asObject, asText, type Json } from '../gateway/frames';
import { newId } from '../gateway/ids';
import type { GatewayPort } from '../gateway/port';
import { MAIN } from '../shell/routes';
import { strings } from '../strings';
import { Artifacts, type Artifact } from './artifacts';
import { attachmentOf, onTheWire, type Attachment } from './attachments';
import { readCommands, readModels, type Command, type ModelChoice } from './catalog';
import { textOf } from './content';
import { SeenTimes, sessionRow, type SessionRow } from './sessions';
import { activeRun, initialState, reduce, unacknowledged, type Action, type ChatState, type Row } from './state';

const PAGE = 200;
const LISTED = 100;
/** What `chat.send` answers while the run is not over. */
const UNDER_WAY = new Set(['started', 'accepted', 'queued', 'in_flight']);
/** A page that is open for weeks keeps no more of a conversation than this, unless somebody reads the older part. */
const KEPT_ROWS = 300;
const KEPT_CHATS = 12;
/** Several gaps or session changes within this time cause one refresh. */
const SETTLE_MS = 200;

export interface View {
  connection: Connection;
  chat: ChatState;
  sessions: readonly SessionRow[];
  agentName: string;
  agentEmoji: string | null;
  /** The model of the agent, where the conversation has none of its own. */
  model: string | null;
  models: readonly ModelChoice[];
  commands: readonly Command[];
  /** What the list of conversations is searched for. */
  search: string;
  version: string | null;
  clients: number;
  /** Why the gateway says that it is not well; `null` while it is. */
  unhealthy: string | null;
  /** Something that went wrong beside the conversation; shown until dismissed. */
  notice: string | null;
}

export class ChatController {
  readonly client: GatewayClient;
  #view: View;
  #listeners = new Set<(view: View) => void>();
  #canonicalMain = MAIN;
  #refreshTimer: ReturnType<typeof setTimeout> | null = null;
  #sessionsTimer: ReturnType<typeof setTimeout> | null = null;
  #loadingOlder = false;
  #seen: SeenTimes;
  #ears = new Set<(event: string, payload: Json) => void>();

  /** What pages beside the chat get of the connection. */
  readonly port: GatewayPort;

  #artifacts = new Artifacts((sessionKey, artifactId) => this.client.request('artifacts.download', { sessionKey, artifactId }));

  /** Keys of messages that are on their way on this connection. */
  #delivering = new Set<string>();
  /** Sessions that were open before, with what was not delivered there. */
  #others = new Map<string, ChatState>();

  constructor(
    options: Omit<ClientOptions, 'onConnection' | 'onEvent' | 'onGap'>,
    sessionKey = MAIN,
    private readonly now: () => number = Date.now,
    suffix = '',
  ) {
    this.#view = {
      connection: { phase: 'idle' },
      chat: initialState(sessionKey),
      sessions: [],
      agentName: 'Assistant',
      agentEmoji: null,
      model: null,
      models: [],
      commands: [],
      search: '',
      version: null,
      clients: 0,
      unhealthy: null,
      notice: null,
    };
    this.client = new GatewayClient({
      ...options,
      onConnection: (connection) => this.#connection(connection),
      onEvent: (event, payload) => {
        this.#event(event, payload);
        this.#tell(event, payload);
      },
      onGap: () => this.#refreshSoon(),
    });
    this.#seen = new SeenTimes(now(), suffix);
    this.port = this.#makePort();
  }

  #makePort(): GatewayPort {
    const hello = () => (this.#view.connection.phase === 'online' ? this.#view.connection.hello : null);
    return {
      get hello() {
        return hello();
      },
      has: (method) => hello()?.methods.has(method) ?? false,
      may: (scope) => hello()?.scopes.some((held) => held === scope || held === 'operator.admin') ?? false,
      request: (method, params) => this.client.request(method, params),
      listen: (listener) => {
        this.#ears.add(listener);
        return () => void this.#ears.delete(listener);
      },
    };
  }

  #tell(event: string, payload: Json): void {
    for (const listener of [...this.#ears]) listener(event, payload);
  }

  get view(): View {
    return this.#view;
  }

  subscribe(listener: (view: View) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Shows another session. */
  open(sessionKey: string): void {
    if (this.#same(sessionKey, this.#view.chat.sessionKey)) return;
    this.#putAway(this.#view.chat);
    const known = this.#others.get(sessionKey);
    this.#others.delete(sessionKey);
    this.#update({ chat: known ?? initialState(sessionKey) });
    this.look();
    if (this.#online()) void this.#enter();
  }

  /** Remembers how a conversation was left, of the newest few; what was not delivered there goes out all the same. */
  #putAway(chat: ChatState): void {
    this.#others.set(chat.sessionKey, reduce(chat, { type: 'trim', keep: KEPT_ROWS }));
    for (const [key, other] of this.#others) {
      if (this.#others.size <= KEPT_CHATS) return;
      if (unacknowledged(other).length === 0) this.#others.delete(key);
    }
  }

  /** The person reads the newest messages: the oldest may go. */
  trim(): void {
    if (!this.#loadingOlder) this.#dispatch({ type: 'trim', keep: KEPT_ROWS });
  }

  /**
   * The key of a session that nobody has written in yet, beside the main one; the first message makes it. `null` where
   * the gateway has but one session for everybody.
   */
  newSessionKey(): string | null {
    const owner = /^(agent:[^:]+):/.exec(this.#canonicalMain)?.[1];
    return owner === undefined ? null : `${owner}:web-${newId().slice(0, 8)}`;
  }

  /** Sends a message; while there is no connection it waits and goes out at the next one. */
  send(text: string, attachments: readonly Attachment[] = []): void {
    const key = newId();
    this.#dispatch({ type: 'send', key, text, now: this.now(), attachments });
    void this.#deliver(key, text, attachments);
  }

  /** Sends a refused message again: with the same key, so that it cannot arrive twice. */
  retry(row: Row): void {
    if (row.runId === null) return;
    this.#dispatch({ type: 'discard', key: row.runId });
    const { attachments } = row;
    this.#dispatch({ type: 'send', key: row.runId, text: textOf(row.parts), now: this.now(), attachments });
    void this.#deliver(row.runId, textOf(row.parts), attachments);
  }

  /** Asks the same question again after its run failed: a new message with a new key. */
  askAgain(failed: Row): void {
    const { rows } = this.#view.chat;
    const at = rows.findIndex((row) => row.key === failed.key);
    const asked = rows.slice(0, at).findLast((row) => row.role === 'user');
    if (asked === undefined) return;
    const named = asked.parts.some((part) => part.type === 'image' || part.type === 'file');
    if (named) void this.files(asked).then((files) => this.send(textOf(asked.parts), files));
    else this.send(textOf(asked.parts));
  }

  /** A file that the open conversation names. */
  artifact(id: string): Promise<Artifact> {
    return this.#artifacts.get(this.#view.chat.sessionKey, id);
  }

  /** The files of a message, to be sent again; those that cannot be had any more are left out. */
  async files(row: Row): Promise<Attachment[]> {
    if (row.attachments.length > 0) return [...row.attachments];
    const ids = row.parts.flatMap((part) => ((part.type === 'image' || part.type === 'file') && part.artifact ? [part.artifact] : []));
    const files = await Promise.allSettled(ids.map((id) => this.artifact(id)));
    return files.flatMap((file) => (file.status === 'fulfilled' ? [attachmentOf(file.value)] : []));
  }

  discard(row: Row): void {
    if (row.runId !== null) this.#dispatch({ type: 'discard', key: row.runId });
  }

  /** Stops the run that is under way, or takes back one that waits for its turn. */
  async stop(waiting?: Row): Promise<void> {
    const run = waiting ?? activeRun(this.#view.chat);
    if (run?.runId === undefined || run.runId === null) return;
    this.#dispatch({ type: 'stopping', runId: run.runId });
    try {
      const answer = asObject(await this.client.request('chat.abort', { sessionKey: this.#view.chat.sessionKey, runId: run.runId }));
      // Nothing to stop: the run is over, and its end is in the history.
      if (answer['aborted'] === false) this.#refreshSoon();
    } catch (error) {
      this.#notice(error);
    }
  }

  async loadOlder(): Promise<void> {
    const { olderOffset, sessionKey } = this.#view.chat;
    if (olderOffset === null || this.#loadingOlder || !this.#online()) return;
    this.#loadingOlder = true;
    try {
      const payload = await this.client.request('chat.history', { sessionKey, limit: PAGE, offset: olderOffset });
      if (this.#view.chat.sessionKey === sessionKey) this.#dispatch({ type: 'older', payload: asObject(payload) });
    } catch (error) {
      this.#notice(error);
    } finally {
      this.#loadingOlder = false;
    }
  }

  reload(): void {
    if (this.#online()) void this.#loadHistory(false);
    else this.client.retryNow();
  }

  dismissNotice(): void {
    this.#update({ notice: null });
  }

  #online(): boolean {
    return this.#view.connection.phase === 'online';
  }

  #canonical(key: string): string {
    return key === MAIN ? this.#canonicalMain : key;
  }

  #same(one: string, other: string): boolean {
    return this.#canonical(one) === this.#canonical(other);
  }

  #update(change: Partial<View>): void {
    this.#view = { ...this.#view, ...change };
    for (const listener of this.#listeners) listener(this.#view);
  }

  #dispatch(action: Action): void {
    const chat = reduce(this.#view.chat, action);
    if (chat !== this.#view.chat) this.#update({ chat });
  }

  #notice(error: unknown): void {
    if (error instanceof GatewayError && error.unanswered) return;
    this.#update({ notice: error instanceof Error ? error.message : String(error) });
  }

  #connection(connection: Connection): void {
    if (connection.phase !== 'online') {
      this.#update({ connection });
      return;
    }
    const { hello } = connection;
    this.#canonicalMain = hello.mainSessionKey;
    this.#update({ connection, version: hello.version, clients: othersIn(hello.presence), unhealthy: problemIn(hello.health) });
    void this.#quietly('sessions.subscribe', {});
    void this.#enter();
    this.#listSessionsSoon();
    void this.#learnAgent();
    void this.#learnCatalog();
    this.#tell('online', {});
  }

  /** Follows the open session and loads it; then messages that were never acknowledged go out again. */
  async #enter(): Promise<void> {
    const { sessionKey } = this.#view.chat;
    void this.#quietly('sessions.messages.subscribe', { key: sessionKey });
    if (!(await this.#loadHistory(true))) return;
    for (const chat of [this.#view.chat, ...this.#others.values()]) {
      for (const row of unacknowledged(chat)) {
        if (row.runId !== null) void this.#deliver(row.runId, textOf(row.parts), row.attachments, chat.sessionKey);
      }
    }
  }

  async #loadHistory(reconnected: boolean): Promise<boolean> {
    const { sessionKey } = this.#view.chat;
    if (this.#view.chat.rows.length === 0) this.#dispatch({ type: 'loading' });
    try {
      const payload = await this.#history(this.#view.chat);
      if (this.#view.chat.sessionKey !== sessionKey) return false;
      this.#dispatch({ type: 'loaded', payload, reconnected });
      return true;
    } catch (error) {
      if (!(error instanceof GatewayError && error.code === 'DISCONNECTED')) {
        this.#dispatch({ type: 'loadFailed', message: error instanceof Error ? error.message : String(error) });
      }
      return false;
    }
  }

  /** What came since the conversation was last asked for; the newest page where that cannot be told. */
  async #history({ sessionKey, cursor }: ChatState): Promise<Json> {
    if (cursor !== null) {
      const told = asObject(await this.client.request('chat.history', { sessionKey, cursor }));
      // Several may have asked; only the first one's answer continues what is shown.
      if (told['kind'] === 'delta' && this.#view.chat.cursor === cursor) return told;
    }
    return asObject(await this.client.request('chat.history', { sessionKey, limit: PAGE }));
  }

  /** Sends one message until the gateway has answered; at most once at a time per key. */
  async #deliver(key: string, text: string, attachments: readonly Attachment[], sessionKey = this.#view.chat.sessionKey): Promise<void> {
    if (this.#delivering.has(key)) return;
    this.#delivering.add(key);
    try {
      while (!(await this.#attempt(key, text, attachments, sessionKey)));
    } finally {
      this.#delivering.delete(key);
    }
  }

  /** One try; `false`: no answer came and the connection still stands, so the same key is tried again. */
  async #attempt(key: string, text: string, attachments: readonly Attachment[], sessionKey: string): Promise<boolean> {
    try {
      const files = attachments.length === 0 ? {} : { attachments: onTheWire(attachments) };
      const answer = asObject(await this.client.request('chat.send', { sessionKey, message: text, idempotencyKey: key, ...files }));
      this.#dispatch({ type: 'acknowledged', key });
      // Any other status is the stored result of a run that is over: it stands in the history.
      if (!UNDER_WAY.has(asText(answer['status']) ?? 'started')) this.#refreshSoon();
      return true;
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      if (error.unanswered) return error.code === 'DISCONNECTED' || !this.#online();
      this.#dispatch({ type: 'refused', key, message: error.message, detail: asText(error.shape.details['code']) });
      return true;
    }
  }

  /** For calls that only add comfort: without them the chat works all the same. */
  async #quietly(method: string, params: Json): Promise<Json | null> {
    const { connection } = this.#view;
    if (connection.phase !== 'online' || !connection.hello.methods.has(method)) return null;
    try {
      const payload = await this.client.request(method, params);
      return Array.isArray(payload) ? { list: payload } : asObject(payload);
    } catch {
      return null;
    }
  }

  #event(event: string, payload: Json): void {
    switch (event) {
      case 'chat':
        if (this.#same(asText(payload['sessionKey']) ?? '', this.#view.chat.sessionKey)) {
          this.#dispatch({ type: 'chat', payload, now: this.now() });
        }
        return;
      case 'agent':
        if (this.#same(asText(payload['sessionKey']) ?? this.#view.chat.sessionKey, this.#view.chat.sessionKey)) {
          this.#dispatch({ type: 'agent', payload });
        }
        return;
      case 'config.changed':
      case 'chat.metadata.changed':
        void this.#learnAgent();
        void this.#learnCatalog();
        return;
      case 'session.message':
        if (this.#same(asText(payload['sessionKey']) ?? '', this.#view.chat.sessionKey)) this.#dispatch({ type: 'message', payload });
        return;
      case 'sessions.changed':
        this.#listSessionsSoon();
        return;
      case 'presence':
        this.#update({ clients: othersIn(asList(payload['presence']).map(asObject)) });
        return;
      case 'health':
        this.#update({ unhealthy: problemIn(payload) });
        return;
      default:
        return;
    }
  }

  /** After missed events: what they told is asked for again, once for several in a row. */
  #refreshSoon(): void {
    if (this.#refreshTimer !== null) return;
    this.#refreshTimer = setTimeout(() => {
      this.#refreshTimer = null;
      if (!this.#online()) return;
      void this.#loadHistory(false);
      this.#listSessionsSoon();
      void this.#quietly('system-presence', {}).then((answer) => {
        if (answer) this.#update({ clients: othersIn(asList(answer['list']).map(asObject)) });
      });
      void this.#quietly('health', {}).then((answer) => {
        if (answer) this.#update({ unhealthy: problemIn(answer) });
      });
    }, SETTLE_MS);
  }

  #listSessionsSoon(): void {
    if (this.#sessionsTimer !== null) return;
    this.#sessionsTimer = setTimeout(() => {
      this.#sessionsTimer = null;
      void this.#listSessions();
    }, SETTLE_MS);
  }

  async #listSessions(): Promise<void> {
    const { search } = this.#view;
    const wanted = search === '' ? {} : { search };
    const params = { limit: LISTED, includeDerivedTitles: true, includeLastMessage: true, archived: false, ...wanted };
    const answer = await this.#quietly('sessions.list', params);
    if (!answer || search !== this.#view.search) return;
    this.look();
    this.#update({ sessions: this.#marked(asList(answer['sessions']).map(asObject).map(sessionRow)) });
  }

  #marked(rows: readonly SessionRow[]): SessionRow[] {
    return rows.map((row) => ({ ...row, unread: !this.#inFront(row.key) && this.#seen.isUnread(row) }));
  }

  /** Whether the person has this conversation before them now. */
  #inFront(key: string): boolean {
    return this.#same(key, this.#view.chat.sessionKey) && (globalThis.document?.visibilityState ?? 'visible') === 'visible';
  }

  /** The open conversation is read. */
  look(): void {
    const { sessionKey } = this.#view.chat;
    const key = sessionKey === MAIN ? this.#canonicalMain : sessionKey;
    if (!this.#inFront(key)) return;
    // What the gateway is just writing down gets its time a moment later.
    this.#seen.look(key, this.now() + 2_000);
    this.#update({ sessions: this.#marked(this.#view.sessions) });
  }

  /** Shows only conversations that contain the text. */
  search(text: string): void {
    this.#update({ search: text });
    this.#listSessionsSoon();
  }

  /** The name, the place or the model of a conversation; the list follows. Answers whether it was done. */
  async patchSession(key: string, patch: Json): Promise<boolean> {
    return this.#change('sessions.patch', { key: this.#canonical(key), ...patch });
  }

  async deleteSession(key: string): Promise<boolean> {
    const done = await this.#change('sessions.delete', { key: this.#canonical(key), deleteTranscript: true });
    if (done) this.#others.delete(key);
    return done;
  }

  async #change(method: string, params: Json): Promise<boolean> {
    try {
      await this.client.request(method, params);
      this.#listSessionsSoon();
      return true;
    } catch (error) {
      this.#update({ notice: error instanceof Error ? error.message : String(error) });
      return false;
    }
  }

  /** Models to choose from and commands to type; a gateway may have one method for both, or one for each. */
  async #learnCatalog(): Promise<void> {
    const { sessionKey } = this.#view.chat;
    const [listed, typed, both] = await Promise.all([
      this.#quietly('models.list', {}),
      this.#quietly('commands.list', {}),
      this.#quietly('chat.metadata', { sessionKey: this.#canonical(sessionKey) }),
    ]);
    this.#update({
      models: readModels(listed?.['models'] ?? both?.['models']),
      commands: readCommands(typed?.['commands'] ?? both?.['commands']),
    });
  }

  async #learnAgent(): Promise<void> {
    const [identity, agents] = await Promise.all([
      this.#quietly('agent.identity.get', { sessionKey: this.#view.chat.sessionKey }),
      this.#quietly('agents.list', {}),
    ]);
    const list = asList(agents?.['agents']).map(asObject);
    const wanted = asText(identity?.['agentId']) ?? asText(agents?.['defaultId']);
    const agent = list.find((row) => row['id'] === wanted) ?? list[0];
    const model = agent?.['model'];
    this.#update({
      agentName: asText(identity?.['name']) ?? 'Assistant',
      agentEmoji: asText(identity?.['emoji']),
      model: asText(model) ?? asText(asObject(model)['primary']),
    });
  }
}

/** How many clients are connected, this page included. */
function othersIn(presence: readonly Json[]): number {
  return presence.filter((row) => row['mode'] !== 'gateway' && row['reason'] !== 'disconnect').length;
}

function problemIn(health: Json): string | null {
  if (health['ok'] !== false) return null;
  return asText(health['reason']) ?? asText(asObject(health['error'])['message']) ?? strings.unhealthy;
}
