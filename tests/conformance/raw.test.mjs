// Raw sockets: the v3 generation's frames, and the handshake as both generations see it.
import assert from "node:assert/strict";
import { nonce } from "./lib/daemon.mjs";
import { newDevice } from "./lib/device.mjs";
import { runFlows } from "./lib/flows.mjs";
import { RawClient } from "./lib/raw.mjs";

const V3 = { min: 3, max: 3, payloadVersion: "v2" };

async function withSocket(c, run) {
  const socket = new RawClient(c.daemon.url);
  try {
    return await run(socket);
  } finally {
    socket.socket.terminate();
  }
}

const textOf = (message) => message.content.map((part) => part.text ?? "").join("");

runFlows("raw sockets", {
  flows: {
    "v3: the handshake, with and without a device, has the shape of its generation": (c) =>
      withSocket(c, async (socket) => {
        const hello = await socket.connect({ ...V3, token: c.daemon.token, device: newDevice() });
        assert.equal(hello.protocol, 3);
        assert.deepEqual(Object.keys(hello.server).sort().filter((key) => !["commit", "host"].includes(key)), ["connId", "version"]);
        const known = ["type", "protocol", "server", "features", "snapshot", "canvasHostUrl", "auth", "policy"];
        assert.deepEqual(Object.keys(hello).filter((key) => !known.includes(key)), []);
        assert.ok(hello.auth.deviceToken, "a device is given its token");
        await withSocket(c, async (other) => {
          const plain = await other.connect({ ...V3, token: c.daemon.token });
          assert.equal(plain.protocol, 3);
          assert.equal(plain.auth, undefined, "in v3, auth is there only with a device token");
          assert.notEqual(plain.server.connId, hello.server.connId);
        });
      }),
    "v3: a local device without a nonce signs payload v1": (c) =>
      withSocket(c, async (socket) => {
        const hello = await socket.connect({ ...V3, payloadVersion: "v1", token: c.daemon.token, device: newDevice() });
        assert.equal(hello.protocol, 3);
        assert.ok(hello.server.connId);
      }),
    "v3: chat.send streams cumulative texts under the key that the client wrote": (c) =>
      withSocket(c, async (socket) => {
        await socket.connect({ ...V3, token: c.daemon.token, device: newDevice() });
        const key = nonce("key");
        const ack = await socket.request("chat.send", { sessionKey: "main", message: "hello", idempotencyKey: key });
        assert.deepEqual([ack.runId, ack.status], [key, "started"]);
        const final = (await socket.event("chat", (p) => p.runId === key && p.state === "final")).payload;
        assert.equal(final.sessionKey, "main");
        assert.match(textOf(final.message), new RegExp(c.reply));
        const deltas = socket.frames.filter((f) => f.event === "chat" && f.payload.runId === key && f.payload.state === "delta");
        let text = "";
        for (const { payload } of deltas) {
          assert.ok(textOf(payload.message).startsWith(text), "each text begins with the one before");
          text = textOf(payload.message);
          assert.equal(payload.deltaText, undefined, "v3 has no deltaText");
        }
        assert.ok(textOf(final.message).startsWith(text));
      }),
    "v3: agent answers twice on one id, and its events carry the run": (c) =>
      withSocket(c, async (socket) => {
        await socket.connect({ ...V3, token: c.daemon.token });
        const key = nonce("key");
        const run = socket.send("agent", { message: "hello", sessionKey: "main", idempotencyKey: key });
        const accepted = await run.response(1);
        assert.deepEqual([accepted.payload.runId, accepted.payload.status], [key, "accepted"]);
        const final = await run.response(2);
        assert.deepEqual([final.payload.runId, final.payload.status], [key, "ok"]);
        assert.match(final.payload.result.payloads[0].text, new RegExp(c.reply));
        const order = socket.frames.filter((f) => f.id === run.id || (f.event === "agent" && f.payload.runId === key));
        assert.equal(order[0], accepted, "no event of the run before its acknowledgement");
        assert.equal(order.at(-1), final, "no event of the run after its final response");
        assert.ok(order.length > 4, "and some between");
      }),
    "v3: a missing scope is INVALID_REQUEST without details": (c) =>
      withSocket(c, async (socket) => {
        await socket.connect({ ...V3, token: c.daemon.token, device: newDevice(), scopes: ["operator.read"] });
        const answer = await socket.send("chat.send", { sessionKey: "main", message: "x", idempotencyKey: nonce("key") }).response();
        assert.equal(answer.ok, false);
        assert.deepEqual([answer.error.code, answer.error.message], ["INVALID_REQUEST", "missing scope: operator.write"]);
        assert.equal(answer.error.details, undefined);
      }),
    "v4: a missing scope is FORBIDDEN and says which": (c) =>
      withSocket(c, async (socket) => {
        await socket.connect({ token: c.daemon.token, device: newDevice(), scopes: ["operator.read"] });
        const answer = await socket.send("chat.send", { sessionKey: "main", message: "x", idempotencyKey: nonce("key") }).response();
        assert.deepEqual([answer.error.code, answer.error.message], ["FORBIDDEN", "missing scope: operator.write"]);
        assert.equal(answer.error.details.code, "MISSING_SCOPE");
        assert.equal(answer.error.details.missingScope, "operator.write");
      }),
    "a client that speaks both generations gets v4; one that speaks neither is told what is expected": async (c) => {
      await withSocket(c, async (socket) => {
        assert.equal((await socket.connect({ min: 3, max: 4, token: c.daemon.token })).protocol, 4);
      });
      await withSocket(c, async (socket) => {
        await assert.rejects(socket.connect({ min: 5, max: 6, token: c.daemon.token }), ({ error }) => {
          assert.equal(error.code, "INVALID_REQUEST");
          assert.equal(error.details.code, "PROTOCOL_MISMATCH");
          assert.equal(error.details.expectedProtocol, 4);
          return true;
        });
        assert.deepEqual(await socket.closed, { code: 1002, reason: "protocol mismatch" });
      });
    },
    "a first frame that is not connect closes the socket": async (c) => {
      await withSocket(c, async (socket) => {
        await socket.event("connect.challenge");
        const answer = await socket.send("health", {}).response();
        assert.equal(answer.error.message, "invalid handshake: first request must be connect");
        assert.equal((await socket.closed).code, 1008);
      });
      await withSocket(c, async (socket) => {
        await socket.event("connect.challenge");
        socket.socket.send("hello");
        const { code, reason } = await socket.closed;
        assert.equal(code, 1008);
        assert.notEqual(reason, "");
      });
    },
    "a wrong token closes the socket, a device that signs for another nonce too": async (c) => {
      await withSocket(c, async (socket) => {
        await assert.rejects(socket.connect({ token: "wrong" }), ({ error }) => error.details.code === "AUTH_TOKEN_MISMATCH");
        assert.equal((await socket.closed).code, 1008);
      });
      await withSocket(c, async (socket) => {
        const challenge = (await socket.event("connect.challenge")).payload;
        // The signature is right, for a challenge that this socket never sent.
        const stale = { ...challenge, nonce: nonce("nonce") };
        socket.event = async () => ({ payload: stale });
        await assert.rejects(socket.connect({ token: c.daemon.token, device: newDevice() }), ({ error }) => {
          assert.equal(error.details.code, "DEVICE_AUTH_NONCE_MISMATCH");
          return true;
        });
        assert.equal((await socket.closed).code, 1008);
      });
    },
    "an unknown method is refused by name and the socket stays": (c) =>
      withSocket(c, async (socket) => {
        await socket.connect({ token: c.daemon.token });
        const method = nonce("method");
        const answer = await socket.send(method, {}).response();
        assert.deepEqual([answer.error.code, answer.error.message], ["INVALID_REQUEST", `unknown method: ${method}`]);
        assert.equal((await socket.request("health", {})).ok, true);
      }),
    "every method that hello-ok lists is there": (c) =>
      withSocket(c, async (socket) => {
        const hello = await socket.connect({ token: c.daemon.token });
        for (const method of hello.features.methods) {
          const answer = await socket.send(method, {}).response();
          assert.ok(answer.ok || !/unknown method/.test(answer.error.message), method);
        }
        assert.ok(hello.features.methods.length >= 30, `${hello.features.methods.length} methods`);
      }),
  },
});
