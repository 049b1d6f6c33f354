/**
 * One WebSocket to the gateway, kept up: challenge, signed connect, requests, events, and coming back by
 * itself. It knows nothing of chats; it reports a truthful {@link Connection} at every change.
 */
import { Backoff } from './backoff';
import type { Credential, Credentials } from './credentials';
import { signaturePayload, type DeviceIdentity } from './device';
import { PROTOCOL, asNumber, asText, readError, readFrame, readHello, type ErrorShape, type Frame, type HelloOk, type Json } from './frames';
import { newId } from './ids';
import { isTokenRefused, readRefusal, type Refusal } from './refusal';

export const CLIENT_ID = 'webchat-ui';
export const CLIENT_MODE = 'webchat';
export const PLATFORM = 'web';
/** The page is its owner's control desk. A browser that may not have all of it gets what it was approved for. */
const SCOPES: readonly string[] = ['operator.admin', 'operator.approvals', 'operator.pairing', 'operator.read', 'operator.write'];

/** No challenge, or no answer to connect, within this time: the peer is not a gateway, or it hangs. */
const HANDSHAKE_MS = 15_000;
const REQUEST_MS = 30_000;
/** `WebSocket.OPEN`. */
const OPEN = 1;

export type LostCause =
  /** The socket closed under a working connection. */
  | 'lost'
  /** No socket could be opened, or the handshake did not finish. */
  | 'unreachable'
  /** The gateway said that it is going down. */
  | 'restarting'
  /** The gateway answered that it cannot admit anyone now, and why. */
  | 'busy'
  /** Nothing was heard for two ticks. */
  | 'silent';

export type Connection =
  | { phase: 'idle' }
  /** `after` is the refusal that this attempt follows: it still holds until the gateway has said otherwise. */
  | { phase: 'connecting'; attempt: number; after: Refusal | null }
  | { phase: 'online'; hello: HelloOk }
  | { phase: 'waiting'; attempt: number; retryAt: number; cause: LostCause; said: string | null }
  | { phase: 'refused'; refusal: Refusal; retryAt: number | null };

/** A request that the gateway answered with an error, or that got no answer (code `DISCONNECTED` or `TIMEOUT`). */
export class GatewayError extends Error {
  constructor(readonly shape: ErrorShape) {
    super(shape.message);
    this.name = 'GatewayError';
  }

  get code(): string {
    return this.shape.code;
  }

  /** Whether the gateway may never have seen the request, or did not answer it: the outcome is unknown. */
  get unanswered(): boolean {
    return this.code === 'DISCONNECTED' || this.code === 'TIMEOUT';
  }
}

function unanswered(code: 'DISCONNECTED' | 'TIMEOUT', message: string): GatewayError {
  return new GatewayError({ code, message, details: {}, retryable: true, retryAfterMs: null });
}

/** What this page needs of a WebSocket; tests pass their own. */
export type Socket = Pick<WebSocket, 'send' | 'close' | 'readyState'> & {
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
};

export interface ClientOptions {
  url: string;
  identity: () => Promise<DeviceIdentity>;
  credentials: Credentials;
  displayName?: string;
  version?: string;
  openSocket?: (url: string) => Socket;
  random?: () => number;
  now?: () => number;
  onConnection: (connection: Connection) => void;
  onEvent: (event: string, payload: Json) => void;
  /** Events were missed: what they would have told must be asked for again. */
  onGap: () => void;
}

interface Pending {
  method: string;
  resolve: (payload: unknown) => void;
  reject: (error: GatewayError) => void;
  timer: ReturnType<typeof setTimeout>;
}

export class GatewayClient {
  #connection: Connection = { phase: 'idle' };
  #socket: Socket | null = null;
  #pending = new Map<string, Pending>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #watchdog: ReturnType<typeof setInterval> | null = null;
  #lastSeq = 0;
  #heardAt = 0;
  #goingDown = false;
  /** What this device was approved for, after the gateway refused it more. */
  #approved: readonly string[] | null = null;
  readonly #backoff: Backoff;
  readonly #now: () => number;

  constructor(private readonly options: ClientOptions) {
    this.#backoff = new Backoff(options.random);
    this.#now = options.now ?? Date.now;
  }

  get connection(): Connection {
    return this.#connection;
  }

  start(): void {
    if (this.#connection.phase === 'idle') this.#open();
  }

  /** Ends the connection and every wait. Requests under way are rejected. */
  stop(): void {
    this.#drop(1000, 'page closed');
    this.#set({ phase: 'idle' });
  }

  /** Tries at once instead of waiting: the person asked, the network came back, or a new token is there. */
  retryNow(): void {
    if (this.#connection.phase !== 'waiting' && this.#connection.phase !== 'refused') return;
    this.#open();
  }

  /** The page became visible or the network changed: waits end, and a dead connection is noticed at once. */
  wake(): void {
    if (this.#connection.phase === 'waiting') this.#open();
    else this.#checkSilence();
  }

  /**
   * Sends a request.
   *
   * Rejects with {@link GatewayError}: the gateway's own error, or `DISCONNECTED` / `TIMEOUT` when there was no answer.
   */
  request(method: string, params: Json, timeoutMs = REQUEST_MS): Promise<unknown> {
    const socket = this.#socket;
    if (this.#connection.phase !== 'online' || !socket) {
      return Promise.reject(unanswered('DISCONNECTED', 'not connected to the gateway'));
    }
    return this.#call(socket, method, params, timeoutMs);
  }

  #call(socket: Socket, method: string, params: Json, timeoutMs: number): Promise<unknown> {
    // A socket that is closing takes a frame and drops it.
    if (socket.readyState !== OPEN) return Promise.reject(unanswered('DISCONNECTED', 'the connection to the gateway is closing'));
    return new Promise((resolve, reject) => {
      const id = newId();
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(unanswered('TIMEOUT', `no answer to ${method} within ${Math.round(timeoutMs / 1000)} s`));
      }, timeoutMs);
      this.#pending.set(id, { method, resolve, reject, timer });
      socket.send(JSON.stringify({ type: 'req', id, method, params }));
    });
  }

  #set(connection: Connection): void {
    this.#connection = connection;
    this.options.onConnection(connection);
  }

  #open(): void {
    const before = this.#connection;
    const after = before.phase === 'refused' ? before.refusal : null;
    this.#drop(1000, 'reconnecting');
    this.#goingDown = false;
    this.#lastSeq = 0;
    this.#set({ phase: 'connecting', attempt: this.#backoff.attempt, after });
    let socket: Socket;
    try {
      socket = (this.options.openSocket ?? ((url) => new WebSocket(url) as Socket))(this.options.url);
    } catch {
      this.#retry('unreachable');
      return;
    }
    this.#socket = socket;
    socket.onmessage = (event) => {
      if (socket === this.#socket && typeof event.data === 'string') this.#receive(socket, event.data);
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#closed(event.code);
    };
    this.#timer = setTimeout(() => this.#retry('unreachable'), HANDSHAKE_MS);
  }

  /** Lets go of the socket without waiting for the peer, and rejects what it still owed. */
  #drop(code: number, reason: string): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    this.#timer = null;
    this.#watchdog = null;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onmessage = null;
      socket.onclose = null;
      try {
        socket.close(code, reason);
      } catch {
        // Already closed, or still opening in a browser that objects to the code: either way it is let go.
      }
    }
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { timer, reject } of pending) {
      clearTimeout(timer);
      reject(unanswered('DISCONNECTED', 'the connection to the gateway was lost'));
    }
  }

  #retry(cause: LostCause, atLeastMs = 0, said: string | null = null): void {
    this.#drop(1000, 'retrying');
    const attempt = this.#backoff.attempt + 1;
    const wait = Math.max(this.#backoff.next(), atLeastMs);
    this.#timer = setTimeout(() => this.#open(), wait);
    this.#set({ phase: 'waiting', attempt, retryAt: this.#now() + wait, cause, said });
  }

  #closed(code: number): void {
    const wasOnline = this.#connection.phase === 'online';
    if (this.#goingDown || code === 1012 || code === 1013) this.#retry('restarting');
    else this.#retry(wasOnline ? 'lost' : 'unreachable');
  }

  #receive(socket: Socket, text: string): void {
    this.#heardAt = this.#now();
    const frame = readFrame(text);
    if (!frame) return;
    if (frame.type === 'res') this.#answered(frame);
    else if (frame.event === 'connect.challenge') void this.#introduce(socket, frame.payload);
    else this.#event(frame.event, frame.payload, frame.seq);
  }

  #answered(frame: Extract<Frame, { type: 'res' }>): void {
    const pending = this.#pending.get(frame.id);
    if (!pending) return;
    this.#pending.delete(frame.id);
    clearTimeout(pending.timer);
    if (frame.ok) pending.resolve(frame.payload);
    else pending.reject(new GatewayError(frame.error));
  }

  #event(event: string, payload: Json, seq: number | null): void {
    if (seq !== null) {
      const missed = seq > this.#lastSeq + 1;
      this.#lastSeq = Math.max(this.#lastSeq, seq);
      if (missed) this.options.onGap();
    }
    if (event === 'shutdown') this.#goingDown = true;
    this.options.onEvent(event, payload);
  }

  /** Answers the challenge with a signed connect. */
  async #introduce(socket: Socket, challenge: Json): Promise<void> {
    let identity: DeviceIdentity;
    let credential: Credential;
    let payload: unknown;
    try {
      identity = await this.options.identity();
      credential = this.options.credentials.choose(identity.id);
      const params = await this.#connectParams(identity, credential, challenge);
      if (socket !== this.#socket) return;
      payload = await this.#call(socket, 'connect', params, HANDSHAKE_MS);
    } catch (error) {
      if (socket === this.#socket) this.#notIntroduced(error, credential!, identity!);
      return;
    }
    if (socket === this.#socket) this.#introduced({ ...readHello(payload), deviceId: identity.id }, identity, credential);
  }

  #scopes(identity: DeviceIdentity, credential: Credential): readonly string[] {
    if (credential.kind === 'device') return this.options.credentials.deviceScopes(identity.id);
    return this.#approved ?? SCOPES;
  }

  async #connectParams(identity: DeviceIdentity, credential: Credential, challenge: Json): Promise<Json> {
    const nonce = asText(challenge['nonce']) ?? '';
    // The gateway's own clock, so that a browser with a wrong one gets in all the same.
    const signedAt = asNumber(challenge['ts']) ?? this.#now();
    const token = credential.kind === 'none' ? '' : credential.token;
    const scopes = this.#scopes(identity, credential);
    const signature = await identity.sign(
      signaturePayload({
        deviceId: identity.id,
        clientId: CLIENT_ID,
        clientMode: CLIENT_MODE,
        role: 'operator',
        scopes,
        signedAtMs: signedAt,
        token,
        nonce,
        platform: PLATFORM,
        deviceFamily: '',
      }),
    );
    return {
      minProtocol: PROTOCOL,
      maxProtocol: PROTOCOL,
      client: {
        id: CLIENT_ID,
        mode: CLIENT_MODE,
        version: this.options.version ?? '0.1.0',
        platform: PLATFORM,
        ...(this.options.displayName ? { displayName: this.options.displayName } : {}),
      },
      role: 'operator',
      scopes: [...scopes],
      caps: ['tool-events'],
      device: { id: identity.id, publicKey: identity.publicKey, signature, signedAt, nonce },
      ...(credential.kind === 'device' ? { auth: { deviceToken: token } } : {}),
      ...(credential.kind === 'shared' ? { auth: { token } } : {}),
    };
  }

  #introduced(hello: HelloOk, identity: DeviceIdentity, credential: Credential): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#backoff.reset();
    if (hello.deviceToken) {
      const scopes = hello.scopes.length > 0 ? hello.scopes : this.#scopes(identity, credential);
      this.options.credentials.setDeviceToken(identity.id, hello.deviceToken, scopes);
    }
    this.#watchdog = setInterval(() => this.#checkSilence(), Math.max(hello.tickIntervalMs / 2, 250));
    this.#set({ phase: 'online', hello });
  }

  #notIntroduced(error: unknown, credential: Credential | undefined, identity: DeviceIdentity | undefined): void {
    if (error instanceof GatewayError && error.unanswered) {
      this.#retry('unreachable');
      return;
    }
    const shape = error instanceof GatewayError ? error.shape : readError({ code: 'DEVICE_KEY', message: String(error) });
    const refusal = readRefusal(shape);
    if (identity && this.#approved === null && refusal.approvedScopes.length > 0) {
      // It asked for more than its owner gave it: it comes in with that, and stops asking by itself.
      this.#approved = refusal.approvedScopes;
      this.options.credentials.setNarrow(identity.id);
      this.#open();
      return;
    }
    if (credential && identity && credential.kind !== 'none' && isTokenRefused(refusal.code)) {
      if (credential.kind === 'device') {
        this.options.credentials.dropDeviceToken(identity.id, credential.token);
        // The device token may have been replaced by another tab, or the shared token is still at hand.
        if (this.options.credentials.choose(identity.id).kind !== 'none') {
          this.#open();
          return;
        }
      } else {
        this.options.credentials.dropShared(credential.token);
      }
    }
    if (refusal.kind === 'other' && refusal.retryAfterMs !== null && refusal.code !== 'AUTH_RATE_LIMITED') {
      this.#retry('busy', refusal.retryAfterMs, refusal.message);
      return;
    }
    this.#refuse(refusal);
  }

  #refuse(refusal: Refusal): void {
    this.#drop(1000, 'refused');
    let retryAt: number | null = null;
    if (refusal.retryAfterMs !== null) {
      retryAt = this.#now() + refusal.retryAfterMs;
      this.#timer = setTimeout(() => this.#open(), refusal.retryAfterMs);
    }
    this.#set({ phase: 'refused', refusal, retryAt });
  }

  /** Every frame counts as a sign of life; a gateway that ticks is never silent for two intervals. */
  #checkSilence(): void {
    if (this.#connection.phase !== 'online') return;
    if (this.#now() - this.#heardAt > 2 * this.#connection.hello.tickIntervalMs) {
      this.#drop(4000, 'tick timeout');
      this.#retry('silent');
    }
  }
}
