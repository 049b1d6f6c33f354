// A sidecar that follows a script: it speaks the gateway's lines, and no WhatsApp. The script is a file beside it
// (script.json): for each start, a list of lines to say, or of deeds. Every line that it hears is written down.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const here = (name) => new URL(`./${name}`, import.meta.url);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const runs = JSON.parse(readFileSync(here('script.json'), 'utf8'));
const run = existsSync(here('run')) ? Number(readFileSync(here('run'), 'utf8')) : 0;
writeFileSync(here('run'), String(run + 1));
const steps = [...(runs[Math.min(run, runs.length - 1)] ?? [])];
const waiting = new Map();
const heard = [];
let last = [];

const deeds = {
  /** Waits for a request of this name, and answers it. */
  answer: async ({ answer, result = {}, error }) => {
    const { id } = await request(answer);
    say(error ? { id, error } : { id, result });
  },
  /** Waits for a request, and leaves it. */
  await: async (step) => void (await request(step.await)),
  /** Waits until the test has made this file. */
  file: async ({ file }) => {
    while (!existsSync(here(file))) await new Promise((resolve) => setTimeout(resolve, 20));
  },
  raw: async ({ raw }) => void process.stdout.write(raw),
  /** Writes credentials as a linked device has them. */
  creds: async ({ creds }) => {
    const [start] = heard.filter((line) => line.method === 'start');
    const path = `${start.params.authDir}/creds.json`;
    const text = { noiseKey: {}, signedIdentityKey: {}, signedPreKey: {}, registrationId: 1, advSecretKey: 'x', me: { id: creds, name: 'Ann' }, account: {} };
    writeFileSync(path, JSON.stringify(text));
    say({ event: 'creds', me: creds.split(/[:@]/)[0] });
  },
  flood: async ({ flood, chat, from = 1 }) => {
    for (let seq = from; seq < from + flood; seq += 1) say({ event: 'message', seq, message: { id: `F${seq}`, chat, sender: chat, at: Date.now(), content: { conversation: `flood ${seq}` } } });
  },
  /** What it does once it is told to stop, before it ends. */
  stopping: async ({ stopping }) => void (last = stopping),
  /** Neither reads nor writes any more. */
  hang: async () => {
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
  },
  exit: async ({ exit }) => process.exit(exit),
};

function request(method) {
  const at = heard.findIndex((line) => line.method === method && !line.taken);
  if (at >= 0) {
    heard[at].taken = true;
    return heard[at];
  }
  return new Promise((resolve) => waiting.set(method, resolve));
}

createInterface({ input: process.stdin })
  .on('line', (text) => {
    appendFileSync(here('heard.jsonl'), `${text}\n`);
    const line = JSON.parse(text);
    if (line.method === 'ping') return say({ id: line.id, result: { heardMs: 0 } });
    if (line.method === 'stop') {
      return void follow(last).then(() => {
        say({ id: line.id, result: {} });
        process.exit(0);
      });
    }
    heard.push(line);
    const wake = waiting.get(line.method);
    if (wake === undefined) return undefined;
    waiting.delete(line.method);
    line.taken = true;
    return wake(line);
  })
  .on('close', () => process.exit(0));

async function follow(list) {
  for (const step of list) {
    const deed = Object.keys(deeds).find((name) => name in step);
    if (deed) await deeds[deed](step);
    else say(step);
  }
}
await follow(steps);
