// The canvas in Chromium: a page that an agent wrote runs, follows changes, and reaches nothing else of the gateway.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { newDevice } from '../conformance/lib/device.mjs';
import { RawClient } from '../conformance/lib/raw.mjs';
import { assertFaultless, launch, openPage, OUT } from './lib/browser.mjs';
import { Daemon, freePort } from './lib/daemon.mjs';

const TOKEN = 'a-token-that-is-long-enough-to-be-strong-0123456789';

/** Tries everything that it could want of the gateway, and says what came of it. */
const HOSTILE = `<!doctype html><html><head><meta charset="utf-8"><link rel="stylesheet" href="own.css"></head><body>
<iframe id="frame" src="/"></iframe><img id="image" src="own.svg">
<script src="own.js"></script>
<script>
const gateway = new URLSearchParams(location.search).get('gateway');
const attempt = async (what) => { try { return await what(); } catch (error) { return 'refused: ' + (error.name ?? error); } };
const read = (path, init) => attempt(async () => (await fetch(gateway + path, init)).text());
const socket = (path) => attempt(() => new Promise((resolve, reject) => {
  const socket = new WebSocket(gateway.replace('http', 'ws') + path);
  socket.onmessage = (event) => resolve('heard ' + event.data);
  socket.onopen = () => setTimeout(() => resolve('open'), 500);
  socket.onerror = () => reject(new Error('error'));
}));
(async () => {
  const loaded = document.readyState === 'complete' ? Promise.resolve() : new Promise((resolve) => addEventListener('load', resolve));
  await loaded;
  window.result = {
    origin: self.origin,
    script: window.own,
    style: getComputedStyle(document.body).color,
    image: document.getElementById('image').naturalWidth,
    storage: await attempt(() => JSON.stringify({ ...localStorage })),
    session: await attempt(() => JSON.stringify({ ...sessionStorage })),
    cookie: await attempt(() => document.cookie || 'none'),
    databases: await attempt(async () => JSON.stringify(await indexedDB.databases())),
    caches: await attempt(async () => JSON.stringify(await caches.keys())),
    worker: await attempt(async () => (await navigator.serviceWorker.register('own.js')).scope),
    frame: await attempt(() => document.getElementById('frame').contentWindow.document.body.innerHTML || 'empty'),
    opener: await attempt(() => (window.opener ? window.opener.localStorage.length : 'none')),
    popup: await attempt(() => (window.open('/') === null ? 'refused: null' : 'open')),
    page: await read('/'),
    probe: await read('/healthz'),
    models: await read('/v1/models'),
    post: await read('/v1/chat/completions', { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }),
    canvas: await read('/__openclaw__/canvas/own.js'),
    plain: await socket('/'),
    reload: await socket('/__openclaw__/ws'),
    other: await socket('/__openclaw__/cap/00000000000000000000000000000000/__openclaw__/ws'),
  };
  document.title = 'done';
})();
</script></body></html>`;

/** A form: what is typed goes into the data model, and the button tells it with what it names. */
const FORM = [
  { surfaceUpdate: { surfaceId: 'table', components: [
    { id: 'root', component: { Card: { child: 'column' } } },
    { id: 'column', component: { Column: { children: { explicitList: ['title', 'guest', 'book'] } } } },
    { id: 'title', component: { Text: { text: { path: '/title' }, usageHint: 'h2' } } },
    { id: 'guest', component: { TextField: { label: { literalString: 'Your name' }, text: { path: '/guest' } } } },
    { id: 'book', component: { Button: { child: 'label', primary: true, action: { name: 'book', context: [
      { key: 'guest', value: { path: '/guest' } }, { key: 'seats', value: { literalNumber: 2 } },
    ] } } } },
    { id: 'label', component: { Text: { text: { literalString: 'Book it' } } } },
  ] } },
  { dataModelUpdate: { surfaceId: 'table', contents: [
    { key: 'title', valueString: 'A table <b>for two</b>' }, { key: 'guest', valueString: '' },
  ] } },
  { beginRendering: { surfaceId: 'table', root: 'root' } },
];

describe('the canvas', () => {
  let browser;
  let daemon;
  let canvasPort;
  let operator;
  let base;

  const put = (name, text) => writeFile(path.join(daemon.stateDir, 'canvas', name), text);

  before(async () => {
    browser = await launch();
    canvasPort = await freePort();
    const config = {
      gateway: { mode: 'local', auth: { mode: 'token', token: TOKEN } },
      canvasHost: { port: canvasPort },
    };
    daemon = await (await Daemon.create(config)).start();
    await mkdir(path.join(daemon.stateDir, 'canvas'), { recursive: true });
    await put('own.js', 'window.own = 7;');
    await put('own.css', 'body { color: rgb(1, 2, 3); }');
    await put('own.svg', '<svg xmlns="http://www.w3.org/2000/svg" width="5" height="5"></svg>');
    await put('hostile.html', HOSTILE);
    operator = new RawClient(`ws://127.0.0.1:${daemon.port}/`);
    const hello = await operator.connect({ token: TOKEN });
    base = hello.pluginSurfaceUrls.canvas;
    assert.ok(base.startsWith(daemon.origin), base);
  });
  after(async () => {
    await operator?.close();
    await browser?.close();
    await daemon?.end();
  });

  /** What the hostile page could do at this address, in a browser that uses the chat page too. */
  async function attack(address) {
    const chat = await openPage(browser);
    await chat.page.goto(`${daemon.origin}/#token=${TOKEN}`);
    await chat.chat.connected();
    const stored = await chat.page.evaluate(() => Object.keys(localStorage).length);
    assert.ok(stored > 0, 'the chat page keeps nothing, and this test shows nothing');
    const page = await chat.context.newPage();
    await page.goto(`${address}/__openclaw__/canvas/hostile.html?gateway=${daemon.origin}`);
    await page.waitForFunction(() => document.title === 'done');
    const result = await page.evaluate(() => window.result);
    await page.close();
    // The chat page is as it was.
    await chat.chat.connected();
    assertFaultless(chat);
    await chat.context.close();
    for (const what of ['page', 'probe', 'models', 'post', 'plain', 'reload', 'other', 'frame', 'worker']) {
      assert.match(result[what], /^refused/, `${what}: ${result[what]}`);
    }
    assert.deepEqual([result.script, result.style, result.image], [7, 'rgb(1, 2, 3)', 5], 'its own files');
    assert.equal(result.opener, 'none');
    return result;
  }

  it('attack 37: a hostile page on the gateway’s port is of no origin, and reaches nothing', async () => {
    const result = await attack(base);
    assert.equal(result.origin, 'null');
    for (const what of ['storage', 'session', 'cookie', 'databases', 'caches', 'popup', 'canvas']) {
      assert.match(result[what], /^refused/, `${what}: ${result[what]}`);
    }
  });

  it('attack 37: on the port of the canvas there is nothing else to reach', async () => {
    const own = base.replace(`:${daemon.port}`, `:${canvasPort}`);
    const result = await attack(own);
    assert.equal(result.origin, `http://127.0.0.1:${canvasPort}`);
    assert.deepEqual([result.storage, result.session, result.cookie], ['{}', '{}', 'none']);
    assert.deepEqual([result.databases, result.caches], ['[]', '[]']);
  });

  it('a surface is drawn, its button is pressed, and the agent hears of it', async () => {
    const device = newDevice();
    const commands = ['canvas.a2ui.pushJSONL', 'canvas.a2ui.reset'];
    const connectNode = async () => {
      const node = new RawClient(`ws://127.0.0.1:${daemon.port}/`);
      return [node, await node.connectNode({ token: TOKEN, device, displayName: 'Tablet', commands })];
    };
    const [node] = await connectNode();
    const { requestId } = (await operator.event('node.pair.requested')).payload;
    await operator.request('node.pair.approve', { requestId });
    const { pluginSurfaceUrls } = await node.request('node.pluginSurface.refresh', { surface: 'canvas' });

    // The test is the app that shows the page on the device.
    const { page, context, faults } = await openPage(browser);
    const pressed = new Promise((resolve) => page.exposeFunction('__action', resolve));
    await page.addInitScript(() => {
      window.openclawCanvasA2UIAction = { postMessage: (text) => window.__action(text) };
    });
    await page.goto(`${pluginSurfaceUrls.canvas}/__openclaw__/a2ui/`);
    const file = path.join(daemon.folder, 'form.jsonl');
    await writeFile(file, FORM.map((message) => JSON.stringify(message)).join('\n'));
    const pushed = daemon.cli('nodes', 'canvas', 'a2ui', 'push', 'tablet', '--jsonl', file);
    const asked = (await node.event('node.invoke.request')).payload;
    assert.equal(asked.command, 'canvas.a2ui.pushJSONL');
    const messages = JSON.parse(asked.paramsJSON).jsonl.split('\n').map((line) => JSON.parse(line));
    const drawn = await page.evaluate((given) => window.openclawA2UI.applyMessages(given), messages);
    assert.deepEqual(drawn, { ok: true, surfaces: ['table'] });
    await node.request('node.invoke.result', { id: asked.id, nodeId: asked.nodeId, ok: true, payloadJSON: JSON.stringify(drawn) });
    await pushed;

    await page.getByRole('heading', { name: 'A table <b>for two</b>' }).waitFor();
    await page.getByRole('textbox').fill('Ada');
    await page.screenshot({ path: path.join(OUT, 'a2ui-form.png') });
    await page.getByRole('button', { name: 'Book it' }).click();
    const { userAction } = JSON.parse(await pressed);
    assert.equal(userAction.name, 'book');
    assert.deepEqual([userAction.surfaceId, userAction.sourceComponentId], ['table', 'book']);
    assert.deepEqual(userAction.context, { guest: 'Ada', seats: 2 });
    const taken = await node.request('node.event', { event: 'agent.request', payloadJSON: JSON.stringify({ userAction }) });
    assert.equal(taken.handled, true);
    await page.evaluate((id) => window.dispatchEvent(new CustomEvent('openclaw:a2ui-action-status', { detail: { id, ok: true } })), userAction.id);
    await page.getByRole('status').getByText('Sent.').waitFor();
    const told = await operator.event('chat', (payload) => payload.state === 'final');
    assert.ok(told, 'the agent answered');
    const { messages: said } = await operator.request('chat.history', { sessionKey: 'main' });
    assert.match(JSON.stringify(said), /CANVAS_A2UI action=book surface=table component=book ctx=.*Ada/);
    assert.deepEqual(faults, []);

    await page.evaluate(() => window.openclawA2UI.reset());
    await page.getByRole('button', { name: 'Book it' }).waitFor({ state: 'detached' });
    await context.close();
    await node.close();
  });

  it('an open page shows what was changed, on both ports', async () => {
    for (const address of [base, base.replace(`:${daemon.port}`, `:${canvasPort}`)]) {
      await put('live.html', '<body><p id="text">first</p></body>');
      const context = await browser.newContext();
      const page = await context.newPage();
      const followed = page.waitForEvent('websocket').then((socket) => socket.url());
      await page.goto(`${address}/__openclaw__/canvas/live.html`);
      assert.match(await followed, /\/__openclaw__\/cap\/[0-9a-f]+\/__openclaw__\/ws$/);
      // The folder is watched from some moment on: what is written until then again is seen after it.
      const seen = page.getByText('second').waitFor();
      let over = false;
      const done = seen.finally(() => (over = true));
      while (!over) {
        await put('live.html', '<body><p id="text">second</p></body>');
        await Promise.race([done, new Promise((resolve) => setTimeout(resolve, 250))]);
      }
      await done;
      await context.close();
    }
  });
});
