// The official headless node host of the v4 generation as a node of the daemon: paired, approved, asked to look for
// programs and to run one, and here again after the daemon was restarted.
import assert from "node:assert/strict";
import { it } from "node:test";
import { jsonOf, newCli } from "./lib/cli.mjs";
import { nonce, startDaemon } from "./lib/daemon.mjs";
import { reportFrames } from "./lib/flows.mjs";
import { RawClient } from "./lib/raw.mjs";

const WANTED = ["system.run", "system.run.prepare", "system.which"];

/** Asks again until `found` gives something: a node joins when it likes. */
async function until(what, found, limitMs = 60_000) {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const value = await found();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function operator(daemon) {
  const socket = new RawClient(daemon.url);
  await socket.connect({ token: daemon.token });
  return socket;
}

const nodeRow = async (socket, displayName) =>
  (await socket.request("node.list", {})).nodes.find((row) => row.displayName === displayName);

const invoke = (socket, nodeId, command, params) =>
  socket.send("node.invoke", { nodeId, command, params, timeoutMs: 30_000, idempotencyKey: nonce("key") });

/** Runs a program on the node as an owner who says yes when asked; gives back what it wrote. */
async function run(owner, nodeId, argv) {
  const word = argv.at(-1);
  const asking = invoke(owner, nodeId, "system.run", { command: argv });
  const asked = await owner.event("exec.approval.requested", (p) => p.request.command.includes(word));
  assert.equal(asked.payload.request.nodeId, nodeId, "the approval names the node");
  assert.equal(asked.payload.request.host, "node");
  await owner.request("exec.approval.resolve", { id: asked.payload.id, decision: "allow-once" });
  const answer = await asking.response();
  assert.ok(answer.ok, JSON.stringify(answer.error));
  return answer.payload.payload;
}

it("the official node host pairs, is approved, runs programs, and comes back after a restart", { timeout: 240_000 }, async (t) => {
  const daemon = await startDaemon();
  const displayName = nonce("attic");
  const host = await newCli("v4");
  const args = ["node", "run", "--host", "127.0.0.1", "--port", String(daemon.port), "--display-name", displayName];
  const running = host.start(args, { env: { OPENCLAW_GATEWAY_TOKEN: daemon.token } });
  let again;
  try {
    let owner = await operator(daemon);
    const here = () => until("the node is connected", async () => {
      const row = await nodeRow(owner, displayName);
      return row?.connected && row;
    });
    const before = await here();
    assert.deepEqual(before.commands, [], "nothing is in effect before the approval");
    const refused = await invoke(owner, before.nodeId, "system.which", { bins: ["sh"] }).response();
    assert.equal(refused.ok, false);
    assert.match(refused.error.message, new RegExp(`openclaw nodes approve ${before.pendingRequestId}`));

    const cli = ["nodes", "approve", before.pendingRequestId, "--url", daemon.url, "--token", daemon.token];
    const approved = await host.run(cli);
    assert.equal(approved.code, 0, approved.stderr);
    assert.deepEqual(WANTED.filter((command) => !jsonOf(approved.stdout).node.commands.includes(command)), []);

    const which = await invoke(owner, before.nodeId, "system.which", { bins: ["sh", "no-such-program"] }).response();
    assert.ok(which.ok, JSON.stringify(which.error));
    assert.deepEqual(Object.keys(which.payload.payload.bins), ["sh"]);
    assert.equal(JSON.parse(which.payload.payloadJSON).bins.sh, which.payload.payload.bins.sh);

    const word = nonce("word");
    const ran = await run(owner, before.nodeId, ["/bin/echo", word]);
    assert.equal(ran.stdout.trim(), word, JSON.stringify(ran));
    assert.equal(ran.exitCode, 0);

    const state = daemon.state;
    await daemon.stop();
    again = await startDaemon({ state, log: daemon.log, port: daemon.gatewayPort, tap: daemon.tap });
    owner = await operator(again);
    const after = await here();
    assert.equal(after.nodeId, before.nodeId);
    assert.equal(after.approvalState, "approved");
    const second = nonce("word");
    assert.equal((await run(owner, after.nodeId, ["/bin/echo", second])).stdout.trim(), second);
    await owner.close();
    reportFrames(t, daemon.log);
  } catch (error) {
    error.message += `\nthe node said:\n${running.output().slice(-4000)}`;
    throw error;
  } finally {
    await running.stop();
    await again?.stop();
    await daemon.end();
    await host.remove();
  }
});
