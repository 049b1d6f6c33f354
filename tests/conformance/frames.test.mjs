// The checker itself: what is right passes, and each kind of wrong is found.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { it } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { FrameLog } from "./lib/frames.mjs";
import { startTap } from "./lib/tap.mjs";

const hello = {
  type: "hello-ok",
  protocol: 4,
  server: { version: "1", connId: "c" },
  features: { methods: ["health"], events: ["tick"] },
  snapshot: { presence: [], health: {}, stateVersion: { presence: 1, health: 1 }, uptimeMs: 1 },
  auth: { role: "operator", scopes: [] },
  policy: { maxPayload: 1, maxBufferedBytes: 1, tickIntervalMs: 1 },
};
const connect = {
  minProtocol: 4,
  maxProtocol: 4,
  client: { id: "cli", version: "1", platform: "linux", mode: "cli" },
};

/** A connected v4 socket on which `more` frames then cross: [from, frame]. */
function violations(...more) {
  const log = new FrameLog();
  const connection = log.connection("test");
  const frames = [
    ["gateway", { type: "event", event: "connect.challenge", payload: { nonce: "n", ts: 1 } }],
    ["client", { type: "req", id: "1", method: "connect", params: connect }],
    ["gateway", { type: "res", id: "1", ok: true, payload: hello }],
    ...more,
  ];
  for (const [from, frame] of frames) {
    if (from === "client") connection.fromClient(JSON.stringify(frame));
    else connection.fromGateway(JSON.stringify(frame));
  }
  return log.violations;
}

const request = (id, method, params) => ["client", { type: "req", id, method, params }];
const response = (id, payload) => ["gateway", { type: "res", id, ok: true, payload }];
const event = (name, payload, rest) => ["gateway", { type: "event", event: name, payload, ...rest }];

it("a right conversation has no violation", () => {
  assert.deepEqual(
    violations(
      request("2", "agents.list", {}),
      response("2", { defaultId: "main", mainKey: "main", scope: "per-sender", agents: [{ id: "main" }] }),
      request("3", "agent", { message: "x", idempotencyKey: "k" }),
      response("3", { runId: "k", status: "accepted" }),
      event("agent", { runId: "k", seq: 1, stream: "lifecycle", ts: 1, data: {}, sessionKey: "s" }, { seq: 1 }),
      event("tick", { ts: 1 }, { seq: 2 }),
      event("presence", { presence: [{ ts: 1 }] }, { seq: 3, stateVersion: { presence: 2, health: 1 } }),
      response("3", { runId: "k", status: "ok" }),
    ),
    [],
  );
});

const wrong = {
  "an event with a key that closed schemas reject": [event("tick", { ts: 1 }, { seq: 1, extra: 1 })],
  "an event payload that is not as the schema wants it": [event("tick", { ts: "now" }, { seq: 1 })],
  "an event that no list knows": [event("surprise", {}, { seq: 1 })],
  "a gap in seq": [event("tick", { ts: 1 }, { seq: 2 })],
  "a stateVersion that goes back": [
    event("presence", { presence: [] }, { seq: 1, stateVersion: { presence: 0, health: 1 } }),
  ],
  "a stateVersion on an event that has none": [event("tick", { ts: 1 }, { seq: 1, stateVersion: { presence: 1, health: 1 } })],
  "a presence event without its stateVersion": [event("presence", { presence: [] }, { seq: 1 })],
  "a result that is not as the schema wants it": [request("2", "models.list", {}), response("2", { models: [{}] })],
  "a result of a method that no list knows": [request("2", "surprise", {}), response("2", {})],
  "params accepted that the validators refuse": [request("2", "chat.send", { sessionKey: "s" }), response("2", {})],
  "a second final response": [request("2", "status", {}), response("2", {}), response("2", {})],
  "a failure without an error": [request("2", "status", {}), ["gateway", { type: "res", id: "2", ok: false }]],
};
for (const [name, frames] of Object.entries(wrong)) {
  it(`${name} is found`, () => assert.notEqual(violations(...frames).length, 0));
}

it("the tap passes every byte and sees every text, long and fragmented ones too", async () => {
  const server = createServer((_, answer) => answer.end("plain"));
  const echo = new WebSocketServer({ server });
  echo.on("connection", (socket) => socket.on("message", (data) => socket.send(data.toString())));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const seen = { client: [], gateway: [] };
  const recorder = {
    connection: () => ({
      fromClient: (text) => seen.client.push(text),
      fromGateway: (text) => seen.gateway.push(text),
    }),
  };
  const tap = await startTap(server.address().port, recorder);

  assert.equal(await (await fetch(`http://127.0.0.1:${tap.port}/`)).text(), "plain");
  const socket = new WebSocket(`ws://127.0.0.1:${tap.port}`);
  await new Promise((resolve) => socket.on("open", resolve));
  const texts = ["short", "é".repeat(40_000), "x".repeat(70_000), "two parts"];
  const echoed = [];
  const all = new Promise((resolve) =>
    socket.on("message", (data) => echoed.push(data.toString()) === texts.length && resolve()),
  );
  for (const text of texts.slice(0, 3)) socket.send(text);
  socket.send("two ", { fin: false });
  socket.send("parts", { fin: true });
  await all;
  assert.deepEqual(echoed, texts);
  assert.deepEqual(seen, { client: texts, gateway: texts });
  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.close(4000);
  assert.equal(await closed, 4000);
  await tap.close();
  echo.close();
  server.close();
});
