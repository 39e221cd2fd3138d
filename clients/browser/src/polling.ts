/** Where a server cannot push at all (plain WSGI answers 501 `live_push_unavailable`): what has happened is asked for every few seconds. */

import type { Timers } from "./environment.js";
import { isSessileError } from "./errors.js";
import type { InitialState, NotOpened, Opened, Session, StateUpdate, Wanted } from "./frames.js";
import type { Http } from "./session.js";

export interface Hello {
  readonly device_id: string;
  readonly device?: object;
  readonly documents: readonly Wanted[];
}

const POLL_MS = 5000;
/** Every so many rounds the device is said to be here; the server believes it for 35 s. */
const ROUNDS_PER_HEARTBEAT = 4;

export class Polling {
  /** Epoch and version, by document. */
  readonly #positions = new Map<string, string>();
  #round = 0;
  #timer: unknown = null;
  #isOver = false;
  #who = "";

  /** `tell` gets frames as a socket would; `failed` what ends it. */
  constructor(
    private readonly http: Http,
    private readonly timers: Timers,
    private readonly hello: Hello,
    private readonly tell: (frame: object) => void,
    private readonly failed: (error: unknown) => void,
  ) {}

  async start(): Promise<void> {
    const session = await this.#heartbeat();
    const documents = await Promise.all(this.hello.documents.map((wanted) => this.#open(wanted)));
    if (this.#isOver) return;
    const about = { connection_id: "", server_time: "", limits: {}, ping_interval_ms: POLL_MS, lost_after_ms: 8 * POLL_MS };
    this.tell({ type: "welcome", ...about, session, documents });
    await this.#look();
  }

  stop(): void {
    this.#isOver = true;
    this.timers.clear(this.#timer);
  }

  /** A change of this page has been taken: it is shown when it comes back. */
  async look(id: string): Promise<void> {
    const position = this.#positions.get(id);
    if (position === undefined || this.#isOver) return;
    const since = position && `&since=${position}`;
    const frame = (await this.http.json(`api/v0/documents/${id}/changes?device_id=${this.hello.device_id}${since}`)) as InitialState | StateUpdate;
    const version = frame.type === "initial_state" ? frame.version : frame.to;
    // Another answer may have been faster.
    if (this.#isOver || this.#positions.get(id) !== position) return;
    this.#positions.set(id, `${frame.epoch}.${version}`);
    this.tell(frame);
  }

  async #look(): Promise<void> {
    try {
      await Promise.all([...this.#positions.keys()].map((id) => this.look(id).catch((error: unknown) => this.#lost(id, error))));
      if (++this.#round % ROUNDS_PER_HEARTBEAT === 0) await this.#heartbeat();
    } catch (error) {
      return this.failed(error);
    }
    if (this.#isOver) return;
    this.tell({ type: "ping", at: "", heads: {} });
    this.#timer = this.timers.set(() => void this.#look(), POLL_MS);
  }

  /** The document is gone, or not this person's any more. Everything else concerns all of them. */
  #lost(id: string, error: unknown): void {
    if (!isSessileError(error) || error.status === null || error.status === 401 || error.retryable) throw error;
    this.#positions.delete(id);
    this.tell({ type: "error", code: error.code, message: error.message, retryable: false, ref: id });
  }

  async #heartbeat(): Promise<Session> {
    const { device_id, device } = this.hello;
    const { session } = (await this.http.json("api/v0/session/heartbeat", "POST", { device_id, device })) as { session: Session };
    const who = JSON.stringify([session.user, session.platform]);
    if (this.#who && who !== this.#who) this.tell({ type: "session_changed", session_id: session.session_id, reload: true, refresh: false });
    this.#who = who;
    return session;
  }

  async #open({ name, default: initial, epoch, version }: Wanted): Promise<Opened | NotOpened> {
    const { device_id } = this.hello;
    try {
      const path = `api/v0/documents/by-name/${encodeURIComponent(name)}`;
      const { document_id, device_no, last_seq, ...now } = (await this.http.json(path, "PUT", { device_id, ...(initial && { default: initial }) })) as Opened;
      this.#positions.set(document_id, epoch === undefined ? "" : `${epoch}.${version}`);
      return { document_id, name, device_no, last_seq, epoch: now.epoch, version: now.version };
    } catch (error) {
      if (!isSessileError(error) || error.status === null || error.status === 401) throw error;
      return { name, error: { code: error.code, message: error.message, retryable: error.retryable } };
    }
  }
}
