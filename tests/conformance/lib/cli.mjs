// The official CLI of either generation, run with a home of its own that is empty but for its own config.
import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { tempFolder } from "./daemon.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const ENTRY = {
  v3: path.join(here, "../cli-v3/node_modules/openclaw/openclaw.mjs"),
  v4: path.join(here, "../cli-v4/node_modules/openclaw/openclaw.mjs"),
};

/** A CLI with a home of its own. `config` is what its openclaw.json holds. */
export async function newCli(generation, config = {}) {
  const home = await tempFolder(`cli-${generation}`);
  const stateDir = path.join(home.path, ".openclaw");
  const temp = path.join(home.path, "tmp");
  await mkdir(stateDir, { recursive: true });
  await mkdir(temp); // the CLI's own log lies there, and `logs` falls back to it
  await writeFile(path.join(stateDir, "openclaw.json"), JSON.stringify(config));
  return {
    home,
    stateDir,
    /** Starts a command that goes on until it is stopped. */
    start(args, { env = {} } = {}) {
      const child = spawn(process.execPath, [ENTRY[generation], ...args], {
        cwd: home.path,
        env: {
          PATH: process.env.PATH,
          HOME: home.path,
          TMPDIR: temp,
          LANG: "C.UTF-8",
          NO_COLOR: "1",
          CI: "1",
          OPENCLAW_STATE_DIR: stateDir,
          OPENCLAW_NO_RESPAWN: "1",
          ...env,
        },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let output = "";
      child.stdout.on("data", (data) => (output += data));
      child.stderr.on("data", (data) => (output += data));
      const ended = new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal })));
      return {
        child,
        ended,
        output: () => output,
        stop() {
          if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
          return ended;
        },
      };
    },
    /**
     * Runs one command to its end. A command that takes longer than `limitMs` is ended and counts as failed.
     * @returns {Promise<{code: number|null, stdout: string, stderr: string, ms: number}>}
     */
    async run(args, { env, limitMs = 180_000 } = {}) {
      const started = Date.now();
      const running = this.start(args, { env });
      let stdout = "";
      let stderr = "";
      running.child.stdout.on("data", (data) => (stdout += data));
      running.child.stderr.on("data", (data) => (stderr += data));
      const limit = setTimeout(() => running.child.kill("SIGKILL"), limitMs);
      const failed = new Promise((_, reject) => running.child.on("error", reject));
      const { code } = await Promise.race([running.ended, failed]);
      clearTimeout(limit);
      return { code, stdout, stderr, ms: Date.now() - started };
    },
    remove: () => home.remove(),
  };
}

/** The JSON value in a command's standard output, which may have notes around it. */
export function jsonOf(stdout) {
  const starts = [...stdout.matchAll(/^[[{]/gm)].map((m) => m.index);
  for (const start of starts) {
    for (let end = stdout.length; end > start; end = stdout.lastIndexOf("\n", end - 1)) {
      try {
        return JSON.parse(stdout.slice(start, end));
      } catch {
        // Text after it: try a shorter piece.
      }
    }
  }
  throw new Error(`no JSON in the output:\n${stdout}`);
}
