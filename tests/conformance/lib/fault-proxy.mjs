// A way to a platform that fails when it is told to: HTTP and WebSocket, on a free port of this host.
import http from "node:http";
import { WebSocket, WebSocketServer } from "ws";

/**
 * Stands in front of `target` (an http address). Every address of it in an answer is replaced by the proxy's own.
 * `faults.http(request)` may give `{status, headers, body}` instead of passing a request on, or `"cut"` to pass it on
 * and end the connection without its answer; `faults.down(text)` and `faults.up(text)` may give another frame, or
 * null to swallow it.
 */
export async function startFaultProxy(target, { wsPath = () => true } = {}) {
  const faults = { http: null, down: null, up: null };
  const sockets = new Set();
  const upgrades = [];
  const from = new URL(target);
  let own;
  const rewrite = (text) => text.replaceAll(from.host, own.host);
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const fault = faults.http?.({ method: request.method, path: request.url, body: body.toString() });
    if (fault && fault !== "cut") {
      response.writeHead(fault.status, { "content-type": "application/json", ...fault.headers });
      response.end(JSON.stringify(fault.body ?? {}));
      return;
    }
    const { host: _, connection: __, "content-length": ___, ...headers } = request.headers;
    const answer = await fetch(new URL(request.url, from), {
      method: request.method,
      headers,
      body: body.length > 0 ? body : undefined,
    });
    const text = await answer.text();
    if (fault === "cut") {
      request.socket.destroy();
      return;
    }
    const kept = [...answer.headers].filter(([name]) => !/^(content-length|content-encoding|connection|transfer-encoding)$/.test(name));
    response.writeHead(answer.status, Object.fromEntries(kept));
    response.end(answer.status === 204 ? undefined : rewrite(text));
  });
  const gateway = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    if (!wsPath(request.url)) return socket.destroy();
    upgrades.push(request.url);
    gateway.handleUpgrade(request, socket, head, (client) => {
      const upstream = new WebSocket(new URL(request.url, target.replace(/^http/, "ws")));
      const pair = { client, upstream };
      sockets.add(pair);
      const waiting = [];
      client.on("message", (data) => {
        const text = faults.up ? faults.up(String(data)) : String(data);
        if (text === null) return;
        if (upstream.readyState === WebSocket.OPEN) upstream.send(text);
        else waiting.push(text);
      });
      upstream.on("open", () => waiting.splice(0).forEach((text) => upstream.send(text)));
      upstream.on("message", (data) => {
        const text = faults.down ? faults.down(String(data)) : String(data);
        if (text !== null && client.readyState === WebSocket.OPEN) client.send(rewrite(text));
      });
      client.on("close", () => {
        sockets.delete(pair);
        upstream.terminate();
      });
      upstream.on("close", (code, reason) => {
        if (client.readyState === WebSocket.OPEN) client.close(code === 1006 || code === 1005 ? 1011 : code, reason);
      });
      client.on("error", () => {});
      upstream.on("error", () => client.terminate());
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  own = new URL(`http://127.0.0.1:${server.address().port}`);
  return {
    url: own.origin,
    faults,
    /** Paths of every WebSocket that was opened. */
    upgrades,
    /** How many live now. */
    live: () => sockets.size,
    /** A frame for every client. */
    say: (frame) => sockets.forEach(({ client }) => client.send(JSON.stringify(frame))),
    /** Closes every WebSocket with this code. */
    hangUp: (code, reason = "") => sockets.forEach(({ client }) => client.close(code, reason)),
    async close() {
      sockets.forEach(({ client, upstream }) => {
        client.terminate();
        upstream.terminate();
      });
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
