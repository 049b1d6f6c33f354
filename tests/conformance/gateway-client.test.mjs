// @openclaw/gateway-client against the daemon, without and with a device identity.
import assert from "node:assert/strict";
import { connect } from "./lib/client.mjs";
import { nonce } from "./lib/daemon.mjs";
import { newDevice, rawPublicKey, signPayload } from "./lib/device.mjs";
import { runFlows } from "./lib/flows.mjs";

async function withClient(c, options, run) {
  const connected = await connect(c, options);
  try {
    await run(connected);
  } finally {
    connected.client.stop();
  }
}

/** What the host of a device-holding client supplies. */
function deviceHost(device, tokens) {
  return {
    deviceIdentity: device,
    hostDeps: {
      signDevicePayload: signPayload,
      publicKeyRawBase64UrlFromPem: rawPublicKey,
      loadDeviceAuthToken: () => tokens.at(-1) ?? null,
      storeDeviceAuthToken: ({ token, scopes }) => tokens.push({ token, scopes }),
      clearDeviceAuthToken: () => tokens.splice(0),
    },
  };
}

const textOf = (message) => message.content.map((part) => part.text ?? "").join("");

/** The calls of an ordinary client, each with what only this daemon can answer. */
async function conversation(c, { client, hello, event }) {
  const session = `agent:main:${nonce("session")}`;
  const question = nonce("question");
  assert.equal(hello.protocol, 4);
  assert.ok(c.daemon.log.hellos.some((seen) => seen.server.connId === hello.server.connId));

  await client.request("sessions.subscribe", {});
  await client.request("sessions.messages.subscribe", { key: session });
  const key = nonce("key");
  const ack = await client.request("chat.send", { sessionKey: session, message: question, idempotencyKey: key });
  assert.equal(ack.runId, key);
  assert.equal(ack.status, "started");
  await event("chat", (p) => p.runId === key && p.state === "delta");
  const final = await event("chat", (p) => p.runId === key && p.state === "final");
  assert.match(textOf(final.message), new RegExp(c.reply));
  await event("agent", (p) => p.runId === key && p.stream === "lifecycle" && p.data.phase === "end");
  await event("sessions.changed", (p) => p.sessionKey === session);
  await event("session.message", (p) => p.sessionKey === session && p.message.role === "assistant");

  const history = await client.request("chat.history", { sessionKey: session });
  assert.deepEqual(
    history.messages.map((m) => m.role),
    ["user", "assistant"],
  );
  assert.match(JSON.stringify(history.messages[0]), new RegExp(question));
  assert.match(textOf(history.messages[1]), new RegExp(c.reply));

  // The same key again is the same run: nothing is asked of the model a second time.
  const asked = c.model.requests().length;
  const again = await client.request("chat.send", { sessionKey: session, message: question, idempotencyKey: key });
  assert.equal(again.runId, key);
  assert.equal(c.model.requests().length, asked);
  await assert.rejects(
    client.request("chat.send", { sessionKey: session, message: "another text", idempotencyKey: key }),
    /already used/,
  );

  const agentKey = nonce("key");
  const answer = await client.request(
    "agent",
    { message: "hello", sessionKey: session, idempotencyKey: agentKey },
    { expectFinal: true },
  );
  assert.equal(answer.runId, agentKey);
  assert.equal(answer.status, "ok");
  assert.match(answer.result.payloads[0].text, new RegExp(c.reply));
  const waited = await client.request("agent.wait", { runId: agentKey, timeoutMs: 5000 });
  assert.equal(waited.status, "ok");

  const list = await client.request("sessions.list", {});
  assert.ok(list.sessions.some((row) => row.key === session));
  assert.equal((await client.request("sessions.describe", { key: session })).session.key, session);
  assert.equal((await client.request("sessions.resolve", { key: session })).key, session);
  assert.equal((await client.request("chat.startup", { sessionKey: session })).messages.length, 4);
  await client.request("chat.metadata", { sessionKey: session });
  await client.request("chat.abort", { sessionKey: session });
}

/** A message put into a WebChat session from outside, once per key. */
async function delivery(c, { client, event }) {
  const session = `agent:main:${nonce("session")}`;
  const message = nonce("message");
  await client.request("sessions.messages.subscribe", { key: session });
  const params = { channel: "webchat", to: session, message, idempotencyKey: nonce("key") };
  const sent = await client.request("send", params);
  assert.equal(sent.runId, params.idempotencyKey);
  await event("session.message", (p) => p.sessionKey === session && JSON.stringify(p.message).includes(message));
  assert.deepEqual(await client.request("send", params), sent, "the same key again is the same delivery");
  const { messages } = await client.request("chat.history", { sessionKey: session });
  assert.equal(messages.filter((m) => JSON.stringify(m).includes(message)).length, 1);
  await assert.rejects(
    client.request("send", { ...params, channel: "pigeon", idempotencyKey: nonce("key") }),
    /unsupported channel: pigeon/,
  );
}

/** The reads, and the one write that shows in presence. */
async function reads(c, { client, event }) {
  const row = nonce("presence");
  await client.request("system-event", { text: row, instanceId: row });
  await event("presence", (p) => p.presence.some((entry) => entry.text === row));
  assert.ok((await client.request("system-presence", {})).some((entry) => entry.text === row));

  assert.equal((await client.request("health", {})).ok, true);
  await client.request("status", {});
  await client.request("last-heartbeat", {});
  const identity = await client.request("gateway.identity.get", {});
  assert.match(identity.deviceId, /^[0-9a-f]{64}$/);
  const agents = await client.request("agents.list", {});
  assert.ok(agents.agents.some((agent) => agent.id === agents.defaultId && agent.model));
  assert.equal((await client.request("agent.identity.get", {})).agentId, agents.defaultId);
  const { models } = await client.request("models.list", {});
  assert.ok(models.some((model) => model.id === "mock-model" && model.provider === "mock"));
  const config = JSON.stringify(await client.request("config.get", {}));
  assert.ok(config.includes("mock-model"), "the config that this daemon was started with");
  assert.ok(!config.includes(c.daemon.token) && !config.includes("mock-key"), "no secret in it");
  await client.request("channels.status", {});
  assert.deepEqual((await client.request("node.list", {})).nodes, []);
  assert.ok((await client.request("logs.tail", { limit: 50 })).lines.length > 0);
  await client.request("device.pair.list", {});
  await assert.rejects(client.request("device.pair.approve", { requestId: nonce("request") }));
  await assert.rejects(client.request("device.pair.reject", { requestId: nonce("request") }));
  await assert.rejects(client.request(nonce("method"), {}), /unknown method/);
}

runFlows("@openclaw/gateway-client 2026.9.1", {
  flows: {
    "a conversation, without a device": (c) => withClient(c, {}, (connected) => conversation(c, connected)),
    "reads, without a device": (c) => withClient(c, {}, (connected) => reads(c, connected)),
    "a delivery into a session, without a device": (c) => withClient(c, {}, (connected) => delivery(c, connected)),
    "a conversation, with a device": (c) =>
      withClient(c, deviceHost(newDevice(), []), (connected) => conversation(c, connected)),
    "a device is paired, listed, and comes back with its token alone": async (c) => {
      const device = newDevice();
      const tokens = [];
      const host = { ...deviceHost(device, tokens), clientName: "openclaw-macos", mode: "ui" };
      await withClient(c, host, async ({ client, hello }) => {
        assert.equal(hello.auth.role, "operator");
        assert.ok(hello.auth.deviceToken, "hello-ok brings a device token");
        const { paired } = await client.request("device.pair.list", {});
        assert.ok(paired.some((entry) => entry.deviceId === device.deviceId));
      });
      assert.equal(tokens.length, 1, "the client was given a token to keep");
      await withClient(c, { ...host, token: undefined }, async ({ client, hello }) => {
        assert.deepEqual(hello.auth.scopes, ["operator.admin"]);
        await client.request("health", {});
      });
    },
    "a node is connected, and its commands are in effect once an owner approved them": async (c) => {
      const device = newDevice();
      const commands = ["camera.snap", "canvas.present"];
      const host = {
        ...deviceHost(device, []),
        clientName: "node-host",
        mode: "node",
        role: "node",
        scopes: [],
        caps: ["camera", "canvas"],
        commands,
        permissions: { camera: true },
        pathEnv: "/usr/bin",
      };
      await withClient(c, {}, async ({ client: owner, event }) => {
        await withClient(c, host, async ({ client: node, hello }) => {
          assert.equal(hello.auth.role, "node");
          const asked = await event("node.pair.requested", (p) => p.nodeId === device.deviceId);
          assert.deepEqual(asked.commands, commands);
          const row = async () => owner.request("node.describe", { nodeId: device.deviceId });
          assert.deepEqual((await row()).commands, []);
          const done = await owner.request("node.pair.approve", { requestId: asked.requestId });
          assert.deepEqual(done.node.commands, commands);
          await event("node.pair.resolved", (p) => p.requestId === asked.requestId && p.decision === "approved");
          const after = await row();
          assert.deepEqual(after.commands, commands);
          assert.deepEqual(after.caps, ["camera", "canvas"]);
          assert.equal(after.pathEnv, "/usr/bin");
          await assert.rejects(node.request("node.pair.list", {}), /unauthorized role/);
          const { paired } = await owner.request("node.pair.list", {});
          assert.ok(paired.some((entry) => entry.nodeId === device.deviceId));
          await owner.request("node.rename", { nodeId: device.deviceId, displayName: "attic" });
        });
        await owner.request("node.pair.remove", { nodeId: device.deviceId });
        await assert.rejects(owner.request("node.describe", { nodeId: device.deviceId }), /unknown nodeId/);
        await assert.rejects(owner.request("node.pair.reject", { requestId: nonce("request") }), /unknown requestId/);
      });
    },
    "a wrong token is refused with the code that clients read": async (c) => {
      await assert.rejects(connect(c, { token: "wrong" }), (error) => {
        assert.equal(error.details?.code, "AUTH_TOKEN_MISMATCH", error.message);
        return true;
      });
    },
  },
});
