// Usage: node tap.mjs GATEWAY_PORT DIR. A recording tap in front of a gateway, for clients that cannot record: prints
// the port it listens on, and writes DIR/*.jsonl for check-frames.mjs until it is ended.
import { appendFileSync } from "node:fs";
import path from "node:path";
import { startTap } from "./lib/tap.mjs";

const [gatewayPort, folder] = process.argv.slice(2);
let connections = 0;
const recorder = {
  connection() {
    connections += 1;
    const file = path.join(folder, `tap-${process.pid}-${connections}.jsonl`);
    const write = (from) => (text) => appendFileSync(file, `${JSON.stringify({ from, text })}\n`);
    return { fromClient: write("client"), fromGateway: write("gateway") };
  },
};
const tap = await startTap(Number(gatewayPort), recorder);
console.log(tap.port);
