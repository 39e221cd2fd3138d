/**
 * Servers and their database, small enough to be read, faithful in what clients can notice: group commit, answers after it, fan-out over a bus
 * that loses, doubles and reorders, numbers without gaps, verdicts that are kept, resumes, conflicts, restores, terms, pings with heads.
 */

import { canonical } from "../../src/canonical.js";
import { applyOperations, type Operation, OperationFault } from "../../src/operations.js";
import type { Json, JsonObject } from "../../src/values.js";
import { hashOf } from "../server.js";
import { Process, type World } from "./scheduler.js";
import type { Link } from "./network.js";

export type Frame = { type: string; [field: string]: any };
interface Sent { seq: number; base_version: number; generation: number; operations: Operation[] }
export interface Line {
  version: number; generation: number; device_no: number; seq: number | null; operations: Operation[]; verdict: string; at: string;
  detail?: object; conflicts?: object[]; resolved?: string[]; hash?: string;
}
interface Touch { version: number; device: string; path: string }

export const PING_MS = 20_000;
export const LOST_MS = 35_000;
const DELTA_MAX = 512;

export class Document {
  epoch = "e1";
  generation = 0;
  log: Line[] = [];
  /** The state at each version. */
  states: JsonObject[];
  readonly numbers = new Map<string, number>();
  readonly answered = new Map<string, Line[]>();
  readonly conflicts = new Map<string, Frame>();
  readonly #touches: Touch[] = [];

  constructor(readonly name: string, initial: JsonObject) { this.states = [initial]; }

  get id(): string { return `doc-${this.name}`; }
  get version(): number { return this.log.length; }
  get state(): JsonObject { return this.states[this.version] as JsonObject; }
  lastSeq(device: string): number { return this.answered.get(device)?.length ?? 0; }
  deviceNo(device: string): number {
    if (!this.numbers.has(device)) this.numbers.set(device, this.numbers.size + 1);
    return this.numbers.get(device) as number;
  }

  /** The line of the log for a change; a word when it cannot be taken. */
  take(device: string, change: Sent): { line: Line; isNew: boolean } | "gap" | "identity_reused" {
    const own = this.answered.get(device) ?? [];
    const known = own[change.seq - 1];
    if (known) {
      const isSame = canonical(known.operations.slice(0, change.operations.length) as unknown as Json) === canonical(change.operations as unknown as Json);
      return isSame ? { line: known, isNew: false } : "identity_reused";
    }
    if (change.seq !== own.length + 1) return "gap";
    const line = this.#judged(device, change);
    this.answered.set(device, [...own, line]);
    return { line, isNew: true };
  }

  #judged(device: string, change: Sent): Line {
    const line: Line = {
      version: this.version + 1, generation: this.generation, device_no: this.deviceNo(device), seq: change.seq, operations: change.operations, verdict: "applied", at: "t",
    };
    let state = this.state;
    try {
      if (change.generation < this.generation) {
        line.verdict = "conflict";
        line.detail = { code: "superseded", message: "made before a restore" };
      } else {
        const opened = this.#collisions(device, change);
        const { caused, resolved } = this.#resolutions(change);
        line.operations = [...change.operations, ...caused];
        state = applyOperations(state, line.operations).state;
        if (state === this.state && resolved.length === 0) line.verdict = "noop";
        else {
          for (const id of resolved) this.conflicts.delete([...this.conflicts].find(([, { conflict_id }]) => conflict_id === id)![0]);
          for (const conflict of opened) this.conflicts.set(conflict["path"], conflict);
          if (opened.length) line.conflicts = opened;
          if (resolved.length) line.resolved = resolved;
          for (const operation of line.operations) if ("path" in operation && operation.path) this.#touches.push({ version: line.version, device, path: operation.path });
        }
      }
    } catch (error) {
      if (!(error instanceof OperationFault)) throw error;
      Object.assign(line, { verdict: "rejected", operations: change.operations, detail: { code: error.code, message: error.message } });
      state = this.state;
    }
    this.#append(line, state);
    return line;
  }

  #collisions(device: string, change: Sent): Frame[] {
    const winner_device_no = this.deviceNo(device);
    return change.operations.flatMap((operation): Frame[] => {
      if (operation.op !== "set") return [];
      const other = this.#touches.find((touch) => touch.version > change.base_version && touch.device !== device && touch.path === operation.path);
      if (!other) return [];
      const conflict_id = this.conflicts.get(operation.path)?.["conflict_id"] ?? `c${this.version + 1}${operation.path}`;
      return [{
        type: "conflict", conflict_id, path: operation.path, reason: "concurrent", winner: operation.value, loser_device_no: this.deviceNo(other.device), winner_device_no,
        version: this.version + 1, opened_at: "t",
      }];
    });
  }

  #resolutions(change: Sent): { caused: Operation[]; resolved: string[] } {
    const [caused, resolved]: [Operation[], string[]] = [[], []];
    for (const operation of change.operations) {
      if (operation.op !== "resolve") continue;
      const found = [...this.conflicts.values()].find(({ conflict_id }) => conflict_id === operation.conflict_id);
      if (!found) throw new OperationFault("not_an_object", ""); // closed by somebody else: rejected
      caused.push({ op: "set", path: found["path"], value: operation.value as Json });
      resolved.push(operation.conflict_id);
    }
    return { caused, resolved };
  }

  restore(version: number): Line {
    this.generation++;
    const value = this.states[version] as JsonObject;
    const line: Line = { version: this.version + 1, generation: this.generation, device_no: 0, seq: null, operations: [{ op: "replace", value }], verdict: "applied", at: "t" };
    this.#append(line, value);
    return line;
  }

  #append(line: Line, state: JsonObject): void {
    if (line.version % 32 === 0) line.hash = hashOf(state);
    this.log.push(line);
    this.states.push(state);
  }
}

export class Database {
  isAway = false;
  readonly documents = new Map<string, Document>();
  /** The terms that were said by each device: no two tabs may say the same one. */
  readonly terms = new Map<string, number>();

  byId(id: string): Document { return [...this.documents.values()].find((document) => document.id === id) as Document; }
  byName(name: string, initial: JsonObject = {}): Document {
    if (!this.documents.has(name)) this.documents.set(name, new Document(name, initial));
    return this.documents.get(name) as Document;
  }
}

interface Conn { link: Link; device: string; term: number | null; documents: Set<Document>; isLive: boolean; news: Frame[]; heardAt: number }

export class Node extends Process {
  readonly #conns = new Map<Link, Conn>();
  #queue: { conn: Conn; document: Document; changes: Sent[] }[] = [];
  #isCommitting = false;
  #life = 0;
  peers: readonly Node[] = [];

  constructor(readonly world: World, readonly database: Database, readonly name: string) { super(); }

  get links(): Link[] { return [...this.#conns.keys()]; }

  /** kill -9: everything in memory is gone. */
  kill(): void {
    this.isAlive = false;
    this.#life++;
    this.#queue = [];
    this.#isCommitting = false;
    for (const link of this.links) link.serverDied();
    this.#conns.clear();
  }

  start(): void { this.isAlive = true; }

  accepted(link: Link): void {
    this.#conns.set(link, { link, device: "", term: null, documents: new Set(), isLive: false, news: [], heardAt: this.world.now });
    this.#later(this.world.between(0, PING_MS), () => this.#ping(link));
  }

  closed(link: Link): void { this.#conns.delete(link); }

  received(link: Link, text: string): void {
    const conn = this.#conns.get(link);
    if (!conn) return;
    conn.heardAt = this.world.now;
    const frame = JSON.parse(text) as Frame;
    switch (frame.type) {
      case "hello": return this.#hello(conn, frame);
      case "subscribe": return this.#subscribe(conn, frame["documents"], (documents) => ({ type: "subscribed", request_id: frame["request_id"], documents }));
      case "unsubscribe": return void conn.documents.delete(this.database.byId(frame["document_id"]));
      case "request_sync": return this.#later(2, () => this.#resume(conn, this.database.byId(frame["document_id"]), frame));
      case "change":
        this.#queue.push({ conn, document: this.database.byId(frame["document_id"]), changes: frame["changes"] });
        return this.#commitSoon();
    }
  }

  #hello(conn: Conn, frame: Frame): void {
    conn.device = frame["device_id"];
    conn.term = frame["term"] ?? null;
    for (const other of conn.term === null ? [] : [...this.#conns.values()]) {
      if (other === conn || other.device !== conn.device || other.term === null) continue;
      this.#shut((conn.term as number) < other.term ? conn : other, 4409);
    }
    if (!this.#conns.has(conn.link)) return;
    this.#subscribe(conn, frame["documents"], (documents) => ({
      type: "welcome", connection_id: "k", server_time: "", session: conn.link.session, ping_interval_ms: PING_MS, lost_after_ms: LOST_MS, limits: {}, documents,
    }));
  }

  /** Subscribes before it reads; what is committed meanwhile is sent after what was read. */
  #subscribe(conn: Conn, wanted: Frame[], answer: (documents: object[]) => object): void {
    const documents = wanted.map((each) => this.database.byName(each["name"], each["default"]));
    conn.isLive = false;
    for (const document of documents) conn.documents.add(document);
    this.#later(this.world.between(1, 8), () => {
      const opened = documents.map((document) => ({
        document_id: document.id, name: document.name, device_no: document.deviceNo(conn.device), last_seq: document.lastSeq(conn.device), epoch: document.epoch, version: document.version,
      }));
      this.#tell(conn, answer(opened));
      documents.forEach((document, index) => this.#resume(conn, document, wanted[index] as Frame));
      conn.isLive = true;
      for (const frame of conn.news.splice(0)) this.#tell(conn, frame);
    });
  }

  #resume(conn: Conn, document: Document, at: Frame): void {
    const isKnown = at["epoch"] === document.epoch && at["version"] <= document.version && document.version - at["version"] <= DELTA_MAX;
    if (isKnown) return this.#tell(conn, update(document, at["version"], document.log.slice(at["version"])));
    this.#tell(conn, {
      type: "initial_state", document_id: document.id, name: document.name, epoch: document.epoch, version: document.version, generation: document.generation, timestamp: "",
      state: document.state, hash: hashOf(document.state), last_seq: document.lastSeq(conn.device), conflicts: [...document.conflicts.values()],
    });
  }

  #commitSoon(): void {
    if (this.#isCommitting || this.#queue.length === 0) return;
    this.#isCommitting = true;
    const batch = this.#queue.splice(0);
    this.#later(this.world.between(1, 12), () => {
      const { isAway } = this.database;
      const answers: (() => void)[] = [];
      const news: [Document, Line[]][] = [];
      // Away: before the commit, or after it, which nobody can tell apart.
      if (!isAway || this.world.chance(0.3)) for (const { conn, document, changes } of batch) this.#judge(conn, document, changes, answers, news);
      this.#later(this.world.between(0, 4), () => {
        if (isAway) for (const { conn, document, changes } of batch) this.#nack(conn, document, "unavailable", (changes[0] as Sent).seq);
        else {
          for (const answer of answers) answer();
          for (const [document, lines] of news) this.publish(document, lines);
        }
        this.#isCommitting = false;
        this.#commitSoon();
      });
    });
  }

  #judge(conn: Conn, document: Document, changes: Sent[], answers: (() => void)[], news: [Document, Line[]][]): void {
    const [lines, fresh]: [Line[], Line[]] = [[], []];
    for (const change of changes) {
      const taken = document.take(conn.device, change);
      if (typeof taken === "string") {
        answers.push(() => this.#nack(conn, document, taken));
        break;
      }
      lines.push(taken.line);
      if (taken.isNew) fresh.push(taken.line);
    }
    if (fresh.length) news.push([document, fresh]);
    const last = lines.at(-1);
    if (!last) return;
    const verdicts = lines.map(({ seq, version, verdict, detail }) => ({ seq, version, verdict, ...(detail && { detail }) }));
    answers.push(() => this.#tell(conn, { type: "ack", document_id: document.id, epoch: document.epoch, seq: last.seq, verdicts }));
  }

  #nack(conn: Conn, document: Document, reason: string, expected_seq = document.lastSeq(conn.device) + 1): void {
    this.#tell(conn, { type: "nack", document_id: document.id, expected_seq, reason, ...(reason === "unavailable" && { retry_after_ms: 500 }) });
  }

  /** What was committed goes to this process's sockets and, by the bus, to the others. */
  publish(document: Document, lines: readonly Line[]): void {
    const frame = update(document, (lines[0] as Line).version - 1, lines);
    this.#heard(document, frame);
    for (const peer of this.peers) {
      if (this.world.chance(0.08)) continue; // lost
      for (let copies = this.world.chance(0.08) ? 2 : 1; copies > 0; copies--) {
        this.world.at(this.world.between(0.5, this.world.chance(0.2) ? 80 : 5), () => peer.#heard(document, frame), peer);
      }
    }
  }

  #heard(document: Document, frame: Frame): void {
    for (const conn of this.#conns.values()) {
      if (!conn.documents.has(document)) continue;
      if (conn.isLive) this.#tell(conn, frame);
      else conn.news.push(frame);
    }
  }

  #ping(link: Link): void {
    const conn = this.#conns.get(link);
    if (!conn) return;
    if (this.world.now - conn.heardAt > LOST_MS) return this.#shut(conn, 4000);
    if (conn.isLive) {
      const heads = Object.fromEntries([...conn.documents].map((document) => [document.id, [document.epoch, document.version]]));
      this.#tell(conn, { type: "ping", at: "t", heads });
    }
    this.#later(PING_MS, () => this.#ping(link));
  }

  #shut(conn: Conn, code: number): void {
    this.#conns.delete(conn.link);
    conn.link.down({ code });
  }

  #tell(conn: Conn, frame: object): void {
    if (this.#conns.has(conn.link)) conn.link.down({ text: JSON.stringify(frame) });
  }

  /** For as long as this process lives. */
  #later(delay_ms: number, work: () => void): void {
    const life = this.#life;
    this.world.at(delay_ms, () => life === this.#life && work(), this);
  }
}

function update(document: Document, from: number, changes: readonly Line[]): Frame {
  return { type: "state_update", document_id: document.id, epoch: document.epoch, generation: document.generation, from, to: from + changes.length, timestamp: "", changes };
}
