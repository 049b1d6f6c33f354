// Whole turns over Discord: the platform is npm @openclaw/crabline behind a proxy that fails when it is told to.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { startDiscordServer } from "@openclaw/crabline";
import { connect } from "./lib/client.mjs";
import { nonce, startDaemon, tempFolder } from "./lib/daemon.mjs";
import { eventually } from "./lib/eventually.mjs";
import { startFaultProxy } from "./lib/fault-proxy.mjs";
import { reportFrames } from "./lib/flows.mjs";
import { startModel } from "./lib/model.mjs";

const ANN = "200000000000000001";
const BOB = "200000000000000002";
const DIRECT = "300000000000000001";
const OTHER_DIRECT = "300000000000000002";
const THREAD = "300000000000000003";

describe("Discord, as crabline serves it", () => {
  const word = nonce("word");
  const events = [];
  let folder;
  let platform;
  let proxy;
  let model;
  let daemon;
  let client;

  const calls = (method, match) =>
    events.filter((event) => event.type === "api" && event.method === method && match.test(event.path));
  const posts = (channel) =>
    calls("POST", new RegExp(`/channels/${channel}/messages$`)).map((event) => event.body);
  const frames = (op) => events.filter((event) => event.method === "WS" && event.body.op === op).map((event) => event.body.d);
  const arrived = (channel, count) =>
    eventually(`${count} messages in ${channel}`, () => (posts(channel).length >= count ? posts(channel) : null));
  const row = (holds) =>
    eventually("another state of Discord", async () => {
      const status = await client.request("channels.status", { probe: false });
      const found = status.channelAccounts.discord[0];
      return holds(found) ? found : null;
    });

  async function write(body) {
    const answer = await fetch(platform.manifest.endpoints.adminInboundUrl, {
      method: "POST",
      headers: { "content-type": "application/json", "x-crabline-admin-token": platform.manifest.adminToken },
      body: JSON.stringify(body),
    });
    assert.equal(answer.ok, true, await answer.text());
  }

  before(async () => {
    folder = await tempFolder("crabline");
    platform = await startDiscordServer({
      recorderPath: path.join(folder.path, "discord.jsonl"),
      heartbeatIntervalMs: 1_000,
      onEvent: (event) => events.push(event),
    });
    proxy = await startFaultProxy(platform.manifest.baseUrl);
    model = await startModel(`It is **${word}**, @everyone.\n\n\`\`\`sh\n${"echo hello\n".repeat(178)}\`\`\``);
    const { botToken, fixture } = platform.manifest;
    daemon = await startDaemon({
      channels: true,
      config: {
        ...model.config(),
        channels: {
          discord: {
            token: botToken,
            apiRoot: `${proxy.url}/api`,
            allowFrom: [ANN],
            guilds: { [fixture.guildId]: { users: [ANN] } },
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
    await proxy?.close();
    await platform?.close();
    await folder?.remove();
  });

  it("is connected", async () => {
    const found = await row((account) => account.connected);
    assert.equal(found.probe.bot.username, "crabline");
    assert.equal(proxy.live(), 1);
  });

  it("answers a direct message once, in pieces with their fences, calling nobody", async () => {
    await write({ channelId: DIRECT, senderId: ANN, senderName: "Ann", content: "which word?" });
    const pieces = await arrived(DIRECT, 2);
    assert.match(pieces[0].content, new RegExp(word));
    for (const piece of pieces) {
      assert.ok(piece.content.length <= 2000);
      assert.equal((piece.content.match(/```/g) ?? []).length % 2, 0, "fences are whole");
      assert.deepEqual(piece.allowed_mentions.parse, []);
    }
    assert.ok(calls("POST", /\/typing$/).length > 0);
  });

  it("listens in channels and threads to whom it may, when it is named", async () => {
    const { guildId, channelId } = platform.manifest.fixture;
    const me = `<@${platform.manifest.botUserId}>`;
    await write({ guildId, channelId, senderId: ANN, content: "nobody is meant" });
    await write({ guildId, channelId, senderId: BOB, content: `${me} may I?` });
    await write({ guildId, channelId, senderId: ANN, content: `${me} which word?` });
    const [answer] = await arrived(channelId, 2);
    assert.ok(answer.message_reference.message_id);
    await write({ guildId, channelId: THREAD, parentChannelId: channelId, senderId: ANN, content: `${me} and here?` });
    await arrived(THREAD, 2);
    const { sessions } = await client.request("sessions.list", {});
    const keys = sessions.map((session) => session.key);
    assert.ok(keys.includes(`agent:main:discord:channel:${channelId}`), keys.join());
    assert.ok(keys.includes(`agent:main:discord:channel:${channelId}:thread:${THREAD}`), keys.join());
    assert.equal(posts(channelId).length, 2, "only the one who is named in users");
  });

  it("asks a stranger to pair", async () => {
    await write({ channelId: OTHER_DIRECT, senderId: BOB, senderName: "Bob", content: "hello" });
    const [told] = await arrived(OTHER_DIRECT, 1);
    const { requests } = await client.request("channels.pairing.list", {});
    assert.equal(requests[0].senderId, BOB);
    assert.ok(told.content.includes(requests[0].metadata.code));
  });

  it("reacts, edits and deletes", async () => {
    const to = `channel:${DIRECT}`;
    const { messageId } = await client.request("send", { to, message: "first", channel: "discord", idempotencyKey: nonce("key") });
    const act = (action, params) =>
      client.request("message.action", {
        channel: "discord",
        action,
        params: { target: to, messageId, ...params },
        idempotencyKey: nonce("key"),
      });
    const own = `/channels/${DIRECT}/messages/${messageId}`;
    await act("edit", { message: "@everyone second" });
    const [edit] = calls("PATCH", new RegExp(`${own}$`));
    assert.equal(edit.body.content, "@everyone second");
    assert.deepEqual(edit.body.allowed_mentions.parse, []);
    await act("react", { emoji: "👍" });
    const emoji = encodeURIComponent("👍");
    assert.equal(calls("PUT", new RegExp(`${own}/reactions/${emoji}/@me$`)).length, 1);
    await act("react", { remove: true });
    assert.equal(calls("DELETE", new RegExp(`${own}/reactions/${emoji}/@me$`)).length, 1);
    await act("delete", {});
    assert.equal(calls("DELETE", new RegExp(`${own}$`)).length, 1);
    await assert.rejects(act("edit", { message: "third" }), /Unknown Message/);
    await assert.rejects(act("edit", { message: "third", messageId: "1/../2" }), /no message id/);
  });

  it("takes the session up again when it is asked to, and one that is lost anew", async () => {
    const before = await row((account) => account.connected);
    proxy.say({ op: 7, d: null });
    await row((account) => account.connected && account.generation > before.generation);
    // The platform notes a frame when it has acted on it already.
    await eventually("a session that is resumed", () => frames(6).length === 1);
    assert.equal(frames(2).length, 1, "and did not identify again");
    // A session that the gateway does not know any more.
    proxy.faults.up = (text) => text.replace(/("seq":)\d+/, "$11");
    proxy.hangUp(4000);
    await eventually("another session", () => frames(2).length === 2);
    proxy.faults.up = null;
    await row((account) => account.connected);
    const sent = posts(DIRECT).length;
    await write({ channelId: DIRECT, senderId: ANN, content: "still there?" });
    await arrived(DIRECT, sent + 2);
    assert.equal(proxy.live(), 1, "one connection");
  });

  it("leaves a gateway that does not acknowledge heartbeats", async () => {
    const before = await row((account) => account.connected);
    proxy.faults.down = (text) => (JSON.parse(text).op === 11 ? null : text);
    const after = await row((account) => account.generation > before.generation);
    proxy.faults.down = null;
    assert.match(after.lastError ?? "heartbeats", /heartbeat/);
    await row((account) => account.connected);
  });

  it("waits when it is told to, and never sends again what may have arrived", async () => {
    const sent = posts(DIRECT).length;
    let refused = 0;
    const isPost = ({ method, path: asked }) => method === "POST" && /\/messages$/.test(asked);
    proxy.faults.http = (request) => {
      if (!isPost(request) || refused > 0) return null;
      refused += 1;
      return { status: 429, body: { message: "You are being rate limited.", retry_after: 0.6, global: false } };
    };
    await write({ channelId: DIRECT, senderId: ANN, content: "again?" });
    await arrived(DIRECT, sent + 2);
    assert.equal(refused, 1);
    let cut = 0;
    proxy.faults.http = (request) => (isPost(request) && cut++ === 0 ? "cut" : null);
    await write({ channelId: DIRECT, senderId: ANN, content: "and again?" });
    const found = await row((account) => account.undelivered?.length > 0 && account.waitingOutbound === 0);
    proxy.faults.http = null;
    assert.equal(found.undelivered[0].state, "unknown");
    assert.equal(posts(DIRECT).length, sent + 4, "each piece once");
  });

  it("is parked where only a person can help, and says how", async () => {
    proxy.hangUp(4014, "Disallowed intent(s).");
    const found = await row((account) => account.state === "parked");
    assert.match(found.lastError, /Message Content Intent/);
    assert.equal(proxy.live(), 0);
    const opened = proxy.upgrades.length;
    await client.request("channels.start", { channel: "discord" });
    await row((account) => account.connected);
    assert.equal(proxy.upgrades.length, opened + 1);
    const refused = JSON.stringify(found);
    assert.ok(!refused.includes(platform.manifest.botToken));
  });

  it("every frame is as the official validators want it", (t) => reportFrames(t, daemon.log));
});

describe("Discord, with answers that grow", () => {
  const answer = `${nonce("word")} ${"and so on, ".repeat(40)}until the end.`;
  const events = [];
  const messages = (method) =>
    events.filter((event) => event.method === method && /\/messages(\/\d+)?$/.test(event.path)).map((event) => event.body.content);
  let folder;
  let platform;
  let model;
  let daemon;

  before(async () => {
    folder = await tempFolder("crabline");
    platform = await startDiscordServer({
      recorderPath: path.join(folder.path, "discord.jsonl"),
      onEvent: (event) => event.type === "api" && events.push(event),
    });
    model = await startModel(answer, { latency: 60 });
    const { botToken, baseUrl } = platform.manifest;
    daemon = await startDaemon({
      channels: true,
      config: {
        ...model.config(),
        channels: { discord: { token: botToken, apiRoot: `${baseUrl}/api`, allowFrom: [ANN], streaming: "partial" } },
      },
    });
    const { client } = await connect({ daemon });
    try {
      await eventually("a connection", async () => {
        const status = await client.request("channels.status", { probe: false });
        return status.channelAccounts.discord[0].connected;
      });
    } finally {
      client.stop();
    }
  });
  after(async () => {
    await daemon?.end();
    await model?.stop();
    await platform?.close();
    await folder?.remove();
  });

  it("shows one message that becomes the answer", async () => {
    const written = await fetch(platform.manifest.endpoints.adminInboundUrl, {
      method: "POST",
      headers: { "content-type": "application/json", "x-crabline-admin-token": platform.manifest.adminToken },
      body: JSON.stringify({ channelId: DIRECT, senderId: ANN, content: "which word?" }),
    });
    assert.equal(written.ok, true, await written.text());
    await eventually("the whole answer", () => messages("PATCH").at(-1) === answer);
    const [beginning, ...more] = messages("POST");
    assert.deepEqual(more, [], "one message");
    assert.ok(beginning.length < answer.length && answer.startsWith(beginning.slice(0, 40)), beginning);
  });
});
