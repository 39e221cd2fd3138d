/**
 * The switch to another platform: shown in this tab at once, asked of the server when the clicks have come to rest, taken back
 * when it is refused. Other tabs hear of what was committed and of nothing else.
 */

import { deferred, type Deferred } from "./deferred.js";
import type { Timers } from "./environment.js";
import { SessileError } from "./errors.js";
import type { Events } from "./events.js";
import type { Platform, Session } from "./frames.js";
import type { Call } from "./session.js";

/** What the switch needs from its client. */
export interface PlatformsHost {
  readonly timers: Timers;
  readonly session: Session | null;
  readonly call: Call;
  /** The server has committed it. */
  committed(session: Session): void;
  /** Reads the session from the server; leaves it as it is when that cannot be done. */
  refresh(): Promise<unknown>;
  switched(detail: Events["platformSwitched"]): void;
}

interface Switch {
  id: string;
  /** Where the session was when the person clicked: the server refuses when somebody was faster. */
  expected: string | null;
  readonly answer: Deferred<Session>;
}

const DEBOUNCE_MS = 100;

export class Platforms {
  #known: readonly Platform[] = [];
  #wanted: Switch | null = null;
  #asked: Switch | null = null;
  #timer: unknown = null;
  #told = "";

  constructor(private readonly host: PlatformsHost) {}

  /** What this tab shows: the last click, else where the session is. */
  get shown(): Platform | null {
    const { platform } = this.host.session ?? { platform: null };
    const id = this.#shownId;
    return platform?.id === id ? platform : this.#known.find((known) => known.id === id) ?? null;
  }

  async list(): Promise<readonly Platform[]> {
    return (this.#known = (await this.host.call<{ platforms: Platform[] }>("api/v0/session/platforms")).platforms);
  }

  /** Clicks within 100 ms are one switch with one answer: to the last of them. */
  switch(id: string): Promise<Session> {
    const { timers } = this.host;
    if (!this.#wanted) {
      this.#wanted = { id, expected: this.#asked?.id ?? this.#sessionId, answer: deferred() };
      this.#wanted.answer.promise.catch(() => undefined); // a page may listen to the event instead
    }
    this.#wanted.id = id;
    timers.clear(this.#timer);
    this.#timer = timers.set(() => {
      this.#timer = null;
      this.#next();
    }, DEBOUNCE_MS);
    this.tell();
    return this.#wanted.answer.promise;
  }

  /** Says what is shown, when it is something else than was said last. */
  tell(): void {
    const optimistic = (this.#wanted ?? this.#asked) !== null;
    const session_id = this.host.session?.session_id ?? null;
    const telling = JSON.stringify([session_id, this.#shownId, optimistic]);
    const isSameSession = this.#told.startsWith(JSON.stringify([session_id]).slice(0, -1));
    if (telling === this.#told) return;
    this.#told = telling;
    if (isSameSession) this.host.switched({ platform_id: this.#shownId, platform: this.shown, optimistic });
  }

  close(): void {
    this.host.timers.clear(this.#timer);
    this.#drop(new SessileError("closed", "the client was closed"));
  }

  get #sessionId(): string | null {
    return this.host.session?.platform?.id ?? null;
  }

  get #shownId(): string | null {
    return (this.#wanted ?? this.#asked)?.id ?? this.#sessionId;
  }

  #next(): void {
    if (this.#asked || this.#timer !== null || !this.#wanted) return;
    this.#asked = this.#wanted;
    this.#wanted = null;
    void this.#ask(this.#asked);
  }

  async #ask({ id, expected, answer }: Switch): Promise<void> {
    try {
      if (id !== expected) {
        const body = { platform_id: id, expected_platform_id: expected };
        this.host.committed((await this.host.call<{ session: Session }>("api/v0/session/platform", "POST", body)).session);
      }
      answer.resolve(this.host.session as Session);
    } catch (error) {
      await this.host.refresh();
      // Somebody else was faster: clicks that were made without knowing that do not count either.
      if ((error as SessileError).code === "version_conflict") this.#drop(error as Error);
      else if (this.#wanted) (this.#wanted as Switch).expected = this.#sessionId;
      answer.reject(error as Error);
    }
    this.#asked = null;
    this.tell();
    this.#next();
  }

  #drop(error: Error): void {
    this.#wanted?.answer.reject(error);
    this.#wanted = null;
  }
}
