// The official CLI of the v4 generation against the daemon.
import assert from "node:assert/strict";
import { jsonOf, newCli } from "./lib/cli.mjs";
import { nonce } from "./lib/daemon.mjs";
import { newDevice } from "./lib/device.mjs";
import { runFlows } from "./lib/flows.mjs";
import { RawClient } from "./lib/raw.mjs";

/** Runs a command and demands exit 0. */
async function ok(cli, args, options) {
  const result = await cli.run(args, options);
  assert.equal(result.code, 0, `openclaw ${args.join(" ")} exited ${result.code}\n${result.stdout}\n${result.stderr}`);
  return result;
}

const remoteArgs = ({ daemon }) => ["--url", daemon.url, "--token", daemon.token];

/** Pairs a new device by connecting with it, and gives back its id. */
async function pairDevice({ daemon }) {
  const device = newDevice();
  const socket = new RawClient(daemon.url);
  await socket.connect({ token: daemon.token, device });
  await socket.close();
  return device.deviceId;
}

/** Connects a node that offers these commands; it stays connected until the run of `work` is over. */
async function withNode({ daemon }, commands, work) {
  const node = new RawClient(daemon.url);
  const device = newDevice();
  const displayName = nonce("node");
  await node.connectNode({ token: daemon.token, device, displayName, commands });
  try {
    await work({ nodeId: device.deviceId, displayName });
  } finally {
    await node.close();
  }
}

const rowOf = (rows, nodeId) => rows.find((row) => row.nodeId === nodeId);

runFlows("openclaw 2026.9.6", {
  async setup(c) {
    c.session = `agent:main:${nonce("session")}`;
    c.presence = nonce("presence");
    // Finds the daemon by its own config: on this machine, at that port.
    c.local = await newCli("v4", {
      gateway: { mode: "local", port: c.daemon.port, auth: { mode: "token", token: c.daemon.token } },
    });
    // Is told where the daemon is: by config, as through a tunnel.
    c.remote = await newCli("v4", {
      gateway: { mode: "remote", remote: { url: c.daemon.url, token: c.daemon.token } },
    });
    // Knows nothing at all.
    c.blank = await newCli("v4");

    // What the commands will have to show: a session, a presence row, a paired device, a connection in the log.
    c.observer = new RawClient(c.daemon.url);
    await c.observer.connect({ token: c.daemon.token });
    await c.observer.request("system-event", { text: c.presence, instanceId: c.presence });
    const run = c.observer.send("agent", { message: "hello", sessionKey: c.session, idempotencyKey: nonce("key") });
    await run.response(2);
  },
  async teardown(c) {
    for (const cli of [c.local, c.remote, c.blank]) await cli?.remove();
  },
  flows: {
    "health, on the daemon's own host": async (c) => {
      const { stdout } = await ok(c.local, ["health", "--json", "--timeout", "5000"]);
      assertHealth(c, stdout);
    },
    "health, in remote mode": async (c) => {
      const { stdout } = await ok(c.remote, ["health", "--json"]);
      assertHealth(c, stdout);
    },
    "status, on the daemon's own host": async (c) => {
      const { stdout } = await ok(c.local, ["status", "--json", "--timeout", "5000"]);
      assertStatus(c, stdout);
    },
    "status, in remote mode": async (c) => {
      const { stdout } = await ok(c.remote, ["status", "--json"]);
      assertStatus(c, stdout);
    },
    "gateway call health": async (c) => {
      const { stdout } = await ok(c.blank, ["gateway", "call", "health", "--json", ...remoteArgs(c)]);
      assertHealth(c, stdout);
    },
    "gateway call system-presence": async (c) => {
      const { stdout } = await ok(c.blank, ["gateway", "call", "system-presence", "--json", ...remoteArgs(c)]);
      assert.ok(
        jsonOf(stdout).some((row) => row.text === c.presence),
        `a row has the text ${c.presence}`,
      );
    },
    "gateway call chat.history": async (c) => {
      const params = JSON.stringify({ sessionKey: c.session });
      const { stdout } = await ok(c.blank, ["gateway", "call", "chat.history", "--params", params, "--json", ...remoteArgs(c)]);
      const { messages } = jsonOf(stdout);
      assert.equal(messages.length, 2);
      assert.match(JSON.stringify(messages[1]), new RegExp(c.reply));
    },
    "gateway call with a wrong token is refused by name": async (c) => {
      const args = ["gateway", "call", "health", "--json", "--url", c.daemon.url, "--token", "wrong"];
      const result = await c.blank.run(args);
      assert.notEqual(result.code, 0);
      assert.match(result.stdout + result.stderr, /token mismatch|TOKEN_MISMATCH/i);
    },
    "gateway probe, with nothing degraded": async (c) => {
      const before = c.daemon.log.hellos.length;
      const { stdout } = await ok(c.blank, ["gateway", "probe", "--json", ...remoteArgs(c)]);
      const probe = jsonOf(stdout);
      assert.equal(probe.ok, true);
      assert.equal(probe.degraded, false, JSON.stringify(probe.warnings));
      const target = probe.targets.find((t) => t.url === c.daemon.url);
      const connIds = c.daemon.log.hellos.slice(before).map((hello) => hello.server.connId);
      assert.ok(connIds.includes(target.server.connId), "it names the connection that this daemon gave it");
    },
    "agent, on the daemon's own host": async (c) => {
      const { stdout } = await ok(c.local, ["agent", "--agent", "main", "--message", "hello", "--json"]);
      const answer = jsonOf(stdout);
      assert.equal(answer.status, "ok");
      assert.match(answer.result.payloads[0].text, new RegExp(c.reply));
    },
    "agent, in remote mode, as text": async (c) => {
      const { stdout } = await ok(c.remote, ["agent", "--agent", "main", "--message", "hello"]);
      assert.match(stdout, new RegExp(c.reply));
    },
    "logs, with the client's own folder empty": async (c) => {
      const deviceId = await (c.paired ??= pairDevice(c));
      const { stdout } = await ok(c.blank, ["logs", "--plain", "--limit", "500", ...remoteArgs(c)]);
      assert.match(stdout, new RegExp(deviceId), "a line names the device that was paired a moment ago");
    },
    "devices list": async (c) => {
      const deviceId = await (c.paired ??= pairDevice(c));
      const { stdout } = await ok(c.blank, ["devices", "list", "--json", ...remoteArgs(c)]);
      assert.ok(
        jsonOf(stdout).paired.some((device) => device.deviceId === deviceId),
        "the device that was paired a moment ago is listed",
      );
    },
    "nodes pending, approve, status and describe": async (c) => {
      const offered = ["canvas.present", "system.run"];
      await withNode(c, offered, async ({ nodeId, displayName }) => {
        const pending = await ok(c.blank, ["nodes", "pending", "--json", ...remoteArgs(c)]);
        const waiting = rowOf(jsonOf(pending.stdout), nodeId);
        assert.deepEqual(waiting.commands, offered);
        assert.deepEqual(waiting.requiredApproveScopes, ["operator.pairing", "operator.admin"]);
        const status = async () => {
          const { stdout } = await ok(c.blank, ["nodes", "status", "--json", ...remoteArgs(c)]);
          return rowOf(jsonOf(stdout).nodes, nodeId);
        };
        const before = await status();
        assert.deepEqual([before.connected, before.commands], [true, []]);
        assert.equal(before.approvalState, "pending-approval");
        const approved = await ok(c.blank, ["nodes", "approve", waiting.requestId, ...remoteArgs(c)]);
        assert.deepEqual(jsonOf(approved.stdout).node.commands, offered);
        const after = await status();
        assert.deepEqual([after.connected, after.commands], [true, offered]);
        assert.equal(after.connectedAtMs, before.connectedAtMs, "on the same connection");
        const args = ["nodes", "describe", "--node", displayName, "--json", ...remoteArgs(c)];
        const described = jsonOf((await ok(c.blank, args)).stdout);
        assert.equal(described.nodeId, nodeId);
        assert.equal(described.approvalState, "approved");
      });
    },
    "nodes list, reject, rename and remove": async (c) => {
      await withNode(c, ["canvas.present"], async ({ nodeId, displayName }) => {
        const list = async () => jsonOf((await ok(c.blank, ["nodes", "list", "--json", ...remoteArgs(c)])).stdout);
        const waiting = rowOf((await list()).pending, nodeId);
        await ok(c.blank, ["nodes", "reject", waiting.requestId, ...remoteArgs(c)]);
        const name = nonce("name");
        await ok(c.blank, ["nodes", "rename", "--node", displayName, "--name", name, ...remoteArgs(c)]);
        const after = await list();
        assert.equal(rowOf(after.pending, nodeId), undefined);
        assert.equal(rowOf(after.paired, nodeId).displayName, name);
        await ok(c.blank, ["nodes", "remove", "--node", name, ...remoteArgs(c)]);
        assert.equal(rowOf((await list()).paired, nodeId), undefined);
      });
    },
    "cron add, list, run, runs, status and rm": async (c) => {
      const cron = async (...args) => jsonOf((await ok(c.blank, ["cron", ...args, "--json", ...remoteArgs(c)])).stdout);
      const name = nonce("job");
      const schedule = ["--cron", "0 9 * * 1-5", "--tz", "Europe/Zurich"];
      const added = await cron("add", "--name", name, ...schedule, "--session", "isolated", "--message", "go");
      assert.equal(added.name, name);
      const listed = (await cron("list")).jobs.find((job) => job.id === added.id);
      assert.deepEqual(
        [listed.schedule.expr, listed.schedule.tz, listed.payload.message],
        ["0 9 * * 1-5", "Europe/Zurich", "go"],
      );
      const wait = ["--wait", "--wait-timeout", "60s", "--poll-interval", "500ms"];
      const { stdout } = await ok(c.blank, ["cron", "run", added.id, ...wait, ...remoteArgs(c)]);
      const ran = jsonOf(stdout);
      assert.equal(ran.status, "ok");
      assert.match(ran.run.summary, new RegExp(c.reply));
      const runs = jsonOf((await ok(c.blank, ["cron", "runs", "--id", added.id, ...remoteArgs(c)])).stdout);
      assert.deepEqual(
        runs.entries.map((run) => run.runId),
        [ran.runId],
      );
      assert.equal((await cron("status")).jobs, 1);
      await cron("rm", added.id);
      assert.equal((await cron("status")).jobs, 0);
    },
    "system event": async (c) => {
      const text = nonce("bell");
      await ok(c.blank, ["system", "event", "--text", text, "--mode", "now", "--json", ...remoteArgs(c)]);
    },
    dashboard: async (c) => {
      const before = c.daemon.log.errors.length;
      const { stdout } = await ok(c.local, ["dashboard", "--no-open", "--json"]);
      const answer = jsonOf(stdout);
      assert.notEqual(answer.ok, false, stdout);
      assert.match(stdout, new RegExp(`:${c.daemon.port}/`), "it prints this daemon's address");
      assert.ok(
        c.daemon.log.errors.slice(before).some(({ error }) => error.details?.code === "DEVICE_IDENTITY_REQUIRED"),
        "it asked this daemon, which wanted a device",
      );
    },
  },
});

// The session that this run's setup made is among its recent ones.
function assertHealth(c, stdout) {
  const health = jsonOf(stdout);
  assert.equal(health.ok, true);
  assert.ok(
    health.sessions.recent.some((row) => row.key === c.session),
    JSON.stringify(health.sessions),
  );
}

function assertStatus(c, stdout) {
  jsonOf(stdout);
  assert.match(stdout, new RegExp(c.session), "it shows a session that only this daemon has");
}
