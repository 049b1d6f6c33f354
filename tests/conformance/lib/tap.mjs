// A recording TCP tap in front of a gateway. Every byte passes unchanged in both directions, headers, pings and
// close codes included, so that neither side can tell; WebSocket texts are decoded on the way and checked.
import net from "node:net";

/**
 * Starts a tap on a free loopback port in front of `upstreamPort`.
 * @returns {Promise<{port: number, close: () => Promise<void>}>}
 */
export async function startTap(upstreamPort, log, label = "tap") {
  const sockets = new Set();
  let count = 0;
  const server = net.createServer((client) => {
    count += 1;
    const upstream = net.connect({ host: "127.0.0.1", port: upstreamPort });
    const name = `${label} ${count}`;
    let frames;
    const connection = () => (frames ??= log.connection(name));
    const up = new WsSniffer((text) => connection().fromClient(text));
    const down = new WsSniffer((text) => connection().fromGateway(text));
    pipe(client, upstream, up);
    pipe(upstream, client, down);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: server.address().port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function pipe(from, to, sniffer) {
  from.on("data", (chunk) => {
    // Looked at first: what a client does upon a frame is then never recorded before that frame.
    sniffer.push(chunk);
    to.write(chunk);
  });
  from.on("end", () => to.end());
  from.on("error", () => to.destroy());
}

/** Finds the WebSocket texts in one direction of an HTTP/1.1 connection that may be upgraded. */
class WsSniffer {
  constructor(onText) {
    this.onText = onText;
    this.buffer = Buffer.alloc(0);
    this.state = "head";
    this.fragments = [];
  }

  push(chunk) {
    if (this.state === "plain") return;
    this.buffer = this.buffer.length ? Buffer.concat([this.buffer, chunk]) : chunk;
    if (this.state === "head" && !this.#head()) return;
    while (this.#frame());
  }

  // True once the connection speaks WebSocket in this direction.
  #head() {
    const end = this.buffer.indexOf("\r\n\r\n");
    if (end < 0) return false;
    const head = this.buffer.subarray(0, end).toString("latin1");
    if (!/^upgrade:\s*websocket/im.test(head) || /^HTTP\/1\.1 (?!101)/.test(head)) {
      this.state = "plain"; // an ordinary HTTP exchange; nothing more to see on this connection
      return false;
    }
    if (/^HTTP/.test(head) && /^sec-websocket-extensions:/im.test(head)) {
      throw new Error("the gateway negotiated a WebSocket extension, which the tap cannot read");
    }
    this.buffer = this.buffer.subarray(end + 4);
    this.state = "frames";
    return true;
  }

  #frame() {
    const b = this.buffer;
    if (b.length < 2) return false;
    const masked = (b[1] & 0x80) !== 0;
    let length = b[1] & 0x7f;
    let at = 2;
    if (length === 126) {
      if (b.length < 4) return false;
      length = b.readUInt16BE(2);
      at = 4;
    } else if (length === 127) {
      if (b.length < 10) return false;
      length = Number(b.readBigUInt64BE(2));
      at = 10;
    }
    const mask = masked ? b.subarray(at, at + 4) : undefined;
    if (masked) at += 4;
    if (b.length < at + length) return false;
    const opcode = b[0] & 0x0f;
    if (opcode <= 2) {
      const payload = Buffer.from(b.subarray(at, at + length));
      if (mask) for (let i = 0; i < payload.length; i += 1) payload[i] ^= mask[i & 3];
      this.fragments.push(payload);
      if (b[0] & 0x80) {
        this.onText(Buffer.concat(this.fragments).toString("utf8"));
        this.fragments = [];
      }
    }
    this.buffer = b.subarray(at + length);
    return true;
  }
}
