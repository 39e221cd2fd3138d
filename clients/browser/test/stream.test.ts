/** Where no socket gets through: the same frames as Server-Sent Events, and requests for what the client has to say. */

import { afterEach, expect, it } from "vitest";
import { Browser, type Tab } from "./browser.js";
import { rest, until } from "./clock.js";
import type { JsonObject } from "../src/values.js";
import { FakeServer, FakeSocket } from "./server.js";

const tabs: Tab[] = [];
afterEach(() => tabs.splice(0).forEach(({ client }) => client.close()));

/** Answers the requests that stand for frames; sockets to it never open. */
class Walled extends FakeServer {
  readonly streams: { socket: FakeSocket; end: (code: number) => void }[] = [];
  blocked = 0;
  refuseChanges: Response | null = null;
  hasEvents = true;
  /** False: as under plain WSGI. */
  canPush = true;
  eventsAsked = 0;

  override readonly fetch = (async (input: string | URL | Request, init?: RequestInit) => {
    const url = new URL(String(input));
    if (!this.isUp) throw new TypeError("fetch failed");
    if (url.pathname === "/api/v0/events") this.eventsAsked++;
    if (url.pathname === "/api/v0/events" && !this.canPush) return Response.json({ code: "live_push_unavailable" }, { status: 501 });
    const [, named] = /by-name\/(\w+)/.exec(url.pathname) ?? [];
    if (named) return this.#open(named, JSON.parse(String(init?.body)));
    if (url.pathname === "/api/v0/session/heartbeat") return this.session ? Response.json({ session: this.session }) : Response.json({ code: "session_not_found" }, { status: 401 });
    if (url.pathname === "/api/v0/events" && this.hasEvents) return this.#stream(JSON.parse(url.searchParams.get("hello") as string), init?.signal as AbortSignal);
    const [, name, verb] = /documents\/doc-(\w+)\/(\w+)/.exec(url.pathname) ?? [];
    if (!name || !verb) return this.plain(input, init);
    const body = init?.body ? JSON.parse(String(init.body)) : { type: "request_sync" };
    this.calls.push({ route: `${init?.method ?? "GET"} ${verb}${url.search.replace(/device_id=[^&]*&?/, "")}`, body, headers: new Headers(init?.headers) });
    if (verb === "changes" && init?.method === "POST" && this.refuseChanges) return this.refuseChanges.clone();
    // What the socket would answer, taken from one that is nobody's.
    const heard: Record<string, unknown>[] = [];
    const socket = Object.assign(new FakeSocket(this, "", []), { readyState: 1, device: body.device_id ?? url.searchParams.get("device_id") });
    this.sockets.pop();
    socket.onmessage = ({ data }: MessageEvent) => void heard.push(JSON.parse(String(data)));
    const [epoch, version] = url.searchParams.get("since")?.split(".") ?? [];
    const type = verb === "checkpoints" ? "checkpoint" : init?.method === "POST" ? "change" : "request_sync";
    this.receive(socket, { ...body, type, document_id: `doc-${name}`, ...(epoch && { epoch, version: Number(version) }) });
    await Promise.resolve();
    const answer = heard.find((frame) => frame["type"] !== "state_update" || type === "request_sync") as Record<string, unknown>;
    return Response.json(type === "checkpoint" ? answer["checkpoint"] : answer, { status: answer["type"] === "nack" ? 409 : 200 });
  }) as typeof fetch;

  #open(name: string, { device_id, default: initial }: { device_id: string; default?: JsonObject }): Response {
    if (name === "forbidden") return Response.json({ code: "document_not_found", detail: "not yours" }, { status: 404 });
    const document = this.document(name, initial);
    const { id: document_id, epoch, version, state } = document;
    return Response.json({ document_id, name, epoch, version, state, device_no: document.deviceNo(device_id), last_seq: document.lastSeq(device_id) });
  }

  readonly plain = this.fetchPlain();

  fetchPlain(): typeof fetch {
    return (async (input) => {
      if (new URL(String(input)).pathname !== "/api/v0/session") return Response.json({ code: "not_found" }, { status: 404 });
      this.sessionReads++;
      return Response.json({ authenticated: this.session !== null, session: this.session });
    }) as typeof fetch;
  }

  override get Socket() {
    const server = this;
    return class extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(server, url, protocols);
        server.sockets.pop();
        server.blocked++;
        queueMicrotask(() => { this.shut(1006); });
        this.readyState = 2;
      }
    };
  }

  #stream(hello: { type: string }, signal: AbortSignal): Response {
    const socket = new FakeSocket(this, "events", []);
    socket.readyState = 1;
    let sink!: ReadableStreamDefaultController<Uint8Array>;
    const write = (text: string) => sink.enqueue(new TextEncoder().encode(text));
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void (sink = controller) });
    write(": sessile.v1\n\n");
    socket.onmessage = ({ data }: MessageEvent) => {
      const event = `data: ${data}\n\n`; // cut where it hurts
      write(event.slice(0, 9));
      write(event.slice(9));
    };
    const end = (code: number) => {
      write(`event: close\ndata: {"code":${code},"reason":""}\n\n`);
      sink.close();
      socket.readyState = 3;
    };
    this.streams.push({ socket, end });
    signal.addEventListener("abort", () => {
      socket.readyState = 3;
      try { sink.error(new DOMException("aborted", "AbortError")); } catch { /* it had ended */ }
    });
    queueMicrotask(() => this.receive(socket, hello));
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }
}

async function behindAWall(isSharing = false, canPush = true) {
  const server = new Walled();
  server.canPush = canPush;
  const browser = new Browser(server, { isSharing });
  const tab = browser.tab();
  tabs.push(tab);
  const doc = tab.client.open("d");
  for (let tries = 0; tries < 3 && tab.client.status !== "connected"; tries++) {
    await rest();
    tab.clock.advance(600);
  }
  await until(() => tab.client.status === "connected" && doc.confirmed !== null);
  return { server, browser, tab, doc };
}

it("two sockets that do not open, while the server answers, are enough: then events", async () => {
  const { server, tab, doc } = await behindAWall();
  expect([tab.client.transport, server.blocked, server.streams.length]).toEqual(["events", 2, 1]);
  server.write("d", [{ op: "set", path: "/elsewhere", value: 1 }]);
  await until(() => doc.state["elsewhere"] === 1);
  expect(doc.syncStatus).toBe("synchronized");
});

it("a server that is away is no reason to give sockets up", async () => {
  const server = new FakeServer();
  server.isUp = false;
  const tab = new Browser(server).tab();
  tabs.push(tab);
  for (let tries = 0; tries < 8; tries++) {
    await rest();
    tab.clock.advance(20_000);
  }
  await rest(); // the last try has failed, the next one is waited for
  server.isUp = true;
  tab.window.fire("online");
  await until(() => tab.client.status === "connected");
  expect(tab.client.transport).toBe("websocket");
});

it("where events do not get through either, sockets are tried again", async () => {
  const server = new Walled();
  server.hasEvents = false;
  const tab = new Browser(server).tab();
  tabs.push(tab);
  for (let tries = 0; server.blocked < 4; tries++) {
    if (tries > 30) throw new Error(`${server.blocked} sockets were tried`);
    await rest();
    tab.clock.advance(20_000);
  }
  expect(server.eventsAsked).toBeGreaterThan(0);
  expect(server.eventsAsked).toBeLessThanOrEqual(server.blocked / 2);
});

it("changes are posted in order and acknowledged; a refused one is told as on a socket", async () => {
  const { server, tab, doc } = await behindAWall();
  const changes = [1, 2, 3].map((n) => doc.set(`/n${n}`, n));
  expect(await Promise.all(changes.map(({ durable }) => durable))).toMatchObject(changes.map(() => ({ verdict: "applied" })));
  expect(server.document("d").state).toEqual({ n1: 1, n2: 2, n3: 3 });
  server.refuseChanges = Response.json({ code: "invalid_change", detail: "cannot be read" }, { status: 422 });
  doc.set("/n4", 4);
  await until(() => doc.problem === "cannot be read");
  expect(tab.client.status).toBe("connected");
});

it("a gap is filled and a conflict of numbers healed over HTTP as well", async () => {
  const { server, doc } = await behindAWall();
  server.document("d").commit("other", 1, [{ op: "set", path: "/missed", value: 1 }]);
  server.write("d", [{ op: "set", path: "/next", value: 2 }], "another");
  await until(() => doc.state["missed"] === 1 && doc.state["next"] === 2);
  expect(server.calls.map(({ route }) => route)).toContain("GET changes?since=e1.0");
});

it("another document is another stream, and a checkpoint is a request with its answer", async () => {
  const { server, tab, doc } = await behindAWall();
  const told: string[] = [];
  tab.client.on("connectionStatusChanged", ({ to }) => told.push(to));
  const others = await Promise.all([tab.client.document("e"), tab.client.document("f")]);
  await others[0].set("/a", 1).durable;
  expect(await doc.checkpoint({ label: "kept" })).toMatchObject({ checkpoint_id: "c9", label: "kept" });
  expect([server.streams.length <= 3, server.open.length, told]).toEqual([true, 1, []]);
});

it("the close event means what a close code means", async () => {
  const { server, tab } = await behindAWall();
  server.session = null;
  server.streams.at(-1)?.end(4501);
  await until(() => tab.client.status === "needs_auth");
});

it("a stream that breaks is made again, and nothing is lost or doubled", async () => {
  const { server, tab, doc } = await behindAWall();
  server.isUp = false;
  const { socket } = server.streams.at(-1) as { socket: FakeSocket };
  const change = doc.increment("/n"); // cannot be posted
  await change.local;
  await until(() => socket.readyState === 3);
  server.isUp = true;
  tab.window.fire("online");
  expect(await change.durable).toMatchObject({ verdict: "applied" });
  expect(server.document("d").state).toEqual({ n: 1 });
});

it("one stream serves all tabs of the browser, too", async () => {
  const { server, browser } = await behindAWall(true);
  const other = browser.tab();
  tabs.push(other);
  const doc = await other.client.document("d");
  await doc.set("/a", 1).durable;
  expect([other.client.role, server.open.length]).toEqual(["follower", 1]);
});

it("a server that cannot push is asked every five seconds, and at once for what this page has changed", async () => {
  const { server, tab, doc } = await behindAWall(false, false);
  expect([tab.client.transport, server.streams.length]).toEqual(["events", 0]);
  expect(await doc.set("/mine", 1).durable).toMatchObject({ verdict: "applied" });
  expect([doc.confirmed, doc.syncStatus]).toEqual([{ mine: 1 }, "synchronized"]);
  server.write("d", [{ op: "set", path: "/theirs", value: 2 }]);
  await rest();
  expect(doc.state["theirs"]).toBeUndefined();
  tab.clock.advance(5000);
  await until(() => doc.state["theirs"] === 2);
  expect(await doc.checkpoint({ label: "kept" })).toMatchObject({ label: "kept" });
  const other = await tab.client.document("other", { default: { a: 1 } });
  expect(other.state).toEqual({ a: 1 });
  await expect(tab.client.document("forbidden")).rejects.toMatchObject({ code: "document_not_found" });
  expect(tab.client.status).toBe("connected");
});

it("polling ends with the session, and goes on after an outage with what was typed meanwhile", async () => {
  const { server, tab, doc } = await behindAWall(false, false);
  server.isUp = false;
  tab.clock.advance(5000);
  await rest();
  tab.window.fire("offline");
  await until(() => tab.client.isOffline);
  const change = doc.increment("/n");
  await change.local;
  server.isUp = true;
  tab.window.fire("online");
  expect(await change.durable).toMatchObject({ verdict: "applied" });
  expect(server.document("d").state).toEqual({ n: 1 });
  server.session = null;
  for (let round = 0; round < 6 && tab.client.status !== "needs_auth"; round++) {
    tab.clock.advance(5000);
    await rest();
  }
  expect(tab.client.status).toBe("needs_auth");
});
