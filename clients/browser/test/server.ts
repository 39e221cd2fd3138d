/** A server small enough to be read: it keeps protocol/README.md for documents, verdicts, resumes and identities. */

import { createHash } from "node:crypto";
import { applyOperations, type Operation, OperationFault } from "../src/operations.js";
import { canonical } from "../src/canonical.js";
import type { SocketLike } from "../src/environment.js";
import type { JsonObject } from "../src/values.js";

type Frame = { type: string; [field: string]: any };

interface LoggedChange {
  version: number;
  generation: number;
  device_no: number;
  seq: number | null;
  operations: Operation[];
  verdict: string;
  at: string;
  detail?: object;
  device_id: string | null;
}

export class ServerDocument {
  readonly id: string;
  epoch = "e1";
  generation = 0;
  state: JsonObject;
  log: LoggedChange[] = [];
  readonly numbers = new Map<string, number>();

  constructor(readonly name: string, initial: JsonObject) {
    this.id = `doc-${name}`;
    this.state = initial;
  }

  get version(): number { return this.log.length; }
  lastSeq(device: string): number { return this.log.filter((change) => change.device_id === device).length; }

  deviceNo(device: string): number {
    if (!this.numbers.has(device)) this.numbers.set(device, this.numbers.size + 1);
    return this.numbers.get(device) as number;
  }

  commit(device: string | null, seq: number | null, operations: Operation[], verdict?: string): LoggedChange {
    const change: LoggedChange = {
      version: this.version + 1, generation: this.generation, device_no: device === null ? 0 : this.deviceNo(device), seq, operations,
      verdict: verdict ?? "applied", at: "2026-01-01T00:00:00.000Z", device_id: device,
    };
    if (verdict === undefined) {
      try {
        const next = applyOperations(this.state, operations).state;
        if (next === this.state) change.verdict = "noop";
        this.state = next;
      } catch (error) {
        if (!(error instanceof OperationFault)) throw error;
        change.verdict = "rejected";
        change.detail = { code: error.code, message: error.message };
      }
    }
    this.log.push(change);
    return change;
  }
}

export class FakeSocket implements SocketLike {
  readyState = 0;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  readonly received: Frame[] = [];
  device = "";
  readonly documents = new Set<ServerDocument>();
  closedByClient: number | null = null;

  constructor(readonly server: FakeServer, readonly url: string, readonly protocols: string[]) {
    server.sockets.push(this);
    queueMicrotask(() => {
      if (this.readyState !== 0) return;
      if (!server.isUp) return this.shut(1006);
      this.readyState = 1;
      this.onopen?.(new Event("open"));
    });
  }

  send(data: string): void {
    const frame = JSON.parse(data) as Frame;
    this.received.push(frame);
    if (this.server.isUp) queueMicrotask(() => this.readyState === 1 && this.server.receive(this, frame));
  }

  close(code = 1005): void {
    this.closedByClient = code;
    this.readyState = 3;
  }

  /** The server, or the network, ends it. */
  shut(code: number): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.(Object.assign(new Event("close"), { code, reason: "", wasClean: code !== 1006 }) as CloseEvent);
  }

  tell(frame: object): void {
    this.tellText(JSON.stringify(frame));
  }

  tellText(text: string): void {
    if (this.readyState === 1) this.onmessage?.({ data: text } as MessageEvent);
  }

  get changes(): { seq: number; operations: Operation[]; base_version: number; generation: number }[] {
    return this.received.filter((frame) => frame.type === "change").flatMap((frame) => frame["changes"]);
  }
}

export class FakeServer {
  isUp = true;
  /** Answers changes; off: they arrive, are committed, and the answer never comes. */
  isAnswering = true;
  /** Set to refuse instead of committing. */
  refuseWith: Frame | null = null;
  session: Frame["session"] | null = sessionOf("u1");
  readonly sockets: FakeSocket[] = [];
  readonly documents = new Map<string, ServerDocument>();
  sessionReads = 0;
  /** What a socket on a platform of its own is told of it. */
  ownPlatform: (id: string) => object | null = () => null;

  /** Further routes, like `POST /api/v0/session/extend`, and what was asked of them. */
  readonly routes = new Map<string, (body: any) => Response | Promise<Response>>();
  readonly calls: { route: string; body: any; headers: Headers }[] = [];

  /** Of the latest request. */
  lastInit: RequestInit | undefined;

  readonly fetch = (async (input: string | URL | Request, init?: RequestInit) => {
    if (!this.isUp) throw new TypeError("fetch failed");
    const path = new URL(String(input)).pathname;
    this.lastInit = init;
    const route = `${init?.method ?? "GET"} ${path}`;
    const answer = this.routes.get(route);
    if (answer) {
      const body = typeof init?.body === "string" ? JSON.parse(init.body) : null;
      this.calls.push({ route, body, headers: new Headers(init?.headers) });
      return answer(body);
    }
    if (path === "/api/v0/session") {
      this.sessionReads++;
      return Response.json({ authenticated: this.session !== null, session: this.session });
    }
    if (path.endsWith("/checkpoints")) return Response.json({ checkpoints: [{ checkpoint_id: "c1" }] });
    return Response.json({ code: "document_not_found", detail: "no such document" }, { status: 404 });
  }) as typeof fetch;

  get Socket(): new (url: string, protocols: string[]) => SocketLike {
    const server = this;
    return class extends FakeSocket {
      constructor(url: string, protocols: string[]) { super(server, url, protocols); }
    };
  }

  get open(): FakeSocket[] { return this.sockets.filter((socket) => socket.readyState === 1); }
  get latest(): FakeSocket { return this.sockets.at(-1) as FakeSocket; }

  document(name: string, initial: JsonObject = {}): ServerDocument {
    const known = this.documents.get(name) ?? new ServerDocument(name, initial);
    this.documents.set(name, known);
    return known;
  }

  /** The network goes: every socket dies and nothing can be reached. */
  goDown(): void {
    this.isUp = false;
    for (const socket of this.open) socket.shut(1006);
  }

  receive(socket: FakeSocket, frame: Frame): void {
    switch (frame.type) {
      case "hello": return this.#hello(socket, frame);
      case "subscribe":
        socket.tell({ type: "subscribed", request_id: frame["request_id"], documents: frame["documents"].map((wanted: Frame) => this.#opened(socket, wanted)) });
        return frame["documents"].forEach((wanted: Frame) => this.#resume(socket, this.document(wanted["name"]), wanted));
      case "change": return this.#change(socket, frame);
      case "request_sync": return this.#resume(socket, this.#byId(frame["document_id"]), frame);
      case "checkpoint":
        return socket.tell({ type: "checkpoint_saved", document_id: frame["document_id"], epoch: "e1", version: 1, timestamp: "", request_id: frame["request_id"], checkpoint: { checkpoint_id: "c9", label: frame["label"] } });
    }
  }

  /** A change by somebody else, told to everybody who has the document open. */
  write(name: string, operations: Operation[], device = "other-device"): void {
    const document = this.document(name);
    this.publish(document, document.commit(device, document.lastSeq(device) + 1, operations));
  }

  publish(document: ServerDocument, change: LoggedChange): void {
    for (const socket of this.open) if (socket.documents.has(document)) socket.tell(this.#update(document, change.version - 1, [change]));
  }

  ping(socket: FakeSocket): void {
    const heads = Object.fromEntries([...socket.documents].map((document) => [document.id, [document.epoch, document.version]]));
    socket.tell({ type: "ping", at: "2026-01-01T00:00:00.000Z", heads });
  }

  #hello(socket: FakeSocket, frame: Frame): void {
    if (!this.session) return socket.shut(4504);
    if ("user_id" in frame && frame["user_id"] !== (this.session.user?.id ?? null)) return socket.shut(4503);
    socket.device = frame["device_id"];
    const documents = frame["documents"].map((wanted: Frame) => this.#opened(socket, wanted));
    socket.tell({
      type: "welcome", connection_id: "k", server_time: "", session: frame["platform_id"] ? { ...this.session, platform: this.ownPlatform(frame["platform_id"]) } : this.session, ping_interval_ms: 20_000, lost_after_ms: 35_000, limits: {}, documents,
    });
    frame["documents"].forEach((wanted: Frame) => this.#resume(socket, this.document(wanted["name"]), wanted));
  }

  #opened(socket: FakeSocket, wanted: Frame): object {
    const document = this.document(wanted["name"], wanted["default"]);
    socket.documents.add(document);
    return {
      document_id: document.id, name: document.name, device_no: document.deviceNo(socket.device), last_seq: document.lastSeq(socket.device),
      epoch: document.epoch, version: document.version,
    };
  }

  #byId(id: string): ServerDocument {
    return [...this.documents.values()].find((document) => document.id === id) as ServerDocument;
  }

  #resume(socket: FakeSocket, document: ServerDocument, at: Frame): void {
    if (at["epoch"] === document.epoch && at["version"] <= document.version) {
      return socket.tell(this.#update(document, at["version"], document.log.slice(at["version"])));
    }
    socket.tell({
      type: "initial_state", document_id: document.id, name: document.name, epoch: document.epoch, version: document.version, generation: document.generation,
      timestamp: "", state: document.state, hash: hashOf(document.state), last_seq: document.lastSeq(socket.device), conflicts: [],
    });
  }

  #update(document: ServerDocument, from: number, changes: LoggedChange[]): object {
    return {
      type: "state_update", document_id: document.id, epoch: document.epoch, generation: document.generation, from, to: from + changes.length, timestamp: "",
      changes: changes.map(({ device_id: _hidden, ...change }) => change),
    };
  }

  #change(socket: FakeSocket, frame: Frame): void {
    const document = this.#byId(frame["document_id"]);
    if (this.refuseWith) return socket.tell({ document_id: document.id, ...this.refuseWith });
    const done: LoggedChange[] = [];
    const nack = (reason: string) => socket.tell({ type: "nack", document_id: document.id, expected_seq: document.lastSeq(socket.device) + 1, reason });
    for (const { seq, operations } of frame["changes"]) {
      const own = document.log.filter((change) => change.device_id === socket.device);
      const known = own[seq - 1];
      if (known && canonical(known.operations as never) !== canonical(operations)) return nack("identity_reused");
      if (!known && seq !== own.length + 1) return nack("gap");
      const change = known ?? document.commit(socket.device, seq, operations);
      if (!known) this.publish(document, change);
      done.push(change);
    }
    if (!this.isAnswering) return;
    const verdicts = done.map(({ seq, version, verdict, detail }) => ({ seq, version, verdict, ...(detail && { detail }) }));
    socket.tell({ type: "ack", document_id: document.id, epoch: document.epoch, seq: done.at(-1)?.seq, verdicts });
  }
}

/** As the server refuses (RFC 9457). */
export const refusal = (status: number, code: string, more: object = {}): Response => Response.json({ code, detail: code, ...more }, { status });

export function sessionOf(user: string | null, session_id = "s1"): object & { user: { id: string } | null } {
  return {
    session_id, user: user === null ? null : { id: user }, platform: null, created_at: "", last_activity: "", idle_expires_at: "", absolute_expires_at: "",
  } as never;
}

export const hashOf = (state: JsonObject): string => createHash("sha256").update(canonical(state)).digest("hex").slice(0, 16);
