// Slack's Socket Mode, in front of a Web API that has none. It is proven first with Slack's own client.
import http from "node:http";
import { randomUUID } from "node:crypto";
import { WebSocketServer } from "ws";

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
    const fault = faults.http?.(method);
    if (fault && fault !== "cut") return answer(fault.body, fault.status, fault.headers);
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
