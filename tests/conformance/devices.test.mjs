// The official CLI as the owner of a gateway that approves nobody without asking, and official clients as devices.
import assert from "node:assert/strict";
import { GatewayClient } from "@openclaw/gateway-client";
import { jsonOf, newCli } from "./lib/cli.mjs";
import { nonce } from "./lib/daemon.mjs";
import { newDevice, rawPublicKey, signPayload } from "./lib/device.mjs";
import { runFlows } from "./lib/flows.mjs";
import { RawClient } from "./lib/raw.mjs";

const UI = { client: { id: "gateway-client", mode: "ui" }, scopes: ["operator.read"] };
const NODE = { client: { id: "node-host", mode: "node" }, role: "node", scopes: [] };

/** Runs a `devices` command of the official CLI as the owner; gives back its JSON. */
async function devices(c, ...args) {
  const at = ["--url", c.daemon.url, "--token", c.daemon.token];
  const result = await c.cli.run(["devices", ...args, "--json", ...at]);
  assert.equal(result.code, 0, `devices ${args.join(" ")} exited ${result.code}\n${result.stdout}\n${result.stderr}`);
  return jsonOf(result.stdout);
}

/** Connects a device; gives back the open socket and hello-ok. */
async function connect(c, device, as) {
  const socket = new RawClient(c.daemon.url);
  const hello = await socket.connect({ token: c.daemon.token, device, ...as });
  return { socket, hello };
}

/** A device that was told to wait; gives back its request's id. */
async function waiting(c, device, as = UI) {
  const error = await connect(c, device, as).then(
    () => assert.fail("nobody was asked"),
    (failure) => failure.error ?? Promise.reject(failure),
  );
  assert.equal(error.code, "NOT_PAIRED", JSON.stringify(error));
  return error.details.requestId;
}

/** A device that the official CLI approved, and its open socket. */
async function paired(c, as = UI) {
  const device = newDevice();
  await devices(c, "approve", await waiting(c, device, as));
  return { device, ...(await connect(c, device, as)) };
}

runFlows("devices of openclaw 2026.9.6", {
  config: { gateway: { nodes: { pairing: { autoApproveLocal: false } } } },
  async setup(c) {
    c.cli = await newCli("v4");
  },
  teardown: (c) => c.cli?.remove(),
  flows: {
    "devices list shows who waits": async (c) => {
      const device = newDevice();
      const requestId = await waiting(c, device);
      const { pending } = await devices(c, "list");
      const row = pending.find((entry) => entry.requestId === requestId);
      assert.equal(row?.deviceId, device.deviceId);
      assert.deepEqual(row.scopes, ["operator.read"]);
    },
    "devices approve lets an operator in, with what it asked for": async (c) => {
      const device = newDevice();
      const answer = await devices(c, "approve", await waiting(c, device));
      assert.match(JSON.stringify(answer), new RegExp(device.deviceId));
      const { socket, hello } = await connect(c, device, UI);
      assert.deepEqual(hello.auth.scopes, ["operator.read"]);
      assert.ok(hello.auth.deviceToken);
      await socket.close();
    },
    "devices approve lets a node in": async (c) => {
      const { socket, hello } = await paired(c, NODE);
      assert.equal(hello.auth.role, "node");
      await socket.close();
    },
    "devices reject ends a request, and the device may ask again": async (c) => {
      const device = newDevice();
      const requestId = await waiting(c, device);
      const answer = await devices(c, "reject", requestId);
      assert.match(JSON.stringify(answer), new RegExp(device.deviceId));
      const { pending } = await devices(c, "list");
      assert.ok(!pending.some((entry) => entry.deviceId === device.deviceId));
      assert.notEqual(await waiting(c, device), requestId);
    },
    "devices rename names a device": async (c) => {
      const { device, socket } = await paired(c);
      const label = nonce("label");
      await devices(c, "rename", "--device", device.deviceId, "--name", label);
      assert.match(JSON.stringify(await devices(c, "list")), new RegExp(label));
      await socket.close();
    },
    "devices rotate closes the device's connections and ends its tokens": async (c) => {
      const { device, socket, hello } = await paired(c);
      const answer = await devices(c, "rotate", "--device", device.deviceId, "--role", "operator");
      assert.equal(answer.deviceId, device.deviceId);
      assert.equal(answer.token, undefined, "another's token is not shown");
      assert.equal((await socket.closed).code, 4001);
      const old = new RawClient(c.daemon.url);
      const auth = { deviceToken: hello.auth.deviceToken };
      await assert.rejects(old.connect({ ...UI, auth, device }), ({ error }) => {
        assert.equal(error.details.code, "AUTH_DEVICE_TOKEN_MISMATCH");
        return true;
      });
    },
    "devices revoke ends a role until an owner gives it again": async (c) => {
      const { device, socket } = await paired(c);
      const answer = await devices(c, "revoke", "--device", device.deviceId, "--role", "operator");
      assert.equal(answer.deviceId, device.deviceId);
      assert.equal((await socket.closed).code, 4001);
      await devices(c, "approve", await waiting(c, device));
      const again = await connect(c, device, UI);
      await again.socket.close();
    },
    "devices remove forgets a device": async (c) => {
      const { device, socket } = await paired(c);
      await devices(c, "remove", device.deviceId);
      assert.equal((await socket.closed).code, 4001);
      const list = await devices(c, "list");
      assert.ok(!JSON.stringify(list.paired).includes(device.deviceId));
      await waiting(c, device);
    },
    "gateway-client waits with its device, is approved, and comes back with its token alone": async (c) => {
      const device = newDevice();
      const kept = [];
      const open = (credentials) =>
        new Promise((resolve, reject) => {
          const fail = (error) => {
            reject(error);
            client.stop();
          };
          const client = new GatewayClient({
            url: c.daemon.url,
            minProtocol: 4,
            maxProtocol: 4,
            clientName: "openclaw-macos",
            mode: "ui",
            scopes: ["operator.read"],
            deviceIdentity: device,
            hostDeps: {
              signDevicePayload: signPayload,
              publicKeyRawBase64UrlFromPem: rawPublicKey,
              loadDeviceAuthToken: () => kept.at(-1) ?? null,
              storeDeviceAuthToken: ({ token, scopes }) => kept.push({ token, scopes }),
              clearDeviceAuthToken: () => kept.splice(0),
            },
            onHelloOk: (hello) => {
              resolve(hello);
              client.stop();
            },
            onConnectError: fail,
            onClose: (code, reason) => fail(new Error(`closed ${code} ${reason}`)),
            ...credentials,
          });
          client.start();
        });
      let requestId;
      await assert.rejects(open({ token: c.daemon.token }), (error) => {
        assert.equal(error.details?.code, "PAIRING_REQUIRED", error.message);
        requestId = error.details.requestId;
        return true;
      });
      await devices(c, "approve", requestId);
      const first = await open({ token: c.daemon.token });
      assert.equal(kept.length, 1, "it was given a token to keep");
      const second = await open({});
      assert.deepEqual(second.auth.scopes, ["operator.read"]);
      for (const hello of [first, second]) {
        assert.ok(c.daemon.log.hellos.some((seen) => seen.server.connId === hello.server.connId));
      }
    },
  },
});
