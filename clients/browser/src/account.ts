/** The session of this page and what its person does with it: calls to the server, and the news of what came of them. */

import type { Timers } from "./environment.js";
import { reportError, SessileError } from "./errors.js";
import type { Events } from "./events.js";
import type { OwnSession, ServerFrame, Session } from "./frames.js";
import { Handoffs } from "./handoff.js";
import { Platforms } from "./platforms.js";
import type { Call, Http } from "./session.js";

type SessionFrame = Extract<ServerFrame, { type: "session_changed" | "session_expiring" | "session_ended" | "handoff_changed" }>;

/** What the account needs from its client. */
export interface AccountHost {
  readonly http: Http;
  readonly timers: Timers;
  emit<Name extends keyof Events>(name: Name, detail: Events[Name]): void;
  /** Something changed that a status line depends on. */
  touched(): void;
  /** This page has changed the session: for tabs whose socket is not there to say so. */
  changed(): void;
  /** Whose page it is has to be found out anew. */
  restart(): void;
}

export class Account {
  session: Session | null = null;
  /** False: the session has to be read before the next socket. */
  isKnown = false;
  readonly handoff: Handoffs;
  readonly platforms: Platforms;
  /** Raised with every read and every change: what an earlier read found is old then. */
  #turn = 0;

  constructor(private readonly host: AccountHost) {
    const account = this;
    this.handoff = new Handoffs(this.call);
    this.platforms = new Platforms({
      timers: host.timers,
      get session() { return account.session; },
      call: this.call,
      committed: (session) => this.#committed(session),
      refresh: () => this.refresh(),
      switched: (detail) => {
        host.emit("platformSwitched", detail);
        host.touched();
      },
    });
  }

  /** 401: whatever the socket says, the session is over, and the next look finds that out. */
  readonly call: Call = async <T>(path: string, method?: string, body?: object) => {
    try {
      return (await this.host.http.json(path, method, body)) as T;
    } catch (error) {
      if ((error as SessileError).status === 401) this.host.restart();
      throw error;
    }
  };

  set(session: Session | null): void {
    const isSame = JSON.stringify(this.session) === JSON.stringify(session);
    this.session = session;
    this.platforms.tell();
    if (isSame) return;
    this.host.emit("sessionStateChanged", { session });
    this.host.touched();
  }

  /** Reads the session again. Null when it cannot be read, is over, or is another one. */
  async refresh(): Promise<Session | null> {
    const turn = ++this.#turn;
    const answer = await this.host.http.session();
    if (turn !== this.#turn) return this.session;
    const session = answer.kind === "session" ? answer.session : null;
    this.isKnown = session !== null && session.session_id === this.session?.session_id && session.user?.id === this.session.user?.id;
    if (this.isKnown) this.set(session);
    return this.isKnown ? session : null;
  }

  /**
   * The server says that something about the session has changed, perhaps what it may do: then the cookie is to be a new one. (A page that
   * has a token of its own gets its next one from the application.) Another session, or none, needs another socket.
   */
  async changed(needsToken = false): Promise<void> {
    if (needsToken && !this.host.http.hasToken) await this.call("api/v0/session/refresh", "POST").catch(() => undefined); // the next read says what is wrong
    if (!(await this.refresh())) this.host.restart();
  }

  /** What the server tells of the session. */
  frame(frame: SessionFrame): void {
    const { session_id } = frame;
    switch (frame.type) {
      case "session_changed": return void this.changed(frame.refresh).catch(reportError);
      case "session_expiring": return this.host.emit("sessionExpiring", { session_id, expires_at: frame.expires_at, can_extend: frame.can_extend });
      case "session_ended": return this.host.emit("sessionEnded", { session_id, reason: frame.reason });
      case "handoff_changed": {
        const { type: _type, session_id: _session, ...state } = frame;
        return this.host.emit("handoffChanged", state);
      }
    }
  }

  /** This tab alone is on that platform, or on the session's again (null). */
  async show(platformId: string | null): Promise<Session> {
    const { http } = this.host;
    const former = http.platformId;
    http.platformId = platformId;
    try {
      const { session } = await this.call<{ session: Session | null }>("api/v0/session");
      if (!session) throw new SessileError("not_authenticated", "nobody is logged in");
      this.#turn++;
      this.set(session);
      return session;
    } catch (error) {
      http.platformId = former;
      throw error;
    }
  }

  async extend(): Promise<Session> {
    return this.#committed((await this.call<{ session: Session }>("api/v0/session/extend", "POST")).session);
  }

  async sessions(): Promise<readonly OwnSession[]> {
    return (await this.call<{ sessions: OwnSession[] }>("api/v0/sessions")).sessions;
  }

  async end(handle: string): Promise<void> {
    await this.call(`api/v0/sessions/${encodeURIComponent(handle)}`, "DELETE");
  }

  async logoutOthers(): Promise<number> {
    return (await this.call<{ ended: number }>("api/v0/session/logout-others", "POST")).ended;
  }

  #committed(session: Session): Session {
    this.#turn++;
    this.set(session);
    this.host.changed();
    return session;
  }
}
