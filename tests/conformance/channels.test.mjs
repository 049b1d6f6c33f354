// Whole turns over a channel: the platform is npm @openclaw/crabline, the model aimock.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { startTelegramServer } from "@openclaw/crabline";
import { connect } from "./lib/client.mjs";
import { nonce, startDaemon, tempFolder } from "./lib/daemon.mjs";
import { reportFrames } from "./lib/flows.mjs";
import { startModel } from "./lib/model.mjs";

/** Asks again and again: the platform's recorder is a file. */
async function eventually(what, look) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not happen within 30 s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("Telegram, as crabline serves it", () => {
  const word = nonce("word");
  const secret = nonce("letters");
  let folder;
  let platform;
  let model;
  let daemon;

  /** Calls of a method of the Bot API that the platform recorded. */
  async function calls(method) {
    const text = await readFile(platform.manifest.recorderPath, "utf8").catch(() => "");
    const rows = text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
    return rows.filter((row) => row.type === "api" && row.path.endsWith(`/${method}`)).map((row) => row.body);
  }
  const sent = async (count) =>
    eventually(`${count} messages`, async () => {
      const bodies = await calls("sendMessage");
      return bodies.length >= count ? bodies : null;
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
    platform = await startTelegramServer({ recorderPath: path.join(folder.path, "telegram.jsonl") });
    model = await startModel(`It is **${word}**.\n\n\`\`\`sh\necho a && echo b\n\`\`\``, {
      teach: (mock) =>
        mock.onMessage(/the letters/, { error: { message: `no ${secret}`, type: "invalid_request_error" }, status: 400 }),
    });
    const { botToken, endpoints } = platform.manifest;
    daemon = await startDaemon({
      channels: true,
      config: {
        ...model.config(),
        channels: { telegram: { botToken, apiRoot: endpoints.apiRoot, allowFrom: [1001], groups: { "*": {} }, streaming: "off" } },
      },
    });
  });
  after(async () => {
    await daemon?.end();
    await model?.stop();
    await platform?.close();
    await folder?.remove();
  });

  it("is connected, and says so in the official shape", async () => {
    const { client } = await connect({ daemon });
    try {
      const row = await eventually("a connection", async () => {
        const status = await client.request("channels.status", { probe: false });
        return status.channelAccounts.telegram.find((account) => account.connected);
      });
      assert.equal(row.healthState, "healthy");
      const health = await client.request("health", {});
      assert.deepEqual(health.channelOrder, ["telegram"]);
    } finally {
      client.stop();
    }
  });

  it("brings a message to the agent and its answer back, formatted, once", async () => {
    await write({ chatId: 1001, fromId: 1001, fromName: "Ann", text: "which word?" });
    const [answer] = await sent(1);
    assert.equal(answer.chat_id, 1001);
    assert.match(answer.text, new RegExp(`^It is <b>${word}</b>\\.\\n\\n<pre><code class="language-sh">echo a &amp;&amp; echo b`));
    assert.equal(answer.parse_mode, "HTML");
    assert.ok((await calls("sendChatAction")).length > 0);
  });

  it("asks a stranger to pair, and lets them in", async () => {
    await write({ chatId: 2002, fromId: 2002, fromName: "Bob", text: "hello" });
    const told = (await sent(2))[1];
    assert.equal(told.chat_id, 2002);
    const { client } = await connect({ daemon });
    try {
      const { requests } = await client.request("channels.pairing.list", {});
      assert.equal(requests[0].senderId, "2002");
      assert.ok(told.text.includes(requests[0].metadata.code));
      const { channel, accountId, requestId } = requests[0];
      await client.request("channels.pairing.approve", { channel, accountId, requestId });
    } finally {
      client.stop();
    }
    await write({ chatId: 2002, fromId: 2002, fromName: "Bob", text: "and now?" });
    assert.match((await sent(3))[2].text, new RegExp(word));
  });

  it("is told once of a job that fails again and again, and once that it runs again", async () => {
    const before = (await calls("sendMessage")).length;
    const { client, events } = await connect({ daemon });
    const ends = () => events.filter((e) => e.event === "cron" && e.payload.action === "finished").map((e) => e.payload);
    try {
      const job = await client.request("cron.add", {
        name: "Inbox",
        schedule: { kind: "every", everyMs: 3_600_000 },
        sessionTarget: "isolated",
        wakeMode: "now",
        payload: { kind: "agentTurn", message: "read the letters" },
        failureAlert: { after: 2, channel: "telegram", to: "1001" },
      });
      const run = async (times, status) => {
        await client.request("cron.run", { id: job.id, mode: "force" });
        const end = (await eventually(`run ${times}`, () => (ends().length >= times ? ends() : null)))[times - 1];
        assert.equal(end.status, status, JSON.stringify(end));
        return end;
      };
      const first = await run(1, "error");
      assert.match(first.error, new RegExp(secret));
      await run(2, "error");
      const told = (await sent(before + 1))[before];
      assert.equal(told.chat_id, 1001);
      assert.match(told.text, /The job &quot;Inbox&quot; failed 2 times in a row/);
      assert.ok(!told.text.includes(secret), "what went wrong is only for the owner");
      await run(3, "error");
      const { state } = await client.request("cron.get", { id: job.id });
      assert.equal(state.consecutiveErrors, 3);
      assert.ok(state.lastFailureAlertAtMs > 0, JSON.stringify(state));

      await client.request("cron.update", { id: job.id, patch: { payload: { kind: "agentTurn", message: "the post" } } });
      await run(4, "ok");
      assert.match((await sent(before + 2))[before + 1].text, /The job &quot;Inbox&quot; runs again/);
      await run(5, "ok");
      // What is sent after all that shows that nothing else was: a chat's messages leave in their order.
      await client.request("send", { channel: "telegram", to: "1001", message: "the last", idempotencyKey: nonce("last") });
      const texts = (await sent(before + 3)).slice(before).map((body) => body.text);
      assert.deepEqual([texts.length, texts[2]], [3, "the last"]);
    } finally {
      client.stop();
    }
  });

  it("every frame is as the official validators want it", (t) => reportFrames(t, daemon.log));
});
