// The official client over TLS: it pins the certificate by the fingerprint that our command prints.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, it } from "node:test";
import { connect } from "./lib/client.mjs";
import { daemonBinary, startDaemon } from "./lib/daemon.mjs";

let daemon;
let fingerprint;
before(async () => {
  daemon = await startDaemon({ config: { gateway: { tls: { enabled: true } } } });
  fingerprint = execFileSync(daemonBinary(), ["gateway", "tls", "fingerprint"], {
    encoding: "utf8",
    env: { PATH: process.env.PATH, HOME: daemon.state.path, OPENCLAW_STATE_DIR: daemon.stateDir },
  }).trim();
});
after(() => daemon?.end());

/** Past the tap, which reads no TLS. */
const over = (pin) =>
  connect({ daemon }, { url: `wss://127.0.0.1:${daemon.gatewayPort}`, tlsFingerprint: pin });

it("connects when the fingerprint is the right one, and gets answers and events", async () => {
  const { client, hello, event } = await over(fingerprint);
  assert.equal(hello.protocol, 4);
  assert.equal((await client.request("health", {})).ok, true);
  await client.request("voicewake.set", { triggers: ["claw"] });
  assert.deepEqual((await event("voicewake.changed")).triggers, ["claw"]);
  client.stop();
});

it("refuses another certificate", async () => {
  await assert.rejects(over("ab".repeat(32)), /fingerprint mismatch/);
});
