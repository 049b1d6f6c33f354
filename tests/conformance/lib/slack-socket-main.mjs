// Slack's Socket Mode as a program: its address comes on stdout, callbacks to deliver are lines on stdin.
import { createInterface } from "node:readline";
import { startSlackSocket } from "./slack-socket.mjs";

const [apiRoot, appToken] = process.argv.slice(2);
const socket = await startSlackSocket({ apiRoot, appToken });
console.log(JSON.stringify({ baseUrl: new URL(socket.apiRoot).origin }));
for await (const line of createInterface({ input: process.stdin })) void socket.deliver(JSON.parse(line));
process.exit(0);
