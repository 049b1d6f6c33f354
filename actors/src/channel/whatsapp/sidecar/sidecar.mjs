// The WhatsApp sidecar: stock Baileys behind JSON lines.
//
// One process is one connection. The gateway starts it, says when another one begins, and ends it; this
// program never connects twice. In: {"id", "method", "params"}, one answer for each, and {"ack": seq}.
// Out: {"id", "result"} or {"id", "error": {"class", "message"}}, and {"event", ...}. Standard error is for
// logs. The end of standard input is the end of everything.
import { createWriteStream, readFileSync } from 'node:fs';
import { mkdir, open, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { Worker } from 'node:worker_threads';

const PROTOCOL = 1;
/** So many messages may be unacknowledged; then the socket is not read until half of them are. */
const UNACKNOWLEDGED = 200;
/** So many messages are remembered, to be quoted, and for who could not read one of ours. */
const REMEMBERED = 500;
/** How long a file may take on its way to WhatsApp's servers. */
const UPLOAD_MS = 50_000;
/** How long a file may take on its way from there; the gateway waits for no longer. */
const DOWNLOAD_MS = 30_000;
/** Before a group is asked for its name again, when it did not say. */
const UNNAMED_MS = 300_000;
/** How long the server may take to answer a goodbye. */
const GOODBYE_MS = 1_000;
/** How long what came may take on its way to the gateway, when it stops the connection. */
const STOP_MS = 5_000;

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
// Libraries print whole sessions there, keys and all: that is neither a line of ours nor for a log.
for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir']) console[name] = () => {};
// Nobody reads any more: there is nothing left to do.
process.stdout.on('error', () => process.exit(0));
const log = (...words) => process.stderr.write(`${words.join(' ')}\n`);

/** A failure that says what became of what was asked for. */
class Failure extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

// ---- the files of a linked device, in the layout that Baileys' own store has

const fileName = (name) => name.replaceAll('/', '__').replaceAll(':', '-');

/** Writes whole files or nothing, one after the other. */
class Folder {
  #last = Promise.resolve();
  constructor(path, BufferJSON) {
    this.path = path;
    this.json = BufferJSON;
  }

  async read(name) {
    await this.#last;
    try {
      return JSON.parse(await readFile(join(this.path, fileName(name)), 'utf8'), this.json.reviver);
    } catch (error) {
      if (error.code !== 'ENOENT') log(`${name} cannot be read: ${error.message}`);
      return null;
    }
  }

  /** `value` is taken as it is now. */
  write(name, value, durable = false) {
    const path = join(this.path, fileName(name));
    const text = value === null || value === undefined ? null : JSON.stringify(value, this.json.replacer);
    const work = async () => {
      if (text === null) {
        await unlink(path).catch((error) => error.code === 'ENOENT' || Promise.reject(error));
        return;
      }
      const file = await open(`${path}.new`, 'w', 0o600);
      try {
        await file.writeFile(text);
        if (durable) await file.sync();
      } finally {
        await file.close();
      }
      await rename(`${path}.new`, path);
    };
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  get idle() {
    return this.#last;
  }
}

/** The first owner of a session is its only one: the gateway holds the locks and names this process. */
function mustOwn(locks) {
  for (const path of locks) {
    let holder = {};
    try {
      holder = JSON.parse(readFileSync(path, 'utf8'));
    } catch (error) {
      throw new Failure('refused', `the lock ${path} cannot be read: ${error.message}`);
    }
    if (holder.pid !== process.ppid || holder.sidecar?.pid !== process.pid)
      throw new Failure('refused', `another process has the session: the lock ${path} names pid ${holder.pid}`);
  }
}

// ---- the connection

class Connection {
  #baileys;
  #logger;
  #socket;
  #folder;
  #locks = [];
  #unacknowledged = new Set();
  #seq = 0;
  /** More came than the gateway takes now, and whoever waits until it takes more. */
  #full = false;
  #room = null;
  #turn = Promise.resolve();
  #paused = false;
  #heard = 0;
  #known = new Map();
  #groups = new Map();
  #unsettled = new Map();
  /** How long WhatsApp may take to confirm a message. */
  #confirmMs = 30_000;
  #over = false;
  #me = null;

  async start({ authDir, locks, me, server, pairing, name, keepAliveMs, confirmMs }) {
    if (this.#baileys) throw new Failure('refused', 'it is started already');
    this.#locks = locks;
    this.#confirmMs = confirmMs ?? this.#confirmMs;
    mustOwn(locks);
    const baileys = (this.#baileys = await import('baileys'));
    await mkdir(authDir, { recursive: true, mode: 0o700 });
    const folder = (this.#folder = new Folder(authDir, baileys.BufferJSON));
    const creds = (await folder.read('creds.json')) ?? baileys.initAuthCreds();
    if (this.#user(creds) !== (me ?? null)) throw new Failure('refused', `the credentials in ${authDir} are another account's than the one that is locked`);
    const keys = {
      get: async (type, ids) => {
        const found = {};
        for (const id of ids) {
          const value = await folder.read(`${type}-${id}.json`);
          found[id] = type === 'app-state-sync-key' && value ? baileys.proto.Message.AppStateSyncKeyData.fromObject(value) : value;
        }
        return found;
      },
      set: async (data) => {
        const writes = [];
        for (const [type, values] of Object.entries(data))
          for (const [id, value] of Object.entries(values)) writes.push(folder.write(`${type}-${id}.json`, value));
        await Promise.all(writes);
      },
    };
    const quiet = { level: 'silent', child: () => quiet, trace() {}, debug() {}, info() {}, warn() {}, error: (what, text) => log('baileys:', text ?? '', what?.err?.message ?? what?.error?.message ?? '') };
    this.#logger = quiet;
    this.#socket = (baileys.makeWASocket ?? baileys.default)({
      auth: { creds, keys: baileys.makeCacheableSignalKeyStore(keys, quiet) },
      logger: quiet,
      browser: name,
      ...(server ? { waWebSocketUrl: server } : {}),
      keepAliveIntervalMs: keepAliveMs ?? 30_000,
      syncFullHistory: false,
      markOnlineOnConnect: false,
      generateHighQualityLinkPreview: false,
      getMessage: async (key) => this.#known.get(key.id)?.message,
      cachedGroupMetadata: async (id) => this.#groups.get(id)?.group,
    });
    this.#listen(creds, pairing);
    return {};
  }

  /** Whose device it is. A pairing that was begun has a number and no account yet. */
  #user(creds) {
    const begun = creds.me?.name === '~' && !creds.account;
    return creds.me?.id && !begun ? creds.me.id.split(/[:@]/)[0] : null;
  }

  #listen(creds, pairing) {
    const { ev, ws } = this.#socket;
    let asked = false;
    // A peer that is gone never answers a goodbye, and a connection would count as open for 30 s more.
    const close = ws.close.bind(ws);
    ws.close = async () => {
      const gone = setTimeout(() => ws.socket?.terminate(), GOODBYE_MS);
      await close();
      clearTimeout(gone);
    };
    ws.on('message', () => (this.#heard = Date.now()));
    ws.on('CB:ack,class:message', ({ attrs }) => {
      // At 463 Baileys tries once more by itself.
      const problem = attrs.error && { class: attrs.error === '463' ? 'unknown' : 'refused', why: `WhatsApp refused it (${attrs.error})` };
      this.#unsettled.get(attrs.id)?.(problem || {});
    });
    ev.on('creds.update', async (change) => {
      Object.assign(creds, change);
      try {
        mustOwn(this.#locks);
        await this.#folder.write('creds.json', creds, true);
        say({ event: 'creds', me: this.#user(creds) });
      } catch (error) {
        // Credentials that are not on the disk are lost with the next start: better to stop now.
        await this.#close(0, `the credentials cannot be written: ${error.message}`);
      }
    });
    ev.on('connection.update', async ({ connection, qr, lastDisconnect }) => {
      if (qr && pairing) {
        if (asked) return;
        asked = true;
        try {
          say({ event: 'pairing-code', code: await this.#socket.requestPairingCode(pairing) });
        } catch (error) {
          await this.#close(error.output?.statusCode ?? 0, `no pairing code: ${error.message}`);
        }
      } else if (qr) say({ event: 'qr', code: qr });
      if (connection === 'open') {
        this.#me = this.#socket.user ?? creds.me ?? {};
        say({ event: 'open', me: { id: this.#me.id, lid: this.#me.lid, name: this.#me.name } });
      }
      if (connection === 'close') {
        // Baileys holds some back for a moment and forgets them with its end.
        ev.flush?.();
        const error = lastDisconnect?.error;
        // The code of an HTTP answer is that of whatever stands in between, not WhatsApp's word.
        const between = error?.message?.startsWith('WebSocket Error');
        await this.#close(between ? 0 : (error?.output?.statusCode ?? 0), error?.message ?? 'closed');
      }
    });
    // One after the other, in the order in which they came. What waited for us comes in one go, however much it is.
    ev.on('messages.upsert', ({ messages, type }) => {
      this.#turn = this.#turn.then(async () => {
        for (const message of messages) {
          if (this.#unacknowledged.size >= UNACKNOWLEDGED) await new Promise((resolve) => (this.#room = resolve));
          await this.#message(message, type).catch((error) => log(`a message cannot be read: ${error.message}`));
        }
      });
    });
    ev.on('messages.update', (updates) => {
      for (const { key, update } of updates) if (key.fromMe && update.status) say({ event: 'receipt', id: key.id, chat: key.remoteJid, status: Number(update.status) });
    });
    ev.on('groups.upsert', (groups) => groups.forEach((group) => this.#named(group)));
    ev.on('groups.update', (groups) => groups.forEach((group) => this.#groups.delete(group.id)));
    ev.on('group-participants.update', ({ id }) => this.#groups.delete(id));
  }

  /** The number behind an id that hides it, where that is known. */
  async #person(jid, other) {
    const baileys = this.#baileys;
    const plain = [jid, other].find((one) => one?.endsWith('@s.whatsapp.net'));
    if (plain) return baileys.jidNormalizedUser(plain);
    const known = jid?.endsWith('@lid') && (await this.#socket.signalRepository?.lidMapping?.getPNForLID?.(jid).catch(() => null));
    return baileys.jidNormalizedUser(known || jid);
  }

  async #message(message, type) {
    const { key } = message;
    const chat = key?.remoteJid;
    const content = this.#baileys.normalizeMessageContent(message.message);
    if (!key?.id || !chat || !content) return;
    if (chat === 'status@broadcast' || chat.endsWith('@broadcast') || chat.endsWith('@newsletter')) return;
    this.#remember(key.id, message);
    const group = chat.endsWith('@g.us');
    const from = group ? (key.participant ?? message.participant) : chat;
    const text = JSON.stringify(content, (name, value) => (name === 'jpegThumbnail' || name === 'messageContextInfo' || name === 'waveform' ? undefined : value));
    const seq = ++this.#seq;
    this.#unacknowledged.add(seq);
    say({
      event: 'message',
      seq,
      message: {
        id: key.id,
        chat: group ? chat : await this.#person(chat, key.remoteJidAlt),
        sender: key.fromMe ? await this.#person(this.#me?.id ?? '') : await this.#person(from, group ? key.participantAlt : key.remoteJidAlt),
        participant: group ? from : undefined,
        fromMe: key.fromMe === true,
        offline: type !== 'notify',
        name: message.pushName || undefined,
        title: group ? this.#subject(chat) : undefined,
        at: Number(message.messageTimestamp ?? 0) * 1000,
        content: JSON.parse(text),
      },
    });
    this.#full ||= this.#unacknowledged.size >= UNACKNOWLEDGED;
    this.#hold();
  }

  /** Stops reading, once everything that was sent is confirmed: that would not be read either. */
  #hold() {
    if (!this.#full || this.#paused || this.#unsettled.size > 0) return;
    this.#paused = true;
    this.#socket.ws.socket?.pause?.();
  }

  /** A group's name; asked for once, after a while again where that failed, and not waited for. */
  #subject(id) {
    const known = this.#groups.get(id);
    if (known && (known.group || Date.now() < known.until)) return known.group?.subject;
    const asked = this.#named({ id }, Date.now() + UNNAMED_MS);
    this.#socket.groupMetadata(id).then((group) => (asked.group = group)).catch(() => {});
    return undefined;
  }

  /** Remembers a group, or that it was asked for. */
  #named(group, until) {
    if (this.#groups.size > REMEMBERED) this.#groups.clear();
    const known = until ? { until } : { group };
    this.#groups.set(group.id, known);
    return known;
  }

  #remember(id, message) {
    this.#known.set(id, message);
    if (this.#known.size > REMEMBERED) this.#known.delete(this.#known.keys().next().value);
  }

  acknowledge(seq) {
    for (const one of this.#unacknowledged) if (one <= seq) this.#unacknowledged.delete(one);
    if (this.#unacknowledged.size < UNACKNOWLEDGED) this.#room?.();
    if (!this.#full || this.#unacknowledged.size >= UNACKNOWLEDGED / 2) return;
    this.#full = false;
    if (this.#paused) this.#socket.ws.socket?.resume?.();
    this.#paused = false;
  }

  /** The connection is over: said once, and the process ends. */
  async #close(code, why) {
    if (this.#over) return;
    this.#over = true;
    // WhatsApp was told that all of them came: the gateway gets them before it hears of the end.
    await this.#turn;
    await this.#folder?.idle;
    say({ event: 'close', code, why });
    await leave();
  }

  /**
   * Ends the connection. What WhatsApp was told that it came is handed over first; it is not told of what comes after
   * that, which comes again with the next connection.
   */
  async stop() {
    this.#over = true;
    const socket = this.#socket;
    const last = async () => {
      socket.ev.flush?.();
      await this.#turn;
      await socket.end(undefined)?.catch?.(() => {});
    };
    // In its turn between two messages: Baileys confirms one and hands it over in one turn.
    const turn = socket?.messageMutex;
    const late = new Promise((done) => setTimeout(done, STOP_MS));
    if (socket) await Promise.race([turn ? turn.mutex(last) : last(), late]);
    await this.#folder?.idle;
    setImmediate(leave);
    return {};
  }

  /** Nobody hears any more what is said. */
  async abandon() {
    this.#over = true;
    await this.#socket?.end(undefined)?.catch?.(() => {});
    await this.#folder?.idle;
    await leave();
  }

  #open() {
    if (!this.#me || this.#over) throw new Failure('not-sent', 'WhatsApp is not connected');
    return this.#socket;
  }

  /** For what has to be confirmed, which nobody reads while too much waits. */
  #free() {
    if (this.#full) throw new Failure('not-sent', 'more messages came from WhatsApp than can be stored now; it waits until they are');
    return this.#open();
  }

  /** A message with a file, which is at WhatsApp's servers then; of the message nothing has left. */
  async #upload(to, { kind, path, mimetype, name, voice, gif }, text, options) {
    const about = { mimetype, ...(text ? { caption: text } : {}), ...(kind === 'document' ? { fileName: name } : {}), ...(voice ? { ptt: true } : {}), ...(gif ? { gifPlayback: true } : {}) };
    try {
      return await this.#baileys.generateWAMessage(to, { [kind]: { url: path }, ...about }, { logger: this.#logger, userJid: this.#me.id, upload: this.#socket.waUploadToServer, mediaUploadTimeoutMs: UPLOAD_MS, ...options });
    } catch (error) {
      throw new Failure(error.output?.statusCode === 400 ? 'refused' : 'not-sent', `its file cannot be brought to WhatsApp: ${error.message}`);
    }
  }

  /** Sends something, and waits until WhatsApp's servers have it: what was only written may be lost. */
  async send({ to, content, messageId, quote }) {
    this.#free();
    const quoted = quote ? this.#known.get(quote) : undefined;
    const options = { messageId, ...(quoted ? { quoted } : {}) };
    const made = content.file ? await this.#upload(to, content.file, content.text, options) : null;
    // That took a while.
    const socket = this.#free();
    let settle;
    const settled = new Promise((resolve) => (settle = resolve));
    this.#unsettled.set(messageId, settle);
    const late = setTimeout(() => settle({ class: 'unknown', why: 'WhatsApp did not confirm it in time' }), this.#confirmMs);
    try {
      const sending = made ? socket.relayMessage(to, made.message, { messageId }).then(() => made) : socket.sendMessage(to, content, options);
      sending.then((sent) => sent?.key?.id && this.#remember(sent.key.id, sent)).catch((error) => {
        // Only what is wrong with the message itself is certain not to have left.
        const wrong = error.output?.statusCode === 400 || error instanceof TypeError;
        settle({ class: wrong ? 'refused' : 'unknown', why: error.message || 'the connection ended meanwhile' });
      });
      const end = await settled;
      if (end.class) throw new Failure(end.class, end.why);
      return { id: messageId };
    } finally {
      clearTimeout(late);
      this.#unsettled.delete(messageId);
      this.#hold();
    }
  }

  async read({ keys }) {
    await this.#open().readMessages(keys);
    return {};
  }

  async presence({ to, state }) {
    await this.#open().sendPresenceUpdate(state, to);
    return {};
  }

  async groups() {
    const groups = Object.values(await this.#open().groupFetchAllParticipating());
    for (const group of groups) this.#named(group);
    return { groups: groups.map(({ id, subject, participants }) => ({ id, subject, size: participants?.length ?? 0 })) };
  }

  /** Reads a file into one on this host, no more than `most` bytes of it. Where there is a `host`, it is asked, whatever the sender's message says. */
  async fetch({ kind, mediaKey, directPath, url, host, most, into }) {
    const reference = { mediaKey: Buffer.from(mediaKey, 'base64'), directPath, ...(host ? {} : { url }) };
    let bytes = 0;
    const bounded = async function* (pieces) {
      for await (const piece of pieces) {
        bytes += piece.length;
        if (bytes > most) throw new Failure('refused', `it is larger than ${most} bytes`);
        yield piece;
      }
    };
    const late = AbortSignal.timeout(DOWNLOAD_MS);
    try {
      const stream = await this.#baileys.downloadContentFromMessage(reference, kind, host ? { host } : {});
      await pipeline(stream, bounded, createWriteStream(into, { mode: 0o600 }), { signal: late });
    } catch (error) {
      await unlink(into).catch(() => {});
      throw error;
    }
    return { bytes };
  }

  async logout() {
    await this.#open().logout();
    return {};
  }

  async ping() {
    return { heardMs: this.#heard ? Date.now() - this.#heard : null, unacknowledged: this.#unacknowledged.size };
  }
}

const connection = new Connection();
const METHODS = new Set(['start', 'stop', 'send', 'read', 'presence', 'groups', 'fetch', 'logout', 'ping']);

async function leave() {
  // What was said is read before this process is gone.
  await new Promise((done) => process.stdout.write('', done));
  process.exit(0);
}

async function answer({ id, method, params }) {
  try {
    if (!METHODS.has(method)) throw new Failure('refused', `there is no method ${method}`);
    say({ id, result: await connection[method](params ?? {}) });
  } catch (error) {
    say({ id, error: { class: error.kind ?? 'unknown', message: String(error.message ?? error) } });
  }
}

process.on('unhandledRejection', (error) => log(`a promise failed: ${error?.stack ?? error}`));
process.on('SIGINT', () => {});
const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on('line', (line) => {
  let said;
  try {
    said = JSON.parse(line);
  } catch {
    log('a line is no JSON');
    return;
  }
  if ('ack' in said) connection.acknowledge(said.ack);
  else void answer(said);
});
lines.on('close', () => void connection.abandon().catch(leave));
// Also where this thread hangs: the gateway's end is the end of this process.
new Worker("const parent = process.ppid; setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), 1000);", { eval: true }).unref();
const own = JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8'));
say({ event: 'hello', protocol: PROTOCOL, baileys: own.dependencies.baileys, pid: process.pid });
