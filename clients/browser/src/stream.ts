/**
 * What looks like a socket where none gets through: the server's frames as Server-Sent Events, the client's as requests
 * (protocol/README.md, "Server-Sent Events"). Read with `fetch`, which unlike `EventSource` can say a token in a header and does not come
 * back behind the connection's back.
 */

import { DOCUMENTS_MAX } from "./documents.js";
import type { SocketLike, Timers } from "./environment.js";
import { isSessileError, type SessileError } from "./errors.js";
import type { JsonObject } from "./values.js";
import { type Hello, Polling } from "./polling.js";
import type { PageHttp } from "./http.js";

interface Sent {
  readonly type: string;
  readonly document_id: string;
  readonly request_id: string;
  readonly [field: string]: unknown;
}

/** As a connection that broke without a word. */
const BROKEN = 1006;
const UNAUTHENTICATED = 4504;
const NO_PUSH = "live_push_unavailable";

export class StreamSocket implements SocketLike {
  readyState = 0;
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  onerror: SocketLike["onerror"] = null;

  readonly #abort = new AbortController();
  #deviceId = "";
  /** Requests go out one after another: changes have an order. */
  #last: Promise<unknown> = Promise.resolve();
  #isRestarting = false;
  /** For a server that cannot push. */
  #polling: Polling | null = null;
  /** The hello names as many documents as it may: no other one would hold more. */
  #isFull = false;

  /** `restart` asks for another stream: what is subscribed is said in the hello and nowhere else. */
  constructor(private readonly http: PageHttp, private readonly timers: Timers, private readonly restart: () => void) {
    queueMicrotask(() => {
      if (this.readyState !== 0) return;
      this.readyState = 1;
      this.onopen?.(new Event("open"));
    });
  }

  send(text: string): void {
    const frame = JSON.parse(text) as Sent;
    const { type, document_id: id, request_id, ...rest } = frame;
    const path = `api/v0/documents/${id}/`;
    const device_id = this.#deviceId;
    switch (type) {
      case "hello": return this.#listen(frame);
      case "change": return this.#ask(id, async () => {
        this.#tell(await this.http.json(`${path}changes`, "POST", { device_id, ...rest }, [409]));
        await this.#polling?.look(id);
      });
      case "request_sync": {
        const since = frame["epoch"] === undefined ? "" : `&since=${frame["epoch"]}.${frame["version"]}`;
        return this.#ask(id, async () => this.#tell(await this.http.json(`${path}changes?device_id=${device_id}${since}`)));
      }
      case "checkpoint": // its id makes a repetition harmless
        return this.#ask(request_id, async () => {
          const checkpoint = (await this.http.json(`${path}checkpoints`, "POST", { device_id, request_id, ...rest })) as JsonObject;
          this.#answer(request_id, checkpoint, { type: "checkpoint_saved", document_id: id, checkpoint });
        });
      case "restore":
        return this.#ask(request_id, async () => {
          const body = (await this.http.json(`${path}restore`, "POST", { device_id, ...rest })) as JsonObject;
          this.#answer(request_id, body, body);
          await this.#polling?.look(id);
        });
      case "subscribe":
      case "unsubscribe": return this.#begin();
    }
    // A pong is given by the server to itself; who looks is told by the next stream.
  }

  close(): void {
    this.readyState = 3;
    this.#abort.abort();
    this.#polling?.stop();
  }

  /** Several documents that are opened at about the same time are one other stream. */
  #begin(): void {
    if (this.#isRestarting || this.#isFull) return;
    this.#isRestarting = true;
    queueMicrotask(() => this.readyState === 1 && this.restart());
  }

  /** Does one after the other. What the server refuses is told as an error about `ref`; what does not reach it ends the stream. */
  #ask(ref: string, work: () => Promise<unknown>): void {
    const ask = async () => {
      if (this.readyState !== 1) return;
      try {
        await work();
      } catch (error) {
        if (!isSessileError(error) || error.status === null || error.status === 401) return this.#failed(error);
        this.#tell({ type: "error", code: error.code, message: error.message, retryable: error.retryable, ref });
      }
    };
    this.#last = this.#last.then(ask);
  }

  /** A stream says by itself what has come of it, without the number of the request; where there is none, `frame` says both. */
  #answer(request_id: string, value: JsonObject, frame: JsonObject): void {
    this.#tell(this.#polling ? { ...frame, request_id } : { type: "answer", request_id, value });
  }

  #tell(frame: unknown): void {
    if (this.readyState === 1) this.onmessage?.({ data: JSON.stringify(frame) } as MessageEvent);
  }

  #end(code: number): void {
    if (this.readyState === 3) return;
    this.close();
    this.onclose?.({ code } as CloseEvent);
  }

  /** `fetch` says with a TypeError, or with our own error, that nothing was reached; a new stream says what else it may have been. */
  #failed(error: unknown): void {
    if (this.readyState === 3) return; // closed meanwhile, which is what broke it
    const isOut = isSessileError(error) && error.status === 401;
    this.#end(isOut ? UNAUTHENTICATED : BROKEN);
  }

  #listen({ token: _token, ...hello }: Sent): void {
    this.#deviceId = hello["device_id"] as string;
    this.#isFull = (hello["documents"] as unknown[]).length >= DOCUMENTS_MAX;
    this.#read(hello).then(() => this.#end(BROKEN), (error: unknown) => {
      if ((error as SessileError).code !== NO_PUSH || this.readyState === 3) return this.#failed(error);
      this.#polling = new Polling(this.http, this.timers, hello as unknown as Hello, (frame) => this.#tell(frame), (failure) => this.#failed(failure));
      this.#polling.start().catch((failure: unknown) => this.#failed(failure));
    });
  }

  async #read(hello: object): Promise<void> {
    const path = `api/v0/events?hello=${encodeURIComponent(JSON.stringify(hello))}`;
    const { body } = await this.http.open(path, this.#abort.signal);
    const reader = (body as ReadableStream<Uint8Array>).getReader();
    const decoder = new TextDecoder();
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const events = (rest + decoder.decode(part.value, { stream: true })).split("\n\n");
      rest = events.pop() as string;
      for (const event of events) this.#heard(event);
    }
  }

  #heard(event: string): void {
    const data = /^data: (.*)$/m.exec(event)?.[1];
    if (data === undefined) return; // a comment
    if (event.startsWith("event: close")) this.#end((JSON.parse(data) as { code: number }).code);
    else if (this.readyState === 1) this.onmessage?.({ data } as MessageEvent);
  }
}
