// OpenAI's own client library against /v1: what it parses without complaint, and what it makes of refusals.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import OpenAI from "openai";
import { startDaemon } from "./lib/daemon.mjs";
import { startModel } from "./lib/model.mjs";

const REPLY = "A whole answer, in several pieces.";

describe("OpenAI's client library", () => {
  let model;
  let daemon;
  let openai;
  before(async () => {
    model = await startModel(REPLY, { latency: 5 });
    const endpoints = { chatCompletions: { enabled: true }, responses: { enabled: true } };
    daemon = await startDaemon({ config: { ...model.config(), gateway: { http: { endpoints } } } });
    openai = client(daemon.token);
  });
  after(async () => {
    await daemon?.end();
    await model?.stop();
  });

  const client = (apiKey) => new OpenAI({ apiKey, baseURL: `http://127.0.0.1:${daemon.gatewayPort}/v1`, maxRetries: 0 });
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "user", content: "hello" },
  ];

  it("lists the agents as models", async () => {
    const ids = [];
    for await (const row of openai.models.list()) ids.push(row.id);
    assert.deepEqual(ids, ["openclaw", "openclaw/default", "openclaw/main"]);
    assert.equal((await openai.models.retrieve("openclaw/main")).object, "model");
    await assert.rejects(openai.models.retrieve("gpt-5"), OpenAI.NotFoundError);
  });

  it("gets a chat completion whole, with its usage", async () => {
    const whole = await openai.chat.completions.create({ model: "openclaw", messages });
    assert.equal(whole.choices[0].message.content, REPLY);
    assert.equal(whole.choices[0].finish_reason, "stop");
    assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
    assert.match(JSON.stringify(model.requests().at(-1).body), /Be brief\./);
  });

  it("gets it in pieces, also through its own helper", async () => {
    const pieces = [];
    const stream = await openai.chat.completions.create({ model: "openclaw/main", messages, stream: true, stream_options: { include_usage: true } });
    let usage;
    for await (const chunk of stream) {
      pieces.push(chunk.choices[0]?.delta.content ?? "");
      usage ??= chunk.usage ?? undefined;
    }
    assert.equal(pieces.join(""), REPLY);
    assert.ok(pieces.filter(Boolean).length > 1, "it came in one piece");
    assert.ok(usage.total_tokens > 0);
    const helper = openai.chat.completions.stream({ model: "openclaw", messages });
    assert.equal((await helper.finalChatCompletion()).choices[0].message.content, REPLY);
  });

  it("gets a response whole and in pieces", async () => {
    const whole = await openai.responses.create({ model: "openclaw", input: "hello" });
    assert.equal(whole.output_text, REPLY);
    assert.equal(whole.status, "completed");
    let text = "";
    const kinds = new Set();
    for await (const event of await openai.responses.create({ model: "openclaw", input: "hello", stream: true })) {
      kinds.add(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    assert.equal(text, REPLY);
    for (const kind of ["response.created", "response.output_text.done", "response.completed"]) assert.ok(kinds.has(kind), kind);
    const helper = openai.responses.stream({ model: "openclaw", input: "hello" });
    assert.equal((await helper.finalResponse()).output_text, REPLY);
  });

  it("remembers in a session that `user` names, and in no other", async () => {
    const last = () => JSON.stringify(model.requests().at(-1).body.messages);
    await openai.chat.completions.create({ model: "openclaw", messages: [{ role: "user", content: "my number is 4711" }], user: "ann" });
    await openai.chat.completions.create({ model: "openclaw", messages: [{ role: "user", content: "which number?" }], user: "ann" });
    assert.match(last(), /4711/);
    await openai.chat.completions.create({ model: "openclaw", messages: [{ role: "user", content: "which number?" }], user: "bob" });
    assert.doesNotMatch(last(), /4711/);
  });

  it("stops a run whose reader goes away", async () => {
    const stream = await openai.chat.completions.create({ model: "openclaw", messages, stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
    // The next run of another session is not held up by it.
    const whole = await openai.chat.completions.create({ model: "openclaw", messages });
    assert.equal(whole.choices[0].message.content, REPLY);
  });

  it("understands refusals as what they are", async () => {
    await assert.rejects(client("wrong").models.list(), OpenAI.AuthenticationError);
    const create = (body) => openai.chat.completions.create(body);
    await assert.rejects(create({ model: "openclaw", messages: [] }), OpenAI.BadRequestError);
    await assert.rejects(create({ model: "gpt-5", messages }), OpenAI.BadRequestError);
    await assert.rejects(create({ model: "openclaw/nobody", messages }), OpenAI.BadRequestError);
  });
});
