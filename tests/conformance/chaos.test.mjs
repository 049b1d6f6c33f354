// The agent loop while its model misbehaves, in the ways that aimock has for it. A run that can be saved is; one that
// cannot ends with words that say what to do, no tool runs twice for it, and the conversation goes on.
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, it } from "node:test";
import { connect } from "./lib/client.mjs";
import { nonce, startDaemon } from "./lib/daemon.mjs";
import { startModel } from "./lib/model.mjs";

const MODES = {
  drop: { dropRate: 1 },
  malformed: { malformedRate: 1 },
  disconnect: { disconnectRate: 1 },
  429: { rateLimitRate: 1 },
};
const REPLY = "All is well again.";
const textOf = (message) => message.content.map((part) => part.text ?? "").join("");

for (const api of ["openai-completions", "anthropic-messages"]) {
  describe(`chaos with a model that speaks ${api}`, () => {
    let model;
    let daemon;
    let c;
    before(async () => {
      model = await startModel(REPLY, {
        teach(mock) {
          mock.on({ userMessage: /use a tool/, hasToolResult: false }, { toolCalls: [{ name: "sessions_list", arguments: "{}" }] });
          mock.on({ userMessage: /use a tool/, hasToolResult: true }, { content: "never said" }, { chaos: MODES.drop });
        },
      });
      daemon = await startDaemon({ config: model.config(api) });
      c = await connect({ daemon });
    });
    after(async () => {
      c?.client.stop();
      await daemon?.end();
      await model?.stop();
    });

    const send = async (sessionKey, message) => {
      const key = nonce("key");
      await c.client.request("chat.send", { sessionKey, message, idempotencyKey: key });
      return key;
    };
    const end = (key) => c.event("chat", (p) => p.runId === key && ["final", "error"].includes(p.state));

    for (const [name, chaos] of Object.entries(MODES)) {
      it(`${name}: a run that nothing saves says why, and the conversation goes on`, async () => {
        const session = `agent:main:${nonce(name)}`;
        model.mock.setChaos(chaos);
        const failed = await end(await send(session, "hello"));
        model.mock.clearChaos();
        assert.equal(failed.state, "error", JSON.stringify(failed));
        assert.ok(failed.errorMessage.length > 10, failed.errorMessage);
        if (name === "429") assert.equal(failed.errorKind, "rate_limit");
        const next = await end(await send(session, "and now?"));
        assert.equal(next.state, "final", JSON.stringify(next));
        assert.equal(textOf(next.message), REPLY);
        const { messages } = await c.client.request("chat.history", { sessionKey: session });
        assert.deepEqual(
          messages.map((m) => m.role),
          ["user", "custom", "user", "assistant"],
        );
      });
    }

    for (const name of ["drop", "disconnect", "429"]) {
      it(`${name}: one bad moment is not seen`, async () => {
        const before = model.requests().length;
        model.mock.setChaos(MODES[name]);
        const key = await send(`agent:main:${nonce(name)}`, "hello");
        while (model.requests().length === before) await delay(5);
        model.mock.clearChaos();
        const final = await end(key);
        assert.equal(final.state, "final", JSON.stringify(final));
        assert.equal(textOf(final.message), REPLY);
      });
    }

    it("a tool that ran stays run when the model fails behind it", async () => {
      const session = `agent:main:${nonce("tool")}`;
      const failed = await end(await send(session, "use a tool"));
      assert.equal(failed.state, "error", JSON.stringify(failed));
      const { messages } = await c.client.request("chat.history", { sessionKey: session });
      assert.deepEqual(
        messages.map((m) => m.role),
        ["user", "assistant", "toolResult", "custom"],
      );
    });
  });
}
