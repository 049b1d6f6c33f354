// Slack's Socket Mode, in front of a Web API that has none. It is proven first with Slack's own client.
import http from "node:http";
import { randomUUID } from "node:crypto";
import { WebSocketServer } from "ws";

/** A file, as its bytes alone or as a part of a form; Slack's own client sends a form. */
async function uploaded(type, body) {
  if (!type.startsWith("multipart/form-data")) return body;
  const form = await new Response(body, { headers: { "content-type": type } }).formData();
  const file = [...form.values()].find((part) => typeof part !== "string");
  return file && Buffer.from(await file.arrayBuffer());
}

/** Serves `apps.connections.open` and the socket; what else is asked goes to `apiRoot`. */
export async function startSlackSocket({ apiRoot, appToken }) {
  const live = new Set();
  // Envelopes that nobody acknowledged yet, in their order; whoever connects next gets them again.
  const waiting = new Map();
  const give = (socket, id) => {
    const envelope = waiting.get(id);
    const { callback, attempt } = envelope;
    envelope.attempt += 1;
    socket.send(
      JSON.stringify({
        envelope_id: id,
        type: "events_api",
        payload: callback,
        accepts_response_payload: false,
        retry_attempt: attempt,
        retry_reason: attempt > 0 ? "timeout" : "",
      }),
    );
  };
  const faults = { http: null };
  // What crabline has not: files, edits, reactions, pins. Bodies of what was done are in the journal.
  const journal = [];
  const uploads = new Map();
  const reactions = new Map();
  const no = (error) => ({ ok: false, error });
  const here = {
    "files.getUploadURLExternal"({ filename, length }, origin) {
      if (!filename || !(Number(length) > 0)) return no("invalid_arguments");
      const id = `F${String(uploads.size + 1).padStart(8, "0")}`;
      uploads.set(id, { filename, length: Number(length), bytes: null });
      return { ok: true, upload_url: `${origin}/upload/${id}`, file_id: id };
    },
    "files.completeUploadExternal"(body) {
      const files = typeof body.files === "string" ? JSON.parse(body.files) : body.files;
      const [file] = files ?? [];
      const held = uploads.get(file?.id);
      if (!held?.bytes) return no("file_not_found");
      body.received = { name: held.filename, size: held.bytes.length, text: body.initial_comment ?? "" };
      return { ok: true, files: [{ id: file.id, title: file.title ?? held.filename }] };
    },
    "chat.update": ({ channel, ts, text }) => (ts && text ? { ok: true, channel, ts, text } : no("message_not_found")),
    "chat.delete": ({ channel, ts }) => (ts ? { ok: true, channel, ts } : no("message_not_found")),
    "pins.add": () => ({ ok: true }),
    "pins.remove": () => ({ ok: true }),
    "reactions.add"({ channel, timestamp, name }) {
      const at = `${channel}:${timestamp}`;
      if (reactions.get(at)?.has(name)) return no("already_reacted");
      reactions.set(at, new Set([...(reactions.get(at) ?? []), name]));
      return { ok: true };
    },
    "reactions.remove": ({ channel, timestamp, name }) =>
      reactions.get(`${channel}:${timestamp}`)?.delete(name) ? { ok: true } : no("no_reaction"),
    "reactions.get"({ channel, timestamp }) {
      const names = [...(reactions.get(`${channel}:${timestamp}`) ?? [])];
      const all = [...names.map((name) => ({ name, count: 1, users: ["UCRABBOT"] })), { name: "eyes", count: 1, users: ["U0000000009"] }];
      return { ok: true, type: "message", channel, message: { ts: timestamp, reactions: all } };
    },
  };
  let opened = 0;
  let most = 0;
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const method = request.url.replace(/^\/api\//, "");
    const answer = (body, status = 200, headers = {}) => {
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(JSON.stringify(body));
    };
    if (method === "apps.connections.open") {
      if (request.headers.authorization !== `Bearer ${appToken}`) return answer({ ok: false, error: "invalid_auth" });
      opened += 1;
      const { port } = server.address();
      return answer({ ok: true, url: `ws://127.0.0.1:${port}/link/?ticket=${randomUUID()}&app_id=A1` });
    }
    if (request.url.startsWith("/upload/")) {
      const held = uploads.get(request.url.slice("/upload/".length));
      const bytes = await uploaded(request.headers["content-type"] ?? "", Buffer.concat(chunks));
      if (!held || bytes?.length !== held.length) return answer({ ok: false }, 400);
      held.bytes = bytes;
      return answer({ ok: true });
    }
    if (request.url === "/journal") return answer(journal);
    const fault = faults.http?.(method);
    if (fault && fault !== "cut") return answer(fault.body, fault.status, fault.headers);
    const own = here[method];
    if (own && !fault) {
      const text = Buffer.concat(chunks).toString();
      const isJson = request.headers["content-type"]?.startsWith("application/json");
      const body = isJson ? JSON.parse(text) : Object.fromEntries(new URLSearchParams(text));
      const told = own(body, `http://127.0.0.1:${server.address().port}`);
      if (told.ok) journal.push({ method, body });
      return answer(told);
    }
    const { host: _, connection: __, "content-length": ___, ...headers } = request.headers;
    const passed = await fetch(new URL(method, apiRoot), { method: "POST", headers, body: Buffer.concat(chunks) });
    const text = await passed.text();
    if (fault === "cut") return request.socket.destroy();
    response.writeHead(passed.status, { "content-type": "application/json" });
    response.end(text);
  });
  const sockets = new WebSocketServer({ server, path: "/link/" });
  sockets.on("connection", (socket) => {
    live.add(socket);
    most = Math.max(most, live.size);
    socket.send(JSON.stringify({ type: "hello", num_connections: live.size, debug_info: {}, connection_info: { app_id: "A1" } }));
    socket.on("message", (data) => {
      const { envelope_id: id } = JSON.parse(String(data));
      waiting.get(id)?.resolve(true);
      waiting.delete(id);
    });
    for (const id of waiting.keys()) give(socket, id);
    socket.on("close", () => live.delete(socket));
    socket.on("error", () => {});
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    apiRoot: `http://127.0.0.1:${server.address().port}/api/`,
    faults,
    journal,
    live: () => live.size,
    most: () => most,
    opened: () => opened,
    /** Delivers a callback to one of the sockets, as Slack does; resolves when it is acknowledged. */
    deliver(callback, { attempt = 0 } = {}) {
      const id = randomUUID();
      const acknowledged = new Promise((resolve) => waiting.set(id, { callback, attempt, resolve }));
      const [socket] = live;
      if (socket) give(socket, id);
      return acknowledged;
    },
    /** Says that the connection is about to end, and ends it. */
    disconnect(reason) {
      for (const socket of live) {
        socket.send(JSON.stringify({ type: "disconnect", reason, debug_info: {} }));
        if (reason !== "warning") setTimeout(() => socket.close(), 100);
      }
    },
    /** Ends every connection without a word. */
    cut: () => live.forEach((socket) => socket.terminate()),
    async close() {
      live.forEach((socket) => socket.terminate());
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
