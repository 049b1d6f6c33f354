// The official CLI of the v3 generation against the daemon.
import assert from "node:assert/strict";
import { jsonOf, newCli } from "./lib/cli.mjs";
import { nonce } from "./lib/daemon.mjs";
import { newDevice } from "./lib/device.mjs";
import { runFlows } from "./lib/flows.mjs";
import { RawClient } from "./lib/raw.mjs";

async function call(c, method, params, ...more) {
  // Not --token: in this release the parent command takes it, and the call goes out without.
  const args = ["gateway", "call", method, "--json", ...more];
  if (params) args.push("--params", JSON.stringify(params));
  const result = await c.cli.run(args);
  assert.equal(result.code, 0, `${args.join(" ")} exited ${result.code}\n${result.stdout}\n${result.stderr}`);
  return jsonOf(result.stdout);
}

/** Pairs a new device by connecting with it, and gives back its id. */
async function pairDevice({ daemon }) {
  const device = newDevice();
  const socket = new RawClient(daemon.url);
  await socket.connect({ token: daemon.token, device, payloadVersion: "v2", min: 3, max: 3 });
  await socket.close();
  return device.deviceId;
}

runFlows("openclaw 2026.1.30", {
  async setup(c) {
    c.session = `agent:main:${nonce("session")}`;
    c.presence = nonce("presence");
    c.cli = await newCli("v3", {
      gateway: { mode: "remote", remote: { url: c.daemon.url, token: c.daemon.token } },
    });
    c.observer = new RawClient(c.daemon.url);
    await c.observer.connect({ token: c.daemon.token, min: 3, max: 3 });
    await c.observer.request("system-event", { text: c.presence, instanceId: c.presence });
    const run = c.observer.send("agent", { message: "hello", sessionKey: c.session, idempotencyKey: nonce("key") });
    await run.response(2);
  },
  teardown: (c) => c.cli?.remove(),
  flows: {
    "gateway call health": async (c) => {
      const health = await call(c, "health");
      assert.ok(
        health.sessions.recent.some((row) => row.key === c.session),
        "the session that this run's setup made",
      );
    },
    "gateway call status": async (c) => {
      assert.match(JSON.stringify(await call(c, "status")), new RegExp(c.session));
    },
    "gateway call system-presence": async (c) => {
      const rows = await call(c, "system-presence");
      assert.ok(rows.some((row) => row.text === c.presence));
    },
    "gateway call chat.history": async (c) => {
      const { messages } = await call(c, "chat.history", { sessionKey: c.session });
      assert.equal(messages.length, 2);
      assert.match(JSON.stringify(messages[1]), new RegExp(c.reply));
    },
    "gateway call node.list": async (c) => {
      const before = c.daemon.log.hellos.length;
      const list = await call(c, "node.list");
      assert.deepEqual(list.nodes, []);
      assert.equal(typeof list.ts, "number");
      const [hello] = c.daemon.log.hellos.slice(before);
      assert.equal(hello.protocol, 3, "it was this daemon that answered, in the client's own generation");
    },
    "gateway call agent --expect-final": async (c) => {
      const params = { message: "hello", agentId: "main", idempotencyKey: nonce("key") };
      const answer = await call(c, "agent", params, "--expect-final");
      assert.equal(answer.runId, params.idempotencyKey);
      assert.equal(answer.status, "ok");
      assert.match(JSON.stringify(answer.result), new RegExp(c.reply));
    },
    "nodes pending, approve and status, of a v3 node": async (c) => {
      const node = new RawClient(c.daemon.url);
      const device = newDevice();
      const commands = ["camera.snap", "canvas.present"];
      await node.connectNode({ token: c.daemon.token, device, displayName: nonce("node"), commands, payloadVersion: "v2", min: 3, max: 3 });
      try {
        const nodes = async (...args) => {
          const result = await c.cli.run(["nodes", ...args, "--json", "--url", c.daemon.url, "--token", c.daemon.token]);
          assert.equal(result.code, 0, result.stdout + result.stderr);
          return jsonOf(result.stdout);
        };
        const waiting = (await nodes("pending")).find((row) => row.nodeId === device.deviceId);
        assert.deepEqual(waiting.commands, commands);
        await nodes("approve", waiting.requestId);
        const row = (await nodes("status")).nodes.find((entry) => entry.nodeId === device.deviceId);
        assert.deepEqual([row.connected, row.commands], [true, commands]);
      } finally {
        await node.close();
      }
    },
    "cron add, list, run and rm": async (c) => {
      const cron = async (...args) => {
        const result = await c.cli.run(["cron", ...args, "--url", c.daemon.url, "--token", c.daemon.token]);
        assert.equal(result.code, 0, result.stdout + result.stderr);
        return result.stdout;
      };
      const name = nonce("job");
      const what = ["--at", "20m", "--session", "main", "--system-event", "the tea is ready", "--wake", "now"];
      const added = jsonOf(await cron("add", "--name", name, ...what, "--json"));
      assert.equal(added.schedule.kind, "at");
      assert.match(await cron("list"), new RegExp(added.id));
      assert.equal(jsonOf(await cron("run", added.id, "--force")).ok, true);
      await cron("rm", added.id, "--json");
      assert.doesNotMatch(await cron("list"), new RegExp(added.id));
    },
    "devices list": async (c) => {
      const deviceId = await (c.paired ??= pairDevice(c));
      const args = ["devices", "list", "--json", "--url", c.daemon.url, "--token", c.daemon.token];
      const result = await c.cli.run(args);
      assert.equal(result.code, 0, result.stdout + result.stderr);
      assert.ok(jsonOf(result.stdout).paired.some((device) => device.deviceId === deviceId));
    },
  },
});
