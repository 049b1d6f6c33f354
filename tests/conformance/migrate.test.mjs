// `openclaw migrate` over state directories that the official gateways wrote themselves, of both generations: a
// conversation with a model, a job, and a paired device, which comes back with the token that the other one gave it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { newCli } from "./lib/cli.mjs";
import { daemonBinary, freePort, nonce, ready, startDaemon, tempFolder } from "./lib/daemon.mjs";
import { newDevice } from "./lib/device.mjs";
import { startModel } from "./lib/model.mjs";
import { RawClient } from "./lib/raw.mjs";

const GENERATIONS = {
  v3: { wire: { min: 3, max: 3, payloadVersion: "v2" } },
  v4: { wire: {} },
};

/** Every file of a folder with the hash of its bytes. */
async function listed(folder) {
  const found = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    found[path.relative(folder, file)] = createHash("sha256").update(await readFile(file)).digest("hex");
  }
  return found;
}

async function migrate(home, from, ...flags) {
  const env = { PATH: process.env.PATH, HOME: home, OPENCLAW_STATE_DIR: path.join(home, "state"), XDG_RUNTIME_DIR: home };
  const { stdout } = await promisify(execFile)(daemonBinary(), ["migrate", "--from", from, ...flags], { env });
  return stdout;
}

const taken = (report, what) => report.counts.find((count) => count.what === what).taken;

for (const [generation, { wire }] of Object.entries(GENERATIONS)) {
  describe(`a state directory of the official gateway, ${generation}`, () => {
    const c = {};

    before(async () => {
      c.word = nonce("door");
      // So long that the newer generation compresses it.
      c.long = Array.from({ length: 400 }, (_, line) => `${line}: ${c.word} ${nonce("line")}`).join("; ");
      c.model = await startModel("I shall remember that.");
      c.home = await tempFolder("migrated");
      const port = await freePort();
      const token = nonce("token");
      c.cli = await newCli(generation, {
        ...c.model.config(),
        gateway: { mode: "local", port, auth: { mode: "token", token } },
      });
      const gateway = c.cli.start(["gateway"], { env: { OPENCLAW_SKIP_CHANNELS: "1", OPENCLAW_DISABLE_BONJOUR: "1" } });
      try {
        if (generation === "v4") await ready(port, gateway.ended);
        else await listening(port, gateway);
        c.device = newDevice();
        const client = new RawClient(`ws://127.0.0.1:${port}`);
        const hello = await client.connect({ ...wire, token, device: c.device });
        c.deviceToken = hello.auth.deviceToken;
        const run = client.send("agent", { message: `Remember ${c.word}: ${c.long}`, sessionKey: "agent:main:main", idempotencyKey: nonce("key") });
        await run.response(2);
        c.job = await client.request("cron.add", {
          name: "Tea",
          schedule: { kind: "every", everyMs: 7_200_000 },
          sessionTarget: "main",
          wakeMode: "now",
          payload: { kind: "systemEvent", text: "The tea is ready." },
        });
        await client.socket.close();
        await client.closed;
      } finally {
        gateway.child.kill("SIGTERM");
        const hard = setTimeout(() => gateway.child.kill("SIGKILL"), 30_000);
        await gateway.ended;
        clearTimeout(hard);
      }
    });

    after(async () => {
      await c.daemon?.end();
      await c.model?.mock.stop();
      await c.cli?.remove();
      await c.home?.remove();
    });

    test("it is taken over, and stays as it was", async () => {
      const before = await listed(c.cli.stateDir);
      const would = JSON.parse(await migrate(c.home.path, c.cli.stateDir, "--dry-run", "--json")).report;
      assert.deepEqual(await readdir(c.home.path), [], "a dry run writes nothing");
      const { report } = JSON.parse(await migrate(c.home.path, c.cli.stateDir, "--json"));
      assert.deepEqual(report.counts, would.counts);
      assert.equal(taken(report, "conversations"), 1, JSON.stringify(report));
      assert.equal(taken(report, "messages"), 2, JSON.stringify(report));
      assert.ok(taken(report, "devices") >= 1 && taken(report, "tokens") >= 1, JSON.stringify(report));
      assert.equal(taken(report, "jobs"), 1, JSON.stringify(report));
      assert.ok(taken(report, "files") >= 2, "the configuration and the workspace");
      assert.deepEqual(report.unknown, [], "every file that a plain installation has is known");
      assert.deepEqual(await listed(c.cli.stateDir), before, "nothing is changed in the source");
      const again = JSON.parse(await migrate(c.home.path, c.cli.stateDir, "--json")).report;
      for (const count of again.counts) assert.equal(count.taken, 0, JSON.stringify(count));
    });

    test("its device comes in with its own token, and finds conversation and job", async () => {
      c.daemon = await startDaemon({ state: c.home });
      const client = new RawClient(c.daemon.url);
      const hello = await client.connect({ token: c.deviceToken, device: c.device });
      assert.equal(hello.auth.role, "operator");
      const history = await client.request("chat.history", { sessionKey: "main" });
      const text = JSON.stringify(history.messages);
      assert.ok(text.includes(c.word) && text.includes("I shall remember that."), text);
      const { jobs } = await client.request("cron.list", {});
      assert.deepEqual(jobs.map((job) => [job.id, job.name]), [[c.job.id, "Tea"]]);
      assert.equal((jobs[0].nextRunAtMs - c.job.createdAtMs) % 7_200_000, 0, "due when it was");
      // It goes on where it was.
      const run = client.send("agent", { message: "And again?", sessionKey: "agent:main:main", idempotencyKey: nonce("key") });
      const answer = await run.response(2);
      assert.equal(answer.payload.status, "ok", JSON.stringify(answer));
      const asked = JSON.stringify(c.model.mock.getLastRequest());
      assert.ok(asked.includes(c.long), "the model sees what was said before, to its last word");
      await client.socket.close();
    });
  });
}

/** Waits until a gateway of the older generation listens: it has no page that says so. */
async function listening(port, gateway) {
  await Promise.race([
    gateway.ended.then((how) => assert.fail(`it ended: ${JSON.stringify(how)}\n${gateway.output()}`)),
    new Promise((resolve) => {
      const look = () => {
        if (gateway.output().includes(`listening on ws://127.0.0.1:${port}`)) resolve();
      };
      gateway.child.stdout.on("data", look);
      gateway.child.stderr.on("data", look);
      look();
    }),
  ]);
}
