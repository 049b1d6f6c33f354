// @openclaw/gateway-client, connected and listened to.
import { GatewayClient } from "@openclaw/gateway-client";

/** Connects; the first thing that goes wrong rejects. */
export function connect(c, options = {}) {
  return new Promise((resolve, reject) => {
    const events = [];
    const waiting = new Set();
    const client = new GatewayClient({
      url: c.daemon.url,
      token: c.daemon.token,
      minProtocol: 4,
      maxProtocol: 4,
      scopes: ["operator.admin"],
      onHelloOk: (hello) => resolve({ client, hello, events, event }),
      onConnectError: fail,
      onClose: (code, reason) => fail(new Error(`closed ${code} ${reason}`)),
      onGap: (gap) => fail(new Error(`gap: ${JSON.stringify(gap)}`)),
      onEvent: (frame) => {
        events.push(frame);
        for (const entry of waiting) entry();
      },
      ...options,
    });
    function fail(error) {
      // First: stopping reports an error of its own.
      reject(error);
      client.stop();
    }
    /** The first event, past or to come, for which `test` holds. */
    function event(name, test = () => true) {
      return new Promise((found) => {
        const look = () => {
          const frame = events.find((e) => e.event === name && test(e.payload));
          if (frame) {
            waiting.delete(look);
            found(frame.payload);
          }
        };
        waiting.add(look);
        look();
      });
    }
    client.start();
  });
}
