// A WebSocket client that does no more than it is told: for v3 frames, for observing, and for what the official
// clients never send.
import { WebSocket } from "ws";
import { deviceProof } from "./device.mjs";

export class RawClient {
  constructor(url, options = {}) {
    this.socket = new WebSocket(url, { perMessageDeflate: false, ...options });
    this.events = [];
    this.waiting = new Set();
    this.nextId = 1;
    this.closed = new Promise((resolve) =>
      this.socket.on("close", (code, reason) => {
        this.closeInfo = { code, reason: reason.toString() };
        resolve(this.closeInfo);
        this.#settle();
      }),
    );
    this.socket.on("error", (error) => (this.error = error));
    this.frames = [];
    this.socket.on("message", (data) => {
      this.frames.push(JSON.parse(data.toString("utf8")));
      this.#settle();
    });
  }

  /** Resolves with the first frame, past or to come, for which `test` holds; rejects when the socket closes first. */
  frame(test, what = "a frame") {
    return new Promise((resolve, reject) => {
      const entry = { test, resolve, reject, what };
      this.waiting.add(entry);
      this.#settle();
    });
  }

  event(name, test = () => true) {
    return this.frame((f) => f.type === "event" && f.event === name && test(f.payload, f), `event ${name}`);
  }

  /** All responses to one request, as they come; `response(n)` waits for the n-th (from 1). */
  send(method, params, extra = {}) {
    const id = `raw-${this.nextId++}`;
    this.socket.send(JSON.stringify({ type: "req", id, method, ...(params === undefined ? {} : { params }), ...extra }));
    return {
      id,
      response: (n = 1) => {
        const self = this;
        return this.frame(
          (f) => f.type === "res" && f.id === id && self.frames.filter((g) => g.type === "res" && g.id === id)[n - 1] === f,
          `response ${n} to ${method}`,
        );
      },
    };
  }

  /** Sends a request and gives back the payload of its first response, or throws its error. */
  async request(method, params) {
    const frame = await this.send(method, params).response();
    if (!frame.ok) throw Object.assign(new Error(`${method}: ${frame.error.message}`), { error: frame.error });
    return frame.payload;
  }

  /** Waits for the challenge and connects; gives back the hello-ok payload. */
  async connect({ token, device, payloadVersion = "v3", min = 4, max = 4, client, role, scopes, ...rest }) {
    const challenge = (await this.event("connect.challenge")).payload;
    const params = {
      minProtocol: min,
      maxProtocol: max,
      client: { id: "cli", version: "1.0.0", platform: "linux", mode: "cli", ...client },
      role: role ?? "operator",
      scopes: scopes ?? ["operator.admin"],
      ...(token === undefined ? {} : { auth: { token } }),
      ...rest,
    };
    if (device) params.device = deviceProof(device, params, challenge, payloadVersion);
    return this.request("connect", params);
  }

  /** The same as a headless node that offers these commands. */
  connectNode({ commands, displayName, ...rest }) {
    const client = { id: "node-host", mode: "node", displayName, version: "2.1.0" };
    return this.connect({ client, role: "node", scopes: [], caps: ["canvas"], commands, ...rest });
  }

  close() {
    this.socket.close();
    return this.closed;
  }

  #settle() {
    for (const entry of this.waiting) {
      const found = this.frames.find(entry.test);
      if (found) {
        this.waiting.delete(entry);
        entry.resolve(found);
      } else if (this.closeInfo) {
        this.waiting.delete(entry);
        const why = this.error ? `: ${this.error.message}` : "";
        const { code, reason } = this.closeInfo;
        entry.reject(new Error(`the socket closed (${code} ${reason}) while waiting for ${entry.what}${why}`));
      }
    }
  }
}
