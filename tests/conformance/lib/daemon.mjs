// The daemon under test: the built binary with a state directory of its own, behind a recording tap.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { FrameLog } from "./frames.mjs";
import { startTap } from "./tap.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
/** The root of the source tree. */
export const root = path.resolve(here, "../../..");

/** A word that no other run, and nothing but this run's daemon, can know. */
export const nonce = (prefix) => `${prefix}-${randomBytes(6).toString("hex")}`;

/** A fresh folder below the system's temporary one; `remove()` takes it away. */
export async function tempFolder(prefix) {
  const folder = await mkdtemp(path.join(tmpdir(), `openclaw-${prefix}-`));
  return { path: folder, remove: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }) };
}

/** The built daemon. */
export function daemonBinary() {
  const target = process.env.CARGO_TARGET_DIR ?? path.join(root, "target");
  const binary = process.env.OPENCLAW_BIN ?? path.join(target, "debug/openclaw");
  if (!existsSync(binary)) throw new Error(`no daemon to test at ${binary}: run 'cargo build', or set OPENCLAW_BIN`);
  return binary;
}

/** The command that starts a gateway. OPENCLAW_BENCH=v4 or v3 proves the harness on an official one. */
function gatewayCommand() {
  if (process.env.OPENCLAW_BENCH) {
    const cli = path.join(here, `../cli-${process.env.OPENCLAW_BENCH}/node_modules/openclaw/openclaw.mjs`);
    return { command: process.execPath, args: [cli, "gateway"] };
  }
  return { command: daemonBinary(), args: ["gateway"] };
}

/**
 * Starts a daemon and waits until it is ready.
 * @param {{config?: object, log?: FrameLog, state?: {path: string}, port?: number, tap?: object, channels?: boolean}} options
 *   `state`: a folder to start in again; `port` and `tap`: where the one before was found, for clients that come back;
 *   `channels`: whether its channels run
 */
export async function startDaemon({ config = {}, log = new FrameLog(), state, port: known, tap, channels = false } = {}) {
  const owned = state === undefined;
  const folder = state ?? (await tempFolder("daemon"));
  const stateDir = path.join(folder.path, "state");
  const token = nonce("token");
  await mkdir(stateDir, { recursive: true });
  const file = path.join(stateDir, "openclaw.json");
  const port = known ?? (await freePort());
  if (!existsSync(file)) {
    const gateway = { mode: "local", auth: { mode: "token", token } };
    await writeFile(file, JSON.stringify({ ...config, gateway: { ...gateway, ...config.gateway } }, null, 2));
  }
  const written = JSON.parse(await readFile(file, "utf8"));

  const { command, args } = gatewayCommand();
  const child = spawn(command, [...args, "--port", String(port)], {
    cwd: folder.path,
    env: {
      PATH: process.env.PATH,
      HOME: folder.path,
      LANG: "C.UTF-8",
      NO_COLOR: "1",
      OPENCLAW_STATE_DIR: stateDir,
      ...(channels ? {} : { OPENCLAW_SKIP_CHANNELS: "1" }),
      OPENCLAW_ALLOW_MULTI_GATEWAY: "1", // other test files have theirs
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (data) => (output += data));
  child.stderr.on("data", (data) => (output += data));
  const exited = new Promise((resolve) => child.on("exit", (code, signal) => resolve({ code, signal })));

  const daemon = {
    child,
    log,
    state: folder,
    stateDir,
    token: written.gateway.auth.token,
    gatewayPort: port,
    output: () => output,
    exited,
    /** Stops the daemon as a supervisor does, by its pid, and gives back how it ended. */
    async stop(signal = "SIGTERM") {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      const hard = setTimeout(() => child.kill("SIGKILL"), 20_000);
      const how = await exited;
      clearTimeout(hard);
      return how;
    },
    /** Stops everything and takes the folder away. */
    async end() {
      await daemon.stop();
      await daemon.tap?.close();
      if (owned) await folder.remove();
    },
  };
  try {
    await ready(port, exited);
    daemon.tap = tap ?? (await startTap(port, log));
    daemon.port = daemon.tap.port;
    daemon.url = `ws://127.0.0.1:${daemon.port}`;
  } catch (error) {
    await daemon.end();
    throw new Error(`${error.message}; the daemon said:\n${output}`);
  }
  return daemon;
}

/** Asks /readyz until it answers 200; fails when the process ends or a minute has passed. */
export async function ready(port, exited) {
  let ended;
  void exited.then((how) => (ended = how));
  const deadline = Date.now() + 60_000;
  for (;;) {
    if (ended) throw new Error(`the daemon ended with ${JSON.stringify(ended)} before it was ready`);
    if (Date.now() > deadline) throw new Error("the daemon was not ready within a minute");
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(2000) });
      await answer.arrayBuffer();
      // The v3 generation has no such page; a port that speaks TLS says so with 400.
      if (answer.status === 200 || answer.status === 400 || process.env.OPENCLAW_BENCH === "v3") return;
    } catch {
      // Not listening yet.
    }
    // Asked again and again, for want of a sign that the official gateways give too.
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** A port that was free a moment ago. The config of the official CLI needs a number, so 0 will not do. */
export async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
