// Usage: node check-frames.mjs DIR. Checks recorded frames with the official validators.
// DIR holds *.jsonl files, one connection each, one frame a line in the order in which they crossed the socket:
// {"from":"client"|"gateway","text":"<the WebSocket text>"}
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { FrameLog } from "./lib/frames.mjs";

const folder = process.argv[2];
const log = new FrameLog();
for (const name of readdirSync(folder).sort()) {
  if (!name.endsWith(".jsonl")) continue;
  const connection = log.connection(name);
  for (const line of readFileSync(path.join(folder, name), "utf8").split("\n")) {
    if (!line) continue;
    const { from, text } = JSON.parse(line);
    if (from === "client") connection.fromClient(text);
    else if (from === "gateway") connection.fromGateway(text);
    else throw new Error(`${name}: "from" is ${JSON.stringify(from)}, not "client" or "gateway"`);
  }
}
console.log(String(log));
for (const violation of log.violations) console.log(violation);
process.exit(log.violations.length === 0 ? 0 : 1);
