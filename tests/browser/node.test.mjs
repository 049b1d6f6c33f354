// `openclaw node run` with real things: Chromium as its canvas, ffmpeg's test pictures as its camera, an X display as
// its screen, gpsd as its place, a desktop that shows notifications. At the end an agent uses them in one turn.
import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { daemonBinary, nonce, startDaemon } from '../conformance/lib/daemon.mjs';
import { eventually } from '../conformance/lib/eventually.mjs';
import { reportFrames } from '../conformance/lib/flows.mjs';
import { startModel } from '../conformance/lib/model.mjs';
import { RawClient } from '../conformance/lib/raw.mjs';
import { OUT } from './lib/browser.mjs';
import { freePort } from './lib/daemon.mjs';
import { pixels, probe, run, startDesktop, startDisplay, startGps, startNode } from './lib/node.mjs';

/** Four fields whose colours say whether a picture is the page. */
const FIELDS = `<!doctype html><style>body{margin:0;display:grid;grid-template:50vh 50vh/50vw 50vw}</style>
<div style="background:#ff0000"></div><div style="background:#00ff00"></div><div style="background:#0000ff"></div><div style="background:#ffff00"></div>
<script>const fields = document.querySelectorAll('div').length;</script>`;
const COLOURS = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]];

const FORM = [
  { surfaceUpdate: { surfaceId: 's', components: [
    { id: 'book', component: { Button: { child: 'label', action: { name: 'book', context: [{ key: 'seats', value: { literalNumber: 2 } }] } } } },
    { id: 'label', component: { Text: { text: { literalString: 'Book it' } } } },
  ] } },
  { beginRendering: { surfaceId: 's', root: 'book' } },
];

/** Presses the first button, which is inside of shadow trees. */
const PRESS = `(() => {
  const find = (root) => {
    for (const element of root.querySelectorAll('*')) {
      if (element.tagName === 'BUTTON') return element;
      const inner = element.shadowRoot && find(element.shadowRoot);
      if (inner) return inner;
    }
  };
  const button = find(document);
  button?.click();
  return button ? 'pressed' : '';
})()`;

const PHOTO_PAGE = '<!doctype html><style>body{margin:0}</style><img src="photo.jpg">';

/** The calls of the turn, one after the other. */
const STEPS = [
  { name: 'nodes', arguments: { action: 'invoke', command: 'camera.snap', params: { maxWidth: 320 }, save: 'photo.jpg' } },
  { name: 'canvas', arguments: { action: 'write', path: 'photo.html', content: PHOTO_PAGE } },
  { name: 'canvas', arguments: { action: 'present', url: 'photo.html' } },
  { name: 'canvas', arguments: { action: 'snapshot', maxWidth: 640 } },
  { name: 'nodes', arguments: { action: 'invoke', command: 'location.get' } },
];

function teach(mock) {
  const results = (request) => {
    const last = request.messages.findLastIndex((message) => message.role === 'user' && JSON.stringify(message).includes('take a photo'));
    return request.messages.slice(last).filter((message) => message.role === 'tool').length;
  };
  for (const [step, call] of STEPS.entries()) {
    const predicate = (request) => results(request) === step;
    mock.on({ userMessage: /take a photo/, predicate }, { toolCalls: [{ name: call.name, arguments: JSON.stringify(call.arguments) }] });
  }
  const knows = (request) => results(request) === STEPS.length && /52\.52\b/.test(JSON.stringify(request.messages));
  mock.on({ userMessage: /take a photo/, predicate: knows }, { content: 'It is on the canvas; you are at 52.52 N, 13.405 E.' });
}

describe('a headless node', () => {
  let model;
  let daemon;
  let again;
  let operator;
  let display;
  let desktop;
  let gps;
  let node;
  let nodeId;

  /** Has a node do something as an owner. */
  const invoke = async (command, params = {}, id = nodeId) => {
    const asked = { nodeId: id, command, params, timeoutMs: 60_000, idempotencyKey: nonce('key') };
    return (await operator.request('node.invoke', asked)).payload;
  };
  /** Runs the command line as a person on the gateway's host. */
  const cli = async (...args) => {
    const env = { PATH: process.env.PATH, HOME: daemon.state.path, NO_COLOR: '1', OPENCLAW_STATE_DIR: daemon.stateDir };
    return (await run(daemonBinary(), [...args, '--url', daemon.url, '--token', daemon.token], { env, timeout: 60_000 })).stdout;
  };
  const page = async (name, text) => {
    const folder = path.join(daemon.stateDir, 'canvas');
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, name), text);
  };
  const out = (name) => path.join(OUT, name);
  /** Starts a node and approves all that it offers; gives it with its id. */
  const join = async (name, args, more) => {
    const started = await startNode({ url: daemon.url, token: daemon.token, name, args, more });
    const asked = await operator.event('node.pair.requested', (p) => p.displayName === name);
    await cli('nodes', 'approve', asked.payload.requestId, '--sensitive');
    return [started, asked.payload.nodeId, asked.payload.commands];
  };

  before(async () => {
    await mkdir(OUT, { recursive: true });
    const port = await freePort();
    [display, gps, model] = await Promise.all([startDisplay(800, 600), startGps(port), startModel('as you like', { teach })]);
    desktop = await startDesktop(display.name);
    daemon = await startDaemon({ config: model.config() });
    operator = new RawClient(daemon.url);
    await operator.connect({ token: daemon.token });
    const args = ['--canvas=headless', '--camera=lavfi:smptebars=size=640x480:rate=25', '--audio=lavfi:sine=frequency=440', '--screen', `--location=127.0.0.1:${port}`];
    let commands;
    [node, nodeId, commands] = await join('Attic', args, desktop.variables);
    for (const command of ['camera.clip', 'canvas.a2ui.push', 'location.get', 'screen.record', 'system.notify', 'system.run']) {
      assert.ok(commands.includes(command), `${command} in ${commands}`);
    }
  });
  after(async () => {
    await operator?.close();
    await node?.end();
    await again?.stop();
    await daemon?.end();
    await Promise.all([model?.stop(), desktop?.stop(), gps?.stop()]);
    await display?.stop();
  });

  it('what is not here is not offered, and said', async () => {
    const bare = await startNode({
      url: daemon.url, token: daemon.token, name: 'Bare', args: ['--canvas', '--camera', '--screen', '--no-programs'],
      more: { PATH: '/nonexistent' },
    });
    try {
      assert.match(bare.output, /canvas: install chromium/);
      assert.match(bare.output, /camera and screen: install ffmpeg/);
      assert.match(bare.output, /node Bare offers device\.info, device\.status\n/);
    } finally {
      await bare.end();
    }
  });

  it('takes photos and clips that players understand', async () => {
    const { devices } = await invoke('camera.list');
    assert.equal(devices.length, 1);
    const photo = out('node-photo.jpg');
    await cli('nodes', 'camera', 'snap', 'Attic', '--max-width', '320', '--out', photo);
    const { video } = await probe(photo);
    assert.deepEqual([video.codec_name, video.width, video.height], ['mjpeg', 320, 240]);
    const told = await invoke('camera.snap', { maxWidth: 320, quality: 0.1 });
    assert.deepEqual([told.format, told.width, told.height], ['jpg', 320, 240]);
    assert.ok(Buffer.from(told.base64, 'base64').length < (await readFile(photo)).length, 'a lower quality is smaller');
    const clip = out('node-clip.mp4');
    await cli('nodes', 'camera', 'clip', 'Attic', '--duration', '1500', '--out', clip);
    const film = await probe(clip);
    assert.deepEqual([film.video.codec_name, film.video.width, film.video.height, film.audio.codec_name], ['h264', 640, 480, 'aac']);
    assert.ok(Math.abs(film.seconds - 1.5) < 0.1, `${film.seconds} s`);
    await assert.rejects(invoke('camera.snap', { deviceId: 'other' }), /CAMERA_UNAVAILABLE/);
  });

  it('records the screen', async () => {
    const file = out('node-screen.mp4');
    await cli('nodes', 'screen', 'record', 'Attic', '--duration', '1000', '--fps', '5', '--no-audio', '--out', file);
    const film = await probe(file);
    assert.deepEqual([film.video.codec_name, film.video.width, film.video.height], ['h264', 800, 600]);
    assert.equal(film.audio, undefined);
    assert.ok(Math.abs(film.seconds - 1) < 0.25, `${film.seconds} s`);
  });

  it('knows where it is from gpsd', async () => {
    const place = await invoke('location.get');
    assert.deepEqual([place.lat, place.lon, place.source, place.isPrecise], [52.52, 13.405, 'gps', true]);
    assert.ok(place.accuracyMeters > 0 && place.altitudeMeters > 0);
    const coarse = await invoke('location.get', { desiredAccuracy: 'coarse' });
    assert.deepEqual([coarse.lat, coarse.lon, coarse.altitudeMeters], [52.52, 13.41, undefined]);
  });

  it('shows notifications on the desktop', async () => {
    const title = nonce('title');
    await cli('nodes', 'notify', 'Attic', '--title', nonce('by-hand'), '--body', 'hello');
    await invoke('system.notify', { title, body: '--help is text, too' });
    await eventually('the notification', async () => (await desktop.shown()).some(([summary]) => summary === title));
  });

  it('shows pages of the canvas, and a picture of them is the page', async () => {
    await page('fields.html', FIELDS);
    await cli('nodes', 'canvas', 'present', 'Attic', '--page', '/__openclaw__/canvas/fields.html');
    const file = out('node-fields.png');
    await cli('nodes', 'canvas', 'snapshot', 'Attic', '--out', file);
    const picture = await pixels(file);
    assert.deepEqual([picture.width, picture.height], [1280, 800]);
    for (let y = 0; y < 800; y += 1) {
      for (let x = 0; x < 1280; x += 1) {
        const expected = COLOURS[(y < 400 ? 0 : 2) + (x < 640 ? 0 : 1)];
        const found = picture.at(x, y);
        if (found.some((value, at) => value !== expected[at])) assert.fail(`${found} at ${x},${y}`);
      }
    }
    const small = await invoke('canvas.snapshot', { format: 'jpeg', maxWidth: 320, quality: 0.5 });
    assert.deepEqual([small.format, small.width, small.height], ['jpeg', 320, 200]);
    assert.equal((await invoke('canvas.eval', { javaScript: 'fields' })).result, '4');
    assert.equal((await invoke('canvas.eval', { javaScript: 'Promise.resolve({ a: [1] })' })).result, '{"a":[1]}');
    await assert.rejects(invoke('canvas.eval', { javaScript: 'nothing.here' }), /CANVAS_EVAL_FAILED: ReferenceError/);
    await assert.rejects(invoke('canvas.navigate', { url: 'file:///etc/passwd' }), /INVALID_REQUEST/);
    await assert.rejects(invoke('canvas.navigate', { url: 'http://127.0.0.1:1/' }), /CANVAS_FAILED: the page cannot be opened/);
    await invoke('canvas.present', { placement: { width: 400, height: 300 } });
    assert.equal((await invoke('canvas.eval', { javaScript: 'innerWidth + "x" + innerHeight' })).result, '400x300');
    await invoke('canvas.hide');
  });

  it('draws surfaces, and what is pressed there reaches the agent', async () => {
    const file = path.join(daemon.state.path, 'form.jsonl');
    await writeFile(file, FORM.map((message) => JSON.stringify(message)).join('\n'));
    await cli('nodes', 'canvas', 'a2ui', 'push', 'Attic', '--jsonl', file);
    await eventually('the button', async () => (await invoke('canvas.eval', { javaScript: PRESS })).result === 'pressed');
    const said = await eventually('the agent heard of it', async () => {
      const { messages } = await operator.request('chat.history', { sessionKey: 'main' });
      return /CANVAS_A2UI action=book surface=s component=book ctx=.*seats/.test(JSON.stringify(messages));
    });
    assert.ok(said);
    // A page of somebody else has the same bridge, and reaches nobody.
    const heard = async () => (await operator.request('chat.history', { sessionKey: 'main' })).messages.filter((row) => row.role === 'user');
    const before = await heard();
    await invoke('canvas.navigate', { url: 'data:text/html,<p>other' });
    const forged = JSON.stringify({ userAction: { id: 'x', name: 'forged', surfaceId: 's', sourceComponentId: 'b', context: {} } });
    await invoke('canvas.eval', { javaScript: `window.openclawCanvasA2UIAction.postMessage(${JSON.stringify(forged)}) ?? 'told'` });
    await cli('nodes', 'canvas', 'a2ui', 'push', 'Attic', '--text', 'hello');
    await cli('nodes', 'canvas', 'a2ui', 'reset', 'Attic');
    assert.deepEqual(await heard(), before);
  });

  it('a canvas in a window is what the screen shows', async () => {
    const [second, id] = await join('Desk', ['--canvas=window', '--screen', '--no-programs'], { DISPLAY: display.name });
    try {
      await page('fields.html', FIELDS);
      await invoke('canvas.present', { url: 'fields.html', placement: { x: 0, y: 0, width: 800, height: 600 } }, id);
      const file = out('node-window.png');
      await eventually('the page on the screen', async () => {
        const { base64, width, height } = await invoke('screen.snapshot', { format: 'png' }, id);
        assert.deepEqual([width, height], [800, 600]);
        await writeFile(file, Buffer.from(base64, 'base64'));
        const screen = await pixels(file);
        const near = (x, y, colour) => screen.at(x, y).every((value, at) => Math.abs(value - colour[at]) < 8);
        return near(200, 200, COLOURS[0]) && near(600, 200, COLOURS[1]) && near(200, 500, COLOURS[2]) && near(600, 500, COLOURS[3]);
      });
    } finally {
      await second.end();
    }
  });

  it('the agent takes a photo, puts it on the canvas, and says where the person is', async () => {
    const key = nonce('key');
    const message = 'take a photo, put it on the canvas, tell me where you are';
    await operator.request('chat.send', { sessionKey: 'main', message, idempotencyKey: key });
    const end = (await operator.event('chat', (p) => p.runId === key && ['final', 'error'].includes(p.state))).payload;
    const { messages } = await operator.request('chat.history', { sessionKey: 'main' });
    await writeFile(out('node-turn.json'), `${JSON.stringify(messages, null, 2)}\n`);
    assert.equal(end.state, 'final', JSON.stringify(end));
    assert.match(JSON.stringify(end.message), /52\.52 N, 13\.405 E/);
    const from = messages.findLastIndex((row) => row.role === 'user');
    const results = messages.slice(from).filter((row) => row.role === 'toolResult');
    assert.deepEqual(results.map((row) => [row.toolName, row.isError ?? false]), STEPS.map(({ name }) => [name, false]), JSON.stringify(results));

    const taken = path.join(daemon.stateDir, 'canvas', 'photo.jpg');
    await copyFile(taken, out('node-turn-photo.jpg'));
    const { base64 } = await invoke('canvas.snapshot');
    await writeFile(out('node-turn-canvas.png'), Buffer.from(base64, 'base64'));
    const [photo, canvas] = [await pixels(taken), await pixels(out('node-turn-canvas.png'))];
    assert.deepEqual([photo.width, photo.height], [320, 240]);
    for (const [x, y] of [[20, 60], [70, 60], [160, 60], [250, 60], [300, 60], [160, 220]]) {
      const [one, other] = [photo.at(x, y), canvas.at(x, y)];
      assert.ok(one.every((value, at) => Math.abs(value - other[at]) < 12), `${one} and ${other} at ${x},${y}`);
    }
    assert.ok(photo.at(20, 60).join() !== photo.at(300, 60).join(), 'a test picture has colours');
  });

  it('a browser that was killed is replaced, with the page that was shown', async () => {
    await invoke('canvas.navigate', { url: 'data:text/html,<p id=x>here' });
    const { stdout } = await run('pgrep', ['-f', `user-data-dir=${node.folder}`]).catch(() => ({ stdout: '' }));
    assert.notEqual(stdout, '', 'the browser runs');
    for (const pid of stdout.trim().split('\n')) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It ended with another one.
      }
    }
    await eventually('a new browser', async () => {
      const found = await invoke('canvas.eval', { javaScript: 'document.getElementById("x")?.textContent' }).catch(() => null);
      return found?.result === 'here';
    });
  });

  it('after a restart of the gateway its page is opened again', async () => {
    await page('fields.html', FIELDS);
    await invoke('canvas.present', { url: 'fields.html' });
    const address = async () => (await invoke('canvas.eval', { javaScript: 'location.href' })).result;
    const before = await address();
    assert.match(before, /\/__openclaw__\/cap\/[^/]+\/__openclaw__\/canvas\/fields\.html$/);
    const { state, log, gatewayPort, tap } = daemon;
    await daemon.stop();
    again = await startDaemon({ state, log, port: gatewayPort, tap });
    operator = new RawClient(again.url);
    await operator.connect({ token: again.token });
    // The capability of the address ended with the old gateway.
    await eventually('the page under its new address', async () => {
      const now = await address().catch(() => before);
      return now !== before && now.endsWith('/canvas/fields.html');
    });
    assert.equal((await invoke('canvas.eval', { javaScript: 'fields' })).result, '4');
  });

  it('every frame of the node is as the official validators want it', (t) => reportFrames(t, daemon.log));
});
