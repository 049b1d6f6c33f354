// In the place of Baileys, for what its own server cannot be brought to: a flood in one go, groups that are not known,
// a socket that is held back. What the sidecar does with it is said on standard error, a line of JSON each.
import { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';

const tell = (line) => process.stderr.write(`${JSON.stringify(line)}\n`);
export const BufferJSON = {};
export const proto = {};
export const initAuthCreds = () => ({});
export const makeCacheableSignalKeyStore = (keys) => keys;
export const normalizeMessageContent = (content) => content;
export const jidNormalizedUser = (jid) => jid;

export const downloadContentFromMessage = async (reference, kind, options) => {
  tell({ download: reference.directPath, url: reference.url ?? null, kind, options });
  return Readable.from([Buffer.alloc(10)]);
};

export const makeWASocket = () => {
  let held = [];
  const ev = Object.assign(new EventEmitter(), { flush: () => held.splice(0).forEach((event) => ev.emit('messages.upsert', event)) });
  let turn = Promise.resolve();
  const messageMutex = { mutex: (work) => (turn = turn.then(work)) };
  const socket = { pause: () => tell({ pause: true }), resume: () => tell({ resume: true }), terminate() {} };
  const ws = Object.assign(new EventEmitter(), { socket, close: async () => {} });
  const text = (chat, id) => ({ key: { id, remoteJid: chat, participant: '15550001111@s.whatsapp.net' }, messageTimestamp: 1, message: { conversation: id } });
  const deeds = {
    /** So many messages of one group at once. */
    flood: ({ flood, chat }) => ev.emit('messages.upsert', { type: 'append', messages: Array.from({ length: flood }, (_, at) => text(chat, `F${at + 1}`)) }),
    /** So many that Baileys holds back for a moment, all of which it has confirmed. */
    hold: ({ hold, chat }) => void held.push({ type: 'notify', messages: Array.from({ length: hold }, (_, at) => text(chat, `H${at + 1}`)) }),
    close: ({ close }) => ev.emit('connection.update', { connection: 'close', lastDisconnect: { error: { message: 'gone', output: { statusCode: close } } } }),
  };
  setImmediate(() => ev.emit('connection.update', { connection: 'open' }));
  return {
    ev,
    ws,
    messageMutex,
    user: { id: '15550009999:7@s.whatsapp.net' },
    groupMetadata: async (id) => {
      tell({ asked: id });
      throw new Error('it is not told');
    },
    sendMessage: async (to, content, { messageId }) => {
      tell({ sent: content.text });
      ws.emit('CB:ack,class:message', { attrs: { id: messageId } });
      return { key: { id: messageId } };
    },
    // The test tells what comes next by what it shows as written.
    sendPresenceUpdate: async (deed) => deeds[Object.keys(deed).find((name) => name in deeds)](deed),
    end: async () => {
      held = [];
      tell({ ended: true });
    },
  };
};
