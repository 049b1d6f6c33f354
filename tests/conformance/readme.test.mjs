// The shell blocks of README.md do what they say: each runs, in order, in one fresh HOME with no configuration.
//
//   ```sh                    runs to its end, exit 0, within a minute
//   ```sh serves             keeps running until /readyz answers and then beside the blocks that follow, until the next
//                            that serves: one gateway per host
//   ```sh needs root         is run by root only, in a network that the blocks make themselves
//   ```sh skip: the reason   is not run
//
// `cargo run --release --` stands for the built daemon here, and the default port for a free one.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { daemonBinary, freePort, ready, root, tempFolder } from "./lib/daemon.mjs";

const blocks = [...(await readFile(path.join(root, "README.md"), "utf8")).matchAll(/^```(\S*)[ \t]*(.*)\n([\s\S]*?)^```$/gm)]
  .map(([, language, info, text]) => ({ language, info: info.trim(), text }))
  .filter((block) => ["sh", "bash", "shell", "console"].includes(block.language));

const DEFAULT_PORT = /\b18789\b/g;

describe("README.md", () => {
  let home;
  let port;
  const serving = [];
  const notRun = [];

  before(async () => {
    home = await tempFolder("readme");
    port = await freePort();
    const bin = path.join(home.path, "bin");
    await mkdir(bin);
    const binary = daemonBinary();
    await writeFile(path.join(bin, "openclaw"), `#!/bin/sh\nexec '${binary}' "$@"\n`);
    await writeFile(
      path.join(bin, "cargo"),
      `#!/bin/sh\n[ "$1 $2 $3" = "run --release --" ] || { echo "cargo $*: not in this test" >&2; exit 1; }\nshift 3\nexec '${binary}' "$@"\n`,
    );
    await chmod(path.join(bin, "openclaw"), 0o755);
    await chmod(path.join(bin, "cargo"), 0o755);
  });
  after(async () => {
    for (const child of serving) if (child.exitCode === null) child.kill("SIGKILL");
    // The blocks take away what they made, unless one of them failed.
    if (process.getuid() === 0) spawnSync("ip", ["netns", "del", "phone"], { stdio: "ignore" });
    await home?.remove();
  });

  function start(text) {
    const script = `set -euo pipefail\n${text.replaceAll(DEFAULT_PORT, String(port))}`;
    const child = spawn("bash", ["-c", script], {
      cwd: root,
      env: {
        PATH: `${path.join(home.path, "bin")}:${process.env.PATH}`,
        HOME: home.path,
        LANG: "C.UTF-8",
        OPENCLAW_GATEWAY_PORT: String(port),
        OPENCLAW_ALLOW_MULTI_GATEWAY: "1",
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.output = "";
    child.stdout.on("data", (data) => (child.output += data));
    child.stderr.on("data", (data) => (child.output += data));
    child.ended = new Promise((resolve) => child.on("exit", (code, signal) => resolve({ code, signal })));
    return child;
  }

  for (const { info, text } of blocks) {
    const title = text.trim().split("\n")[0];
    if (info.startsWith("skip:") && info.length > "skip: ".length) {
      notRun.push(`${title} is not run: ${info.slice(5).trim()}`);
    } else if (info === "needs root" && process.getuid() !== 0) {
      notRun.push(`${title} is not run: it needs root`);
    } else if (info === "serves") {
      it(`${title} serves`, async () => {
        await stopServing();
        // `exec`, so that the pid is the daemon's.
        const child = start(`exec ${text.trim()}`);
        serving.push(child);
        await ready(port, child.ended).catch((error) => assert.fail(`${error.message}\n${child.output}`));
      });
    } else {
      it(title, async () => {
        assert.ok(["", "needs root"].includes(info), `what a block's first line may say stands in ${import.meta.filename}`);
        const child = start(text);
        const limit = setTimeout(() => child.kill("SIGKILL"), 60_000);
        const how = await child.ended;
        clearTimeout(limit);
        assert.deepEqual(how, { code: 0, signal: null }, child.output);
      });
    }
  }

  /** Stops what serves now, as a person does before another start. */
  async function stopServing() {
    const child = serving.at(-1);
    if (!child || child.exitCode !== null) return;
    child.kill("SIGTERM");
    assert.deepEqual(await child.ended, { code: 0, signal: null }, child.output);
  }

  it("what serves ends well on SIGTERM", async (t) => {
    for (const line of notRun) t.diagnostic(line);
    assert.ok(serving.length > 0, "a block says how to start it");
    await stopServing();
  });
});
