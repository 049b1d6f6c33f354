// Writes the credentials of a linked device, made by Baileys itself: link.mjs SIDECAR FOLDER JID
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [sidecar, folder, jid] = process.argv.slice(2);
const { BufferJSON, initAuthCreds } = await import(pathToFileURL(join(sidecar, 'node_modules/baileys/lib/index.js')));
mkdirSync(folder, { recursive: true });
const creds = { ...initAuthCreds(), me: { id: jid, name: 'Home' } };
writeFileSync(join(folder, 'creds.json'), JSON.stringify(creds, BufferJSON.replacer));
