// Who called which method and was answered: with OPENCLAW_PARITY_DIR, each process writes what it saw there, for
// parity.mjs. A peer is known by how it introduced itself in `connect`, and by the test that drove it.
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

const folder = process.env.OPENCLAW_PARITY_DIR;
const test = path.basename(process.argv[1] ?? "");
const inBrowser = path.basename(path.dirname(process.argv[1] ?? "")) === "browser";
const seen = new Map();

/** The peer that is behind a connection. */
export function peerOf({ version = "", mode } = {}, protocol) {
  if (test === "check-frames.mjs") return "daemon";
  if (inBrowser) return test.startsWith("official-ui") ? "official-ui" : "page";
  if (["1.0.0", "2.1.0"].includes(version)) return "bare";
  // The old command line says no release of its own.
  if (test.startsWith("cli-v3") && protocol === 3) return "official-cli-v3";
  // The official programs say their release; the client library is another's, who says what they like.
  if (/^20\d\d\./.test(version)) return mode === "node" ? "official-node" : "official-cli-v4";
  return "official-library";
}

/** A call that was answered well. */
export function answered(client, protocol, method) {
  if (!folder) return;
  const peer = peerOf(client, protocol);
  if (!seen.has(peer)) seen.set(peer, new Set());
  if (seen.get(peer).has(method)) return;
  seen.get(peer).add(method);
  // At once: a run that is cut off has seen what it saw.
  mkdirSync(folder, { recursive: true });
  const all = Object.fromEntries([...seen].map(([peer, methods]) => [peer, [...methods].sort()]));
  writeFileSync(path.join(folder, `${test}-${process.pid}.json`), JSON.stringify(all));
}
