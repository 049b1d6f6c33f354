// Whole turns over Slack: the Web API and the Events API are npm @openclaw/crabline; Socket Mode, which it has not, is
// our own, and is proven first by Slack's client.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { startSlackServer } from "@openclaw/crabline";
import { SocketModeClient } from "@slack/socket-mode";
import { WebClient } from "@slack/web-api";
import { connect } from "./lib/client.mjs";
import { freePort, nonce, startDaemon, tempFolder } from "./lib/daemon.mjs";
import { eventually } from "./lib/eventually.mjs";
import { reportFrames } from "./lib/flows.mjs";
import { startModel } from "./lib/model.mjs";
import { startSlackSocket } from "./lib/slack-socket.mjs";

const ANN = "U0000000001";
const BOB = "U0000000002";
const DIRECT = "D0000000001";
const ROOM = "C0000000001";
const APP_TOKEN = "xapp-1-A1-conformance";

/** Somebody writes; the platform's own callback of it is given back. */
async function writeAt(platform, body) {
  const answer = await fetch(platform.manifest.endpoints.adminInboundUrl, {
    method: "POST",
    headers: { "content-type": "application/json", "x-crabline-admin-token": platform.manifest.adminToken },
    body: JSON.stringify(body),
  });
  const told = await answer.json();
  assert.equal(told.ok, true, JSON.stringify(told));
  return told.event;
}

const posts = (events) =>
  events.filter((event) => event.type === "api" && event.path.endsWith("/chat.postMessage")).map((event) => event.body);

describe("our Socket Mode, as Slack's client sees it", () => {
  it("connects, delivers, is acknowledged, and connects again when it is asked to", async () => {
    const socket = await startSlackSocket({ apiRoot: "http://127.0.0.1:9/api/", appToken: APP_TOKEN });
    const client = new SocketModeClient({ appToken: APP_TOKEN, clientOptions: { slackApiUrl: socket.apiRoot }, logLevel: "error" });
    const heard = [];
    client.on("slack_event", async ({ ack, body }) => {
      heard.push(body.event.text);
      await ack();
    });
    try {
      await client.start();
      const callback = (text) => ({ type: "event_callback", team_id: "T1", event: { type: "message", text } });
      await socket.deliver(callback("one"));
      socket.disconnect("refresh_requested");
      await eventually("another connection", () => socket.opened() === 2 && socket.live() === 1);
      await socket.deliver(callback("two"));
      assert.deepEqual(heard, ["one", "two"]);
    } finally {
      await client.disconnect();
      await socket.close();
    }
  });
});

describe("our files, edits and reactions, as Slack's client sees them", () => {
  it("takes a file in three steps, and what is done with messages", async () => {
    const socket = await startSlackSocket({ apiRoot: "http://127.0.0.1:9/api/", appToken: APP_TOKEN });
    const web = new WebClient("xoxb-1", { slackApiUrl: socket.apiRoot, retryConfig: { retries: 0 }, logLevel: "error" });
    try {
      const done = await web.filesUploadV2({ channel_id: DIRECT, file: Buffer.from("hello"), filename: "a.txt", initial_comment: "look" });
      assert.equal(done.ok, true);
      const { body } = socket.journal.find(({ method }) => method === "files.completeUploadExternal");
      assert.deepEqual(body.received, { name: "a.txt", size: 5, text: "look" });
      await web.chat.update({ channel: DIRECT, ts: "1.2", text: "other" });
      await web.reactions.add({ channel: DIRECT, timestamp: "1.2", name: "tada" });
      const seen = await web.reactions.get({ channel: DIRECT, timestamp: "1.2", full: true });
      assert.equal(seen.message.reactions[0].name, "tada");
      await web.reactions.remove({ channel: DIRECT, timestamp: "1.2", name: "tada" });
      await web.chat.delete({ channel: DIRECT, ts: "1.2" });
    } finally {
      await socket.close();
    }
  });
});

describe("Slack by Socket Mode", () => {
  const word = nonce("word");
  const events = [];
  let folder;
  let platform;
  let socket;
  let model;
  let daemon;
  let client;
  const arrived = (count) =>
    eventually(`${count} messages`, () => (posts(events).length >= count ? posts(events) : null));
  const row = (holds) =>
    eventually("another state of Slack", async () => {
      const status = await client.request("channels.status", { probe: false });
      const found = status.channelAccounts.slack[0];
      return holds(found) ? found : null;
    });
  const write = async (body) => socket.deliver(await writeAt(platform, body));

  before(async () => {
    folder = await tempFolder("crabline");
    platform = await startSlackServer({
      recorderPath: path.join(folder.path, "slack.jsonl"),
      onEvent: (event) => events.push(event),
    });
    socket = await startSlackSocket({ apiRoot: platform.manifest.endpoints.apiRoot, appToken: APP_TOKEN });
    model = await startModel(`It is **${word}** & <!here>, see [this](https://example.org).`);
    daemon = await startDaemon({
      channels: true,
      config: {
        ...model.config(),
        channels: {
          slack: {
            botToken: platform.manifest.botToken,
            appToken: APP_TOKEN,
            apiRoot: socket.apiRoot,
            allowFrom: [ANN],
            channels: { [ROOM]: { users: [ANN] } },
          },
        },
      },
    });
    ({ client } = await connect({ daemon }));
    await row((account) => account.connected);
  });
  after(async () => {
    client?.stop();
    await daemon?.end();
    await model?.stop();
    await socket?.close();
    await platform?.close();
    await folder?.remove();
  });

  it("answers a direct message once, in its own markup, calling nobody", async () => {
    await write({ channel: DIRECT, user: ANN, text: "which word?" });
    const [answer] = await arrived(1);
    assert.equal(answer.channel, DIRECT);
    assert.equal(answer.text, `It is *${word}* &amp; &lt;!here&gt;, see <https://example.org|this>.`);
  });

  it("answers in channels and threads who may ask and names it, and each message once", async () => {
    const me = "<@UCRABBOT>";
    await write({ channel: ROOM, user: ANN, text: "nobody is meant" });
    await write({ channel: ROOM, user: BOB, text: `${me} may I?` });
    const asked = await writeAt(platform, { channel: ROOM, user: ANN, text: `${me} which word?` });
    const mention = { ...asked, event: { ...asked.event, type: "app_mention" } };
    await Promise.all([socket.deliver(asked), socket.deliver(mention), socket.deliver(asked, { attempt: 1 })]);
    const inRoom = (await arrived(2))[1];
    assert.equal(inRoom.thread_ts, undefined);
    await write({ channel: ROOM, user: ANN, threadTs: asked.event.ts, text: `${me} and here?` });
    const inThread = (await arrived(3))[2];
    assert.equal(inThread.thread_ts, asked.event.ts);
    const { sessions } = await client.request("sessions.list", {});
    const keys = sessions.map((session) => session.key);
    assert.ok(keys.some((key) => key === `agent:main:slack:channel:${ROOM}`.toLowerCase() || key === `agent:main:slack:channel:${ROOM}`), keys.join());
    assert.equal(posts(events).length, 3);
  });

  it("asks a stranger to pair", async () => {
    await write({ channel: "D0000000002", user: BOB, text: "hello" });
    const told = (await arrived(4))[3];
    const { requests } = await client.request("channels.pairing.list", {});
    assert.equal(requests[0].senderId, BOB);
    assert.ok(told.text.includes(requests[0].metadata.code));
  });

  it("reacts, edits, deletes and pins", async () => {
    const act = (action, params) =>
      client.request("message.action", {
        channel: "slack",
        action,
        params: { target: `channel:${DIRECT}`, messageId: "1700000000.000100", ...params },
        idempotencyKey: nonce("key"),
      });
    await act("edit", { message: "**other** <!here>" });
    await act("react", { emoji: "🎉" });
    await act("react", { remove: true });
    await act("pin", {});
    await act("delete", {});
    const done = socket.journal.map(({ method, body }) => [method, body.text ?? body.name]);
    assert.deepEqual(done, [
      ["chat.update", "*other* &lt;!here&gt;"],
      ["reactions.add", "tada"],
      ["reactions.get", undefined],
      ["reactions.remove", "tada"],
      ["pins.add", undefined],
      ["chat.delete", undefined],
    ]);
    await assert.rejects(act("react", { emoji: "no emoji" }), /thumbsup/);
  });

  it("waits when it is told to, and never sends again what may have arrived", async () => {
    let refused = 0;
    socket.faults.http = (method) =>
      method === "chat.postMessage" && refused++ === 0
        ? { status: 429, headers: { "retry-after": "1" }, body: { ok: false, error: "ratelimited" } }
        : null;
    await write({ channel: DIRECT, user: ANN, text: "again?" });
    await arrived(5);
    let cut = 0;
    socket.faults.http = (method) => (method === "chat.postMessage" && cut++ === 0 ? "cut" : null);
    await write({ channel: DIRECT, user: ANN, text: "and again?" });
    const found = await row((account) => account.undelivered?.length === 1);
    socket.faults.http = null;
    assert.equal(found.undelivered[0].state, "unknown");
    assert.equal(posts(events).length, 6, "each once");
  });

  it("has one connection, also after one that was cut, and parks where only a person can help", async () => {
    const before = await row((account) => account.connected);
    socket.cut();
    await row((account) => account.connected && account.generation > before.generation);
    await write({ channel: DIRECT, user: ANN, text: "still there?" });
    await arrived(7);
    assert.equal(socket.most(), 1);
    socket.disconnect("link_disabled");
    const parked = await row((account) => account.state === "parked");
    assert.match(parked.lastError, /Socket Mode/);
  });

  it("every frame is as the official validators want it", (t) => reportFrames(t, daemon.log));
});

describe("Slack by the Events API", () => {
  const word = nonce("word");
  const events = [];
  let folder;
  let platform;
  let model;
  let daemon;
  const url = () => `http://127.0.0.1:${daemon.gatewayPort}/slack/events`;

  before(async () => {
    folder = await tempFolder("crabline");
    const port = await freePort();
    platform = await startSlackServer({
      recorderPath: path.join(folder.path, "slack.jsonl"),
      onEvent: (event) => events.push(event),
      eventsRequestUrl: `http://127.0.0.1:${port}/slack/events`,
    });
    model = await startModel(`It is ${word}.`);
    const { botToken, signingSecret, endpoints } = platform.manifest;
    daemon = await startDaemon({
      channels: true,
      port,
      config: {
        ...model.config(),
        channels: { slack: { mode: "http", botToken, signingSecret, apiRoot: endpoints.apiRoot, allowFrom: [ANN] } },
      },
    });
    const { client } = await connect({ daemon });
    try {
      await eventually("a connection", async () => {
        const status = await client.request("channels.status", { probe: false });
        return status.channelAccounts.slack[0].connected;
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

  it("answers what the platform signed, once", async () => {
    await writeAt(platform, { channel: DIRECT, user: ANN, text: "which word?" });
    await eventually("an answer", () => posts(events).length === 1);
    assert.equal(posts(events)[0].text, `It is ${word}.`);
  });

  it("hears nobody else", async () => {
    const body = JSON.stringify({ type: "event_callback", event: { type: "message", channel: DIRECT, user: ANN, text: "hi", ts: "1.1" } });
    const headers = { "content-type": "application/json" };
    const plain = await fetch(url(), { method: "POST", headers, body });
    assert.equal(plain.status, 401);
    const stamp = String(Math.floor(Date.now() / 1000));
    const signed = { ...headers, "x-slack-request-timestamp": stamp, "x-slack-signature": `v0=${"0".repeat(64)}` };
    assert.equal((await fetch(url(), { method: "POST", headers: signed, body })).status, 401);
    assert.equal(model.requests().length, 1);
  });
});
