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

  /** @param config written to openclaw.json; without it there is none, as on a first start */
  static async create(config) {
    const folder = await mkdtemp(path.join(tmpdir(), 'openclaw-browser-'));
    const daemon = new Daemon(folder, await freePort());
    if (config) {
      await mkdir(daemon.stateDir, { recursive: true });
      await writeFile(path.join(daemon.stateDir, 'openclaw.json'), JSON.stringify(config, null, 2), { mode: 0o600 });
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
    const ended = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
    this.#exited = ended;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => (this.output += text));
    }
    await this.#ready(ended);
    return this;
  }

  async #ready(ended) {
    let over = null;
    void ended.then((how) => (over = how));
    const deadline = Date.now() + START_MS;
    for (;;) {
      if (over) throw new Error(`the daemon ended with ${JSON.stringify(over)} before it was ready; it said:\n${this.output}`);
      if (Date.now() > deadline) throw new Error(`the daemon was not ready within ${START_MS} ms; it said:\n${this.output}`);
      const status = await fetch(`${this.origin}/readyz`, { signal: AbortSignal.timeout(2_000) }).then(
        async (answer) => (await answer.arrayBuffer(), answer.status),
        () => 0,
      );
      if (status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** The ready-to-open address, with the token, that the first start prints. */
  async address() {
    const deadline = Date.now() + 5_000;
    while (Date.now() < deadline) {
      const printed = /https?:\/\/\S+#token=[^\s'"<>)]+/.exec(this.output);
      if (printed) return printed[0];
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`no address with a token was printed; the daemon said:\n${this.output}`);
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
