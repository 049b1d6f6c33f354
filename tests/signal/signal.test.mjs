// Whole turns over Signal: the built daemon runs the released signal-cli, which speaks to Signal's own mock server.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { connect } from "../conformance/lib/client.mjs";
import { nonce, startDaemon, tempFolder } from "../conformance/lib/daemon.mjs";
import { eventually } from "../conformance/lib/eventually.mjs";
import { startModel } from "../conformance/lib/model.mjs";
import { makeSignalCli, startMock, unlink } from "./lib/mock.mjs";

describe("the real signal-cli, run by the gateway", () => {
  const word = nonce("word");
  let folder;
  let mock;
  let program;
  let bot;
  let alice;
  let device;
  let model;
  let daemon;
  let client;
  const data = () => path.join(folder.path, "data");
  const row = (what, holds, tries = 4) =>
    eventually(`Signal ${what}`, async () => {
      const status = await client.request("channels.status", { probe: false });
      const found = status.channelAccounts.signal[0];
      return holds(found) ? found : null;
    }).catch((error) => (tries > 1 ? row(what, holds, tries - 1) : Promise.reject(error)));
  const key = () => nonce("key");

  before(async () => {
    folder = await tempFolder("signal");
    mock = await startMock(folder.path);
    program = makeSignalCli({ folder: folder.path, java: process.env.OPENCLAW_TEST_JAVA, properties: mock.properties });
    bot = await mock.server.createPrimaryDevice({ profileName: "Bot" });
    alice = await mock.server.createPrimaryDevice({ profileName: "Alice", contacts: [bot] });
    model = await startModel(`It is **${word}**.`);
    daemon = await startDaemon({
      channels: true,
      config: {
        ...model.config(),
        channels: {
          signal: {
            account: bot.device.number,
            cliPath: program,
            configPath: data(),
            allowFrom: [`uuid:${alice.device.aci}`],
            sendReadReceipts: true,
          },
        },
      },
    });
    ({ client } = await connect({ daemon }));
  });
  after(async () => {
    client?.stop();
    await daemon?.end();
    await model?.stop();
    await folder?.remove();
    // The mock keeps connections of clients that are gone.
    setTimeout(() => process.exit(), 1_000).unref();
  });

  it("waits for its owner while no device is linked, and says how", async () => {
    const parked = await row("parked", (account) => account.state === "parked");
    assert.match(parked.lastError, /openclaw channels login signal/);
  });

  it("is linked by the picture that the gateway shows, and connects", async () => {
    const begun = await client.request("web.login.start", { timeoutMs: 20_000 });
    const picture = begun.qrText ?? (await client.request("web.login.wait", { timeoutMs: 20_000 })).qrText;
    assert.match(picture, /^sgnl:/);
    const phone = await mock.server.waitForProvision();
    void phone.complete({ provisionURL: picture, primaryDevice: bot });
    const end = await eventually("the end of the login", async () => {
      const now = await client.request("web.login.wait", { timeoutMs: 10_000 });
      return now.connected || now.failed ? now : null;
    });
    assert.equal(end.message, `linked as ${bot.device.number}`);
    device = bot.secondaryDevices[0];
    const linked = await row("connected", (account) => account.connected);
    assert.equal(linked.probe.bot.username, bot.device.number);
    assert.equal(linked.linked, true);
  });

  it("answers once, and an envelope that signal-cli cannot read stops nothing", async () => {
    await alice.addSingleUseKey(device, await device.popSingleUseKey());
    await alice.sendText(device, "which word?");
    const { body, dataMessage } = await alice.waitForMessage();
    assert.equal(body, `It is ${word}.`);
    assert.equal(dataMessage.bodyRanges[0].length, word.length);
    const { receiptMessage } = await alice.waitForReceipt();
    assert.ok(receiptMessage, "it is told that the message came");
    const account = await row("idle", (own) => own.waitingInbound === 0 && own.waitingOutbound === 0);
    assert.equal(account.connected, true);
    assert.equal(model.requests().length, 1);
  });

  it("reacts, and takes nobody for somebody", async () => {
    const target = `uuid:${alice.device.aci}`;
    const at = Date.now();
    await client.request("message.action", {
      channel: "signal",
      action: "react",
      params: { target, messageId: `${at}:${target}`, emoji: "🎉" },
      idempotencyKey: key(),
    });
    const { dataMessage } = await alice.waitForMessage();
    assert.equal(dataMessage.reaction.emoji, "🎉");
    assert.equal(Number(dataMessage.reaction.targetSentTimestamp), at);
    const nobody = client.request("send", { channel: "signal", to: "+15551239999", message: "hello", idempotencyKey: key() });
    await assert.rejects(nobody, /not on Signal/);
  });

  it("sends once what a limit held back", async () => {
    const pair = { source: bot.device.aci, target: alice.device.aci };
    mock.server.rateLimit(pair);
    const to = `uuid:${alice.device.aci}`;
    const sent = client.request("send", { channel: "signal", to, message: "later", idempotencyKey: key() });
    await row("waiting for its limit", (account) => account.waitingOutbound > 0);
    await eventually("the limit", () => mock.server.rateLimitCountByPair?.size > 0 || true);
    mock.server.stopRateLimiting(pair);
    await sent.catch(() => {});
    const { body } = await alice.waitForMessage();
    assert.equal(body, "later");
  });

  it("is started anew when it dies, and says so when its phone unlinks it", async () => {
    const running = () => {
      const all = execFileSync("ps", ["-eo", "pid,args"]).toString().split("\n");
      const own = all.filter((line) => line.includes(folder.path) && line.includes("org.asamk.signal.Main"));
      return own.map((line) => Number(line.trim().split(" ")[0]));
    };
    const [first] = running();
    process.kill(first, "SIGKILL");
    await row("connected again", (account) => account.connected && account.generation >= 3);
    assert.equal(running().length, 1);
    // Nothing is killed: that it gets nothing more is found within a minute or two.
    await unlink(mock, bot, device);
    const parked = await row("parked", (account) => account.state === "parked", 6);
    assert.match(parked.lastError, /openclaw channels login signal/);
    await eventually("the end of signal-cli", () => running().length === 0);
  });
});
