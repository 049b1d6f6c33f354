// Checks every frame of a connection, in and out, with the official validators and the rules of the wire that a
// schema cannot say: one final response per request, contiguous `seq`, `stateVersion` where it belongs.
import { answered } from "./parity-record.mjs";
import { eventCheck, eventFrame, paramsCheck, requestFrame, responseFrame, resultCheck } from "./schemas.mjs";

const STATE_VERSION_EVENTS = new Set(["presence", "health"]);
// Methods that only read: the gateway ignores params it does not know there, and in `connect`.
const LENIENT = new Set(["connect"]);

/** What a set of connections amounted to. */
export class FrameLog {
  constructor() {
    this.connections = 0;
    this.framesIn = 0;
    this.framesOut = 0;
    this.checkedParams = 0;
    this.checkedResults = 0;
    this.checkedEvents = 0;
    this.violations = [];
    this.withoutSchema = new Set();
    /** The hello-ok payloads and the errors that the gateway sent, in order. */
    this.hellos = [];
    this.errors = [];
  }

  connection(label) {
    this.connections += 1;
    return new ConnectionFrames(this, label ?? `connection ${this.connections}`);
  }

  add(other) {
    for (const key of ["connections", "framesIn", "framesOut", "checkedParams", "checkedResults", "checkedEvents"]) {
      this[key] += other[key];
    }
    this.violations.push(...other.violations);
    for (const item of other.withoutSchema) this.withoutSchema.add(item);
  }

  toString() {
    const checked = `${this.checkedParams} params, ${this.checkedResults} results, ${this.checkedEvents} event payloads`;
    return (
      `frames: ${this.framesIn} in and ${this.framesOut} out on ${this.connections} connections, ` +
      `every envelope and ${checked} checked, ${this.violations.length} violations; ` +
      `without an official schema: ${[...this.withoutSchema].sort().join(", ") || "none"}`
    );
  }
}

/** The frames of one socket, in the order in which they crossed it. */
export class ConnectionFrames {
  constructor(log, label) {
    this.log = log;
    this.label = label;
    this.pending = new Map();
    this.protocol = undefined;
    this.lastSeq = 0;
    this.lastStateVersion = { presence: 0, health: 0 };
  }

  /** A text from the client. */
  fromClient(text) {
    this.log.framesIn += 1;
    const frame = parse(text);
    const envelope = frame === undefined ? [{ text: "not JSON" }] : requestFrame(frame);
    if (envelope) {
      // Hostile on purpose, perhaps: it only must not be accepted, which shows as an answer to a request.
      if (typeof frame?.id === "string") this.pending.set(frame.id, { method: frame.method, refused: envelope });
      return;
    }
    const request = { method: frame.method };
    if (frame.method === "connect") this.client = frame.params?.client;
    const check = paramsCheck(frame.method);
    if (check) {
      this.log.checkedParams += 1;
      // Upstream takes absent params for an empty object.
      request.refused = check(frame.params ?? {});
    } else if (check === null) {
      this.log.withoutSchema.add(`${frame.method} params`);
    } else {
      // Settled by the answer: an unknown method is only right when it is refused.
      request.unlisted = true;
    }
    this.pending.set(frame.id, request);
  }

  /** A text from the gateway. */
  fromGateway(text) {
    this.log.framesOut += 1;
    const frame = parse(text);
    if (frame === undefined) return this.#violation("the gateway sent a text that is not JSON", text);
    if (frame.type === "event") return this.#event(frame, text);
    if (frame.type === "res") return this.#response(frame, text);
    return this.#violation(`the gateway sent a frame of type ${JSON.stringify(frame.type)}`, text);
  }

  #event(frame, text) {
    this.#report(`event ${frame.event} envelope`, eventFrame(frame), text);
    if (this.protocol === undefined && frame.event !== "connect.challenge") {
      this.#violation(`event ${frame.event} before hello-ok`, text);
    }
    if (frame.seq !== undefined) {
      if (frame.seq !== this.lastSeq + 1) {
        this.#violation(`seq ${frame.seq} after ${this.lastSeq}`, text);
      }
      this.lastSeq = frame.seq;
    }
    if ((frame.stateVersion !== undefined) !== STATE_VERSION_EVENTS.has(frame.event)) {
      this.#violation(`stateVersion belongs on presence and health, and only there (${frame.event})`, text);
    }
    if (frame.stateVersion) {
      for (const key of ["presence", "health"]) {
        if (frame.stateVersion[key] < this.lastStateVersion[key]) {
          this.#violation(`stateVersion.${key} went back to ${frame.stateVersion[key]}`, text);
        }
      }
      this.lastStateVersion = frame.stateVersion;
    }
    if (this.protocol === 3) return;
    const check = eventCheck(frame.event);
    if (frame.event === "health" && frame.payload?.ok === false) {
      // The official gateway's health is always well; a gateway in trouble that says so has no shape there.
      this.log.withoutSchema.add("health event of a gateway in trouble");
    } else if (check) {
      this.log.checkedEvents += 1;
      this.#report(`event ${frame.event} payload`, check(frame.payload), text);
    } else if (check === null) {
      this.log.withoutSchema.add(`${frame.event} event`);
    } else {
      this.#violation(`event ${frame.event} has no official schema and is not listed as such`, text);
    }
  }

  #response(frame, text) {
    this.#report("response envelope", responseFrame(frame), text);
    const request = this.pending.get(frame.id);
    if (!request) {
      if (frame.id !== "invalid") this.#violation(`a response to id ${frame.id}, which is not awaited`, text);
      return;
    }
    const accepted = TWO_PHASE.has(request.method) && frame.ok && frame.payload?.status === "accepted";
    if (!accepted) this.pending.delete(frame.id);
    if (!frame.ok) {
      if (frame.error) this.log.errors.push({ method: request.method, error: frame.error });
      else this.#violation(`${request.method}: ok is false and there is no error`, text);
      return;
    }
    if (request.method === "connect") {
      this.protocol = frame.payload?.protocol;
      this.log.hellos.push(frame.payload);
      const version = frame.payload?.snapshot?.stateVersion;
      if (version) this.lastStateVersion = version;
    }
    answered(this.client, this.protocol, request.method);
    if (this.protocol === 3) return;
    if (request.refused && !isLeniency(request)) {
      this.#report(`${request.method} params were accepted although`, request.refused, text);
    }
    if (request.unlisted) {
      this.#violation(`${request.method} has no official params schema and is not listed as such`, text);
    }
    const check = resultCheck(request.method);
    if (request.method === "health" && (frame.payload?.ok === false || frame.payload?.load)) {
      // As with its event: trouble, and what is let go of for want of memory, have no shape there.
      this.log.withoutSchema.add("health result of a gateway in trouble");
    } else if (check) {
      this.log.checkedResults += 1;
      this.#report(`${request.method} result`, check(frame.payload), text);
    } else if (check === null) {
      this.log.withoutSchema.add(`${request.method} result`);
    } else {
      this.#violation(`${request.method} has no official result schema and is not listed as such`, text);
    }
  }

  #report(what, errors, text) {
    if (errors) this.#violation(`${what}: ${errors.map((e) => e.text).join("; ")}`, text);
  }

  #violation(what, text) {
    this.log.violations.push(`${this.label}: ${what}\n    ${text.length > 600 ? `${text.slice(0, 600)}…` : text}`);
  }
}

// Answered twice: `accepted`, and the end.
const TWO_PHASE = new Set(["agent", "exec.approval.request"]);

// Keys of newer clients are ignored where the gateway says so.
function isLeniency(request) {
  return LENIENT.has(request.method) && request.refused.every((e) => e.keyword === "additionalProperties");
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
