// The daemon as a person starts it: the built binary, a folder of its own, a port, and whatever configuration is given.
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const START_MS = 30_000;
/** A page that was built by hand (`vite build`) is tried in place of the embedded one, without building the daemon again. */
const UI_ROOT = process.env.OPENCLAW_UI_ROOT;

function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target');
  const command = process.env.OPENCLAW_BIN ?? path.join(target, 'debug/openclaw');
  if (!existsSync(command)) throw new Error(`no daemon to test at ${command}: run 'cargo build', or set OPENCLAW_BIN`);
  return command;
}

/** A port that was free a moment ago: a page comes back to the address that it was opened under, so 0 will not do. */
export async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** One gateway's folder and port; it can be started, stopped and started again. */
export class Daemon {
  #child = null;
  #exited = null;

  /**
   * @param config written to openclaw.json; without it there is none, as on a first start
   * @param ui false: the configuration says itself which page is served
   */
  static async create(config, { ui = true } = {}) {
    const folder = await mkdtemp(path.join(tmpdir(), 'openclaw-browser-'));
    const daemon = new Daemon(folder, await freePort());
    if (config) {
      await mkdir(daemon.stateDir, { recursive: true });
      const served = UI_ROOT === undefined || !ui ? config : { ...config, gateway: { ...config.gateway, controlUi: { ...config.gateway?.controlUi, root: UI_ROOT } } };
      await writeFile(path.join(daemon.stateDir, 'openclaw.json'), JSON.stringify(served, null, 2), { mode: 0o600 });
    }
    return daemon;
  }

  constructor(folder, port) {
    this.folder = folder;
    this.port = port;
    this.stateDir = path.join(folder, 'state');
    this.output = '';
  }

  get origin() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Nothing of the machine's own configuration reaches the daemon. */
  get #environment() {
    return {
      PATH: process.env.PATH,
      HOME: this.folder,
      XDG_RUNTIME_DIR: this.folder,
      LANG: 'C.UTF-8',
      NO_COLOR: '1',
      OPENCLAW_STATE_DIR: this.stateDir,
      OPENCLAW_SKIP_CHANNELS: '1',
    };
  }

  async start() {
    this.output = '';
    const child = spawn(binary(), ['gateway', '--port', String(this.port)], {
      cwd: this.folder,
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => (this.output += text));
    }
    await this.#says(/gateway ready/, START_MS);
    return this;
  }

  /** Waits until the daemon has said this, and gives the match; fails when it ends before, or after `ms`. */
  #says(pattern, ms) {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const end = (settle, value) => {
        clearTimeout(limit);
        for (const stream of [child.stdout, child.stderr]) stream.off('data', look);
        child.off('exit', ended);
        settle(value);
      };
      const fail = (how) => end(reject, new Error(`the daemon ${how} and did not say ${pattern}; it said:\n${this.output}`));
      const look = () => {
        const found = pattern.exec(this.output);
        if (found) end(resolve, found);
      };
      const ended = (code, signal) => fail(`ended with ${code ?? signal}`);
      const limit = setTimeout(() => fail(`was waited for ${ms} ms`), ms);
      for (const stream of [child.stdout, child.stderr]) stream.on('data', look);
      child.on('exit', ended);
      look();
    });
  }

  /** The ready-to-open address, with the token, that the first start prints. */
  async address() {
    const [printed] = await this.#says(/https?:\/\/\S+#token=[^\s'"<>)]+(?=\s)/, 5_000);
    return printed;
  }

  /** Ends the daemon as a supervisor does, by its pid. */
  async stop(signal = 'SIGTERM') {
    const child = this.#child;
    if (!child) return;
    this.#child = null;
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    const hard = setTimeout(() => child.kill('SIGKILL'), 15_000);
    await this.#exited;
    clearTimeout(hard);
  }

  /** Runs the command-line tool against this gateway, on its own host. */
  async cli(...args) {
    const env = { ...this.#environment, OPENCLAW_GATEWAY_PORT: String(this.port) };
    return promisify(execFile)(binary(), args, { cwd: this.folder, env, timeout: 20_000 });
  }

  async end() {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
