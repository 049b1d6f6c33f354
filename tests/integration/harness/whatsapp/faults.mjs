// Loaded before crabline's WhatsApp server (`node --import`): its protocol, Noise and Signal code stay as they are.
// Added are a log of its connections (WHATSAPP_CONNECTIONS) and a socket (WHATSAPP_CONTROL) at which a test tells
// it to send a node to everybody who is connected, as WhatsApp's servers do when they end a session. Where a test
// breaks what passes (WHATSAPP_FAULTS), it is asked before each message: what is to become of it. Files are brought
// to a server beside it (WHATSAPP_MEDIA has its certificate), and messages say what of a file could be read with the
// key that came with it; Baileys' own types (WHATSAPP_SIDECAR) read them.
import { createDecipheriv, hkdfSync } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer as createHttps } from 'node:https';
import { registerHooks } from 'node:module';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';

// libsignal prints its sessions, for longer than anybody reads what this program prints.
for (const word of ['info', 'warn']) console[word] = () => {};
process.stdout.on('error', () => {});

const sessions = new Map();
let count = 0;
const log = (row) => appendFileSync(process.env.WHATSAPP_CONNECTIONS, `${JSON.stringify({ ...row, live: sessions.size })}\n`);

globalThis.whatsappSession = (session, socket) => {
  const number = ++count;
  sessions.set(number, { session, socket });
  log({ event: 'open', number });
  socket.once('close', (code, reason) => {
    sessions.delete(number);
    log({ event: 'close', number, code, reason: String(reason) });
  });
};

/** Asks the test what is to become of something; nothing where it does not break anything. */
globalThis.whatsappAsk = (what) => {
  if (!process.env.WHATSAPP_FAULTS) return '';
  return new Promise((resolve, reject) => {
    const test = connect(process.env.WHATSAPP_FAULTS, () => test.end(what));
    let answer = '';
    test.on('data', (piece) => (answer += piece)).on('end', () => resolve(answer)).on('error', reject);
  });
};

const { proto } = await import(`${process.env.WHATSAPP_SIDECAR}/node_modules/baileys/WAProto/index.js`);
const certificate = (name) => readFileSync(`${process.env.WHATSAPP_MEDIA}/${name}.pem`);
const brought = new Map();
const host = createHttps({ key: certificate('key'), cert: certificate('cert') }, async (request, response) => {
  const { pathname } = new URL(request.url, 'https://here');
  const parts = [];
  for await (const part of request) parts.push(part);
  brought.set(pathname.split('/').at(-1), Buffer.concat(parts));
  response.end(JSON.stringify({ url: `https://127.0.0.1:${host.address().port}${pathname}`, direct_path: pathname }));
}).listen(0, '127.0.0.1');
host.unref();

/** Where files are brought; nothing where that is not asked. */
globalThis.whatsappMediaHost = ({ attrs }) => {
  if (attrs.xmlns !== 'w:m') return undefined;
  const place = { tag: 'host', attrs: { hostname: `127.0.0.1:${host.address().port}` } };
  return { tag: 'iq', attrs: { id: attrs.id, type: 'result', from: 's.whatsapp.net' }, content: [{ tag: 'media_conn', attrs: { auth: 'here', ttl: '300' }, content: [place] }] };
};

/** What a message says of its file, as text; nothing where it has none. */
globalThis.whatsappFile = (bytes) => {
  const message = proto.Message.decode(bytes);
  const kind = ['image', 'video', 'audio', 'document'].find((name) => message[`${name}Message`]);
  const file = message[`${kind}Message`];
  if (!file) return undefined;
  const name = kind[0].toUpperCase() + kind.slice(1);
  const keys = Buffer.from(hkdfSync('sha256', file.mediaKey, '', `WhatsApp ${name} Keys`, 112));
  const secret = brought.get(Buffer.from(file.fileEncSha256).toString('base64url')).subarray(0, -10);
  const decipher = createDecipheriv('aes-256-cbc', keys.subarray(16, 48), keys.subarray(0, 16));
  const plain = Buffer.concat([decipher.update(secret), decipher.final()]);
  return JSON.stringify({ file: kind, name: file.fileName, mime: file.mimetype, text: file.caption ?? '', voice: file.ptt === true, size: plain.length });
};

const EDITS = {
  '/servers/whatsapp-baileys-websocket.js': [
    ['        sessions.add(session);', '        sessions.add(session);\n        globalThis.whatsappSession(session, socket);'],
    ['await this.#sendNode(createInboundMessageNode(message));', 'const brought = createInboundMessageNode(message);\n            await this.#sendNode(brought);\n            if ((await globalThis.whatsappAsk("receive")) === "Duplicate") await this.#sendNode(brought);'],
    ['                this.#noise.finishClientHandshake(frame);', '                this.#noise.finishClientHandshake(frame);\n                if ((await globalThis.whatsappAsk("login")) === "Revoked") {\n                    await this.#sendNode({ tag: "failure", attrs: { reason: "401", location: "here" } });\n                    continue;\n                }'],
    ['        if (node.tag === "message") {', '        const broken = node.tag === "message" ? await globalThis.whatsappAsk("send") : "";\n        if (broken === "Refuse") return this.socket.terminate();\n        if (broken === "Hang") return;\n        if (node.tag === "message") {'],
    ['            if (!accepted) {\n                return;\n            }\n            await this.#sendNode({\n                attrs: {\n                    class: "message",', '            if (!accepted || broken === "HalfOpen") {\n                return;\n            }\n            if (broken === "CloseMidBody") return this.socket.terminate();\n            await this.#sendNode({\n                attrs: {\n                    class: "message",'],
    ['            await this.#sendNode(this.#createIqResult(node));', '            await this.#sendNode(globalThis.whatsappMediaHost(node) ?? this.#createIqResult(node));'],
    ['    const deviceSentMessage = fields.get(31)?.[0];', '    const file = globalThis.whatsappFile(message);\n    if (file) return file;\n    const deviceSentMessage = fields.get(31)?.[0];'],
    ['    async deliverInboundMessage(message) {', '    async sendAny(node) {\n        await this.#sendNode(node);\n    }\n    async deliverInboundMessage(message) {'],
  ],
  // It knows some of the words that clients may shorten, and ends the connection at any other ("composing" is one).
  '/servers/whatsapp-wire/binary-node.js': [
    ['throw new Error(`Unsupported WhatsApp dictionary token: ${dictionary}:${index}.`);', 'return `token-${dictionary}-${index}`;'],
    ['throw new Error(`Unsupported WhatsApp single-byte token: ${tag}.`);', 'return `token-${tag}`;'],
  ],
};

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    const [, edits] = Object.entries(EDITS).find(([path]) => url.endsWith(path)) ?? [];
    if (!edits) return loaded;
    let source = String(loaded.source);
    for (const [before, after] of edits) {
      if (source.split(before).length !== 2) throw new Error(`crabline has changed: ${before}`);
      source = source.replace(before, () => after);
    }
    return { ...loaded, source };
  },
});

/** What is done with every connection that lives. */
const orders = {
  node: (entry, node) => entry.session.sendAny(node),
  cut: (entry) => entry.socket.terminate(),
};

createServer((connection) => {
  createInterface({ input: connection }).on('line', async (line) => {
    const order = JSON.parse(line);
    const live = [...sessions.values()];
    for (const [name, value] of Object.entries(order)) await Promise.allSettled(live.map((entry) => orders[name](entry, value)));
    connection.write(`${JSON.stringify({ reached: live.length })}\n`);
  });
}).listen(process.env.WHATSAPP_CONTROL).unref();
