// Runs that call tools, with the official client and a model in every wire format.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { nonce, startDaemon } from "./lib/daemon.mjs";
import { reportFrames } from "./lib/flows.mjs";
import { connect } from "./lib/client.mjs";
import { startModel } from "./lib/model.mjs";

const textOf = (message) => message.content.map((part) => part.text ?? "").join("");

for (const api of ["openai-completions", "anthropic-messages", "google-generative-ai", "ollama"]) {
  describe(`tools with a model that speaks ${api}`, () => {
    const secret = nonce("note");
    let model;
    let daemon;
    before(async () => {
      model = await startModel("nothing to do", {
        teach(mock) {
          // Two calls side by side, then an answer once the file's content came back.
          mock.on(
            { userMessage: /read my notes/, hasToolResult: false },
            {
              toolCalls: [
                { name: "read", arguments: JSON.stringify({ path: "notes.md" }) },
                { name: "read", arguments: JSON.stringify({ path: "../state/openclaw.json" }) },
              ],
            },
          );
          const knows = (request) => JSON.stringify(request.messages).includes(secret);
          mock.on({ userMessage: /read my notes/, hasToolResult: true, predicate: knows }, { content: `You wrote ${secret}.` });
        },
      });
      daemon = await startDaemon({ config: model.config(api) });
      const workspace = path.join(daemon.stateDir, "workspace");
      await mkdir(workspace, { recursive: true });
      await writeFile(path.join(workspace, "notes.md"), `Remember ${secret}.\n`);
    });
    after(async () => {
      await daemon?.end();
      await model?.stop();
    });

    it("runs the tools that the model calls, and gives it what they gave", async () => {
      const { client, event, events } = await connect({ daemon }, { caps: ["tool-events"] });
      try {
        const key = nonce("key");
        await client.request("chat.send", { sessionKey: "main", message: "read my notes", idempotencyKey: key });
        const final = await event("chat", (p) => p.runId === key && ["final", "error"].includes(p.state));
        assert.equal(final.state, "final", JSON.stringify(final));
        assert.equal(textOf(final.message), `You wrote ${secret}.`);
        const steps = events
          .filter((e) => e.event === "agent" && e.payload.stream === "tool")
          .map((e) => e.payload.data);
        assert.deepEqual(
          steps.map((step) => step.phase).sort(),
          ["result", "result", "start", "start"],
        );
        const results = steps.filter((step) => step.phase === "result");
        assert.deepEqual(results.map((step) => step.isError).sort(), [false, true]);
        const refused = results.find((step) => step.isError);
        assert.match(refused.result.content[0].text, /outside of the workspace/);

        const { messages } = await client.request("chat.history", { sessionKey: "main" });
        assert.deepEqual(
          messages.map((m) => m.role),
          ["user", "assistant", "toolResult", "toolResult", "assistant"],
        );
        const calls = messages[1].content.filter((part) => part.type === "toolCall");
        assert.deepEqual(
          calls.map((call) => call.arguments.path),
          ["notes.md", "../state/openclaw.json"],
        );
        const ids = new Set(calls.map((call) => call.id));
        assert.equal(ids.size, 2);
        for (const row of messages.slice(2, 4)) assert.ok(ids.has(row.toolCallId));
      } finally {
        client.stop();
      }
    });

    it("every frame of these connections is as the official validators want it", (t) => reportFrames(t, daemon.log));
  });
}

describe("a program behind exec approvals", () => {
  const word = nonce("word");
  const command = `printf %s ${word}; exit 3`;
  let model;
  let daemon;
  before(async () => {
    model = await startModel("nothing to do", {
      teach(mock) {
        mock.on(
          { userMessage: /run it/, hasToolResult: false },
          { toolCalls: [{ name: "exec", arguments: JSON.stringify({ command }) }] },
        );
        mock.on({ userMessage: /run it/, toolResultContains: "exit code 3" }, { content: "It ended with 3." });
        mock.on({ userMessage: /run it/, toolResultContains: "refused" }, { content: "You said no." });
      },
    });
    daemon = await startDaemon({ config: model.config() });
  });
  after(async () => {
    await daemon?.end();
    await model?.stop();
  });

  const run = async (session, decision) => {
    const { client, event } = await connect({ daemon }, { caps: ["tool-events"] });
    try {
      const key = nonce("key");
      await client.request("chat.send", { sessionKey: session, message: "run it", idempotencyKey: key });
      const asked = await event("exec.approval.requested");
      assert.equal(asked.request.command, command);
      assert.deepEqual(await client.request("exec.approval.list", {}), [asked]);
      await client.request("exec.approval.resolve", { id: asked.id, decision });
      const resolved = await event("exec.approval.resolved", (p) => p.id === asked.id);
      assert.equal(resolved.decision, decision);
      const final = await event("chat", (p) => p.runId === key && ["final", "error"].includes(p.state));
      assert.equal(final.state, "final", JSON.stringify(final));
      const { messages } = await client.request("chat.history", { sessionKey: session });
      const result = messages.find((m) => m.role === "toolResult");
      return { answer: textOf(final.message), result };
    } finally {
      client.stop();
    }
  };

  it("runs once its owner said yes", async () => {
    const { answer, result } = await run("agent:main:yes", "allow-once");
    assert.equal(answer, "It ended with 3.");
    assert.equal(textOf(result), `${word}\n[exit code 3]`);
    assert.equal(result.details.exitCode, 3);
  });

  it("does not run when the owner said no", async () => {
    const { answer, result } = await run("agent:main:no", "deny");
    assert.equal(answer, "You said no.");
    assert.equal(result.isError, true);
    assert.ok(!JSON.stringify(result).includes(word));
  });

  it("tells which tools there are, in the official shapes", async () => {
    const { client } = await connect({ daemon });
    try {
      const catalog = await client.request("tools.catalog", {});
      assert.ok(catalog.groups.some((group) => group.tools.some((tool) => tool.id === "exec")));
      const effective = await client.request("tools.effective", { sessionKey: "main" });
      assert.equal(effective.profile, "full");
      const invoked = await client.request("tools.invoke", { name: "sessions_list", args: {} });
      assert.equal(invoked.ok, true, JSON.stringify(invoked));
      const rules = await client.request("exec.approvals.get", {});
      assert.equal(rules.resolvedDefaults.security, "allowlist");
    } finally {
      client.stop();
    }
  });

  it("every frame of these connections is as the official validators want it", (t) => reportFrames(t, daemon.log));
});
