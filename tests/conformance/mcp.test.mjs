// MCP servers of the configuration: the reference server of the protocol's authors, as a program and over HTTP.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile, readdir } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { connect } from "./lib/client.mjs";
import { nonce, startDaemon } from "./lib/daemon.mjs";
import { reportFrames } from "./lib/flows.mjs";
import { startModel } from "./lib/model.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const everything = path.join(here, "node_modules/@modelcontextprotocol/server-everything/dist/index.js");

async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts the server's HTTP side; it says when it listens. */
async function overHttp() {
  const port = await freePort();
  const child = spawn(process.execPath, [everything, "streamableHttp"], { env: { PATH: process.env.PATH, PORT: String(port) }, stdio: ["ignore", "pipe", "pipe"] });
  await new Promise((resolve, reject) => {
    const look = (text) => /listening/i.test(String(text)) && resolve();
    child.stdout.on("data", look);
    child.stderr.on("data", look);
    child.on("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
  return { child, url: `http://127.0.0.1:${port}/mcp` };
}

const invoke = async (client, name, args = {}) => client.request("tools.invoke", { name, args, sessionKey: "main" });
const textOf = (result) => result.output.content.map((part) => part.text ?? "").join("");

for (const kind of ["stdio", "streamable-http"]) {
  describe(`MCP over ${kind}`, () => {
    const word = nonce("word");
    let model;
    let daemon;
    let http;
    before(async () => {
      model = await startModel("nothing to do", {
        teach(mock) {
          mock.on(
            { userMessage: /say it/, hasToolResult: false },
            { toolCalls: [{ name: "every__echo", arguments: JSON.stringify({ message: word }) }] },
          );
          mock.on({ userMessage: /say it/, toolResultContains: word }, { content: "It was said." });
        },
      });
      const filter = { toolFilter: { exclude: ["trigger-*", "get-env"] } };
      let server = { command: process.execPath, args: [everything], env: { PROOF: word }, ...filter };
      if (kind !== "stdio") {
        http = await overHttp();
        server = { url: http.url, transport: kind, ...filter };
      }
      const broken = { command: "/no/such/program" };
      daemon = await startDaemon({ config: { ...model.config(), mcp: { servers: { every: server, broken, off: { enabled: false, command: "/never" } } } } });
    });
    after(async () => {
      await daemon?.end();
      await model?.stop();
      http?.child.kill();
    });

    it("shows them before anything ran", async () => {
      const { client } = await connect({ daemon });
      try {
        // A server that is slow to start is there at the next look.
        for (;;) {
          const { groups } = await client.request("tools.catalog", {});
          const tools = groups.find(({ id }) => id === "mcp")?.tools ?? [];
          if (tools.some(({ id }) => id === "every__echo")) break;
        }
        assert.equal(model.requests().length, 0);
      } finally {
        client.stop();
      }
    });

    it("gives agents the server's tools, and the model their results", async () => {
      const { client, event } = await connect({ daemon }, { caps: ["tool-events"] });
      try {
        const key = nonce("key");
        await client.request("chat.send", { sessionKey: "main", message: "say it", idempotencyKey: key });
        const final = await event("chat", (p) => p.runId === key && ["final", "error"].includes(p.state));
        assert.equal(final.message?.content[0].text, "It was said.", JSON.stringify(final));
        const offered = model.requests().at(-1).body.tools.map((tool) => tool.function.name);
        assert.ok(offered.includes("every__get-sum"), offered.join());
        assert.ok(!offered.some((name) => /trigger|get-env|^broken|^off/.test(name)), offered.join());
        const catalog = await client.request("tools.catalog", {});
        const group = catalog.groups.find(({ id }) => id === "mcp");
        assert.ok(group.tools.some(({ id }) => id === "every__echo"));
      } finally {
        client.stop();
      }
    });

    it("tells text, pictures, structure and failures apart", async () => {
      const { client } = await connect({ daemon });
      try {
        const sum = await invoke(client, "every__get-sum", { a: 2, b: 40 });
        assert.match(textOf(sum), /42/);
        const picture = await invoke(client, "every__get-tiny-image");
        assert.ok(picture.output.content.some((part) => part.type === "image" && part.mimeType === "image/png"));
        const structured = await invoke(client, "every__get-structured-content", { location: "Chicago" });
        assert.match(textOf(structured), /temperature/);
        const wrong = await invoke(client, "every__get-sum", { a: "two" });
        assert.equal(wrong.ok, false);
        assert.match(wrong.error.message, /a/);
        const hidden = await invoke(client, "every__get-env");
        assert.equal(hidden.error.code, "not_found");
      } finally {
        client.stop();
      }
    });

    it("says in the log what is wrong with a server that cannot be started", async () => {
      const { client } = await connect({ daemon });
      try {
        const { lines } = await client.request("logs.tail", { limit: 500 });
        assert.ok(lines.some((line) => line.includes("/no/such/program")), lines.join("\n"));
        assert.ok(!lines.some((line) => line.includes(word)), "a variable of the server stands in the log");
      } finally {
        client.stop();
      }
    });

    // Over HTTP there is no program of the gateway's.
    const itsProgram = kind === "stdio" ? it : () => {};
    itsProgram("ends its programs with the gateway", async () => {
      const running = async () => {
        const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
        const found = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/environ`, "utf8").then((env) => env.includes(`PROOF=${word}`)).catch(() => false)));
        return found.filter(Boolean).length;
      };
      assert.equal(await running(), 1);
      await daemon.end();
      assert.equal(await running(), 0);
    });

    it("every frame of these connections is as the official validators want it", (t) => reportFrames(t, daemon.log));
  });
}
