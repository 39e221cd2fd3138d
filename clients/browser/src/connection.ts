/**
 * One socket and its life: opening, welcome, pings, loss, and trying again (protocol/README.md, rules 6 and 7). It knows
 * nothing of documents; the client reads and writes the frames.
 */

import { delayMs, RESET_AFTER_MS } from "./backoff.js";
import type { SocketLike, Timers } from "./environment.js";
import { reportError } from "./errors.js";
import type { ServerFrame } from "./frames.js";

/** `degraded`: the socket is open, and the server has not been heard when it should have been. It is still used. */
export type ConnectionStatus = "idle" | "connecting" | "connected" | "degraded" | "reconnecting" | "needs_auth" | "stopped" | "closed";

/** True while what is sent may arrive. */
export const isUp = (status: ConnectionStatus): boolean => status === "connected" || status === "degraded";

export interface StatusChange {
  readonly from: ConnectionStatus;
  readonly to: ConnectionStatus;
  /** A machine-readable word, for example `closed_4000`, `lost`, `unreachable`. */
  readonly reason: string;
  readonly attempt: number;
  /** Milliseconds until the next try, null when none is planned. */
  readonly retry_in_ms: number | null;
}

/** `ready`: the socket may be opened. `needs_auth`: nobody is logged in. `unreachable`: try again later. */
export type Prepared = "ready" | "needs_auth" | "unreachable";

export type Transport = "websocket" | "events";

export interface ConnectionOptions {
  readonly url: string;
  readonly WebSocket: new (url: string, protocols: string[]) => SocketLike;
  /** Where no socket gets through; without it sockets are tried again. */
  readonly stream?: () => SocketLike;
  readonly timers: Timers;
  readonly random: () => number;
  readonly attempts_max: number;
  /** How many tabs the socket is for. */
  readonly tabs: () => number;
  /** Called before every socket; `afterFailure` is true when the try before it never got a welcome. */
  readonly prepare: (afterFailure: boolean) => Promise<Prepared>;
  readonly hello: () => Promise<object>;
  /** Sends something that the server answers at once; false when there is nothing to ask. */
  readonly probe: () => boolean;
  readonly onFrame: (frame: ServerFrame) => void;
  readonly onStatus: (change: StatusChange) => void;
  /** A close code that ends the connection for now: what to do next is the client's decision. */
  readonly onTerminal: (code: number) => void;
}

export const CLOSE = { protocolError: 4500, ended: 4501, expired: 4502, wrongUser: 4503, unauthenticated: 4504 } as const;
/** Codes after which somebody has to log in again. */
export const AUTH_CODES: readonly number[] = [CLOSE.ended, CLOSE.expired, CLOSE.unauthenticated];
export const isTerminal = (code: number): boolean => code >= 4500 && code < 5000;

const SUBPROTOCOL = "sessile.v1";
const WELCOME_TIMEOUT_MS = 10_000;
const LOST_AFTER_MS = 35_000;
const TAKEOVER_GRACE_MS = 1000;
/** A ping may be a tenth of its interval late, and the network a little. */
const PING_LATE_MS = 2000;
/** What the server answers at once has taken too long. */
const ANSWER_LATE_MS = 5000;
/** After a change of the network: the socket may lead nowhere. */
const PROBE_MS = 3000;
/** What the server answers, whatever it is. */
const ANSWERED: ReadonlySet<string> = new Set(["change", "request_sync", "subscribe", "checkpoint", "restore"]);
const OPEN = 1;
/** A socket that never opened, so often in a row while the server answers requests: something between lets none through. */
const BLOCKED_TRIES = 2;
/** After this long another network may be in between. */
const BLOCKED_MS = 300_000;

export class Connection {
  status: ConnectionStatus = "idle";
  attempt = 0;
  connects = 0;
  bytesIn = 0;
  bytesOut = 0;
  framesIn = 0;
  framesOut = 0;

  #socket: SocketLike | null = null;
  /** Raised with every start, stop and socket: late answers of an earlier one are ignored. */
  #term = 0;
  #timer: unknown = null;
  #watchdog: unknown = null;
  /** Runs while something is to be heard: a ping that is due, or an answer. */
  #pingDue: unknown = null;
  #answerDue: unknown = null;
  /** What should have been heard by now, and was not. */
  #missing: string | null = null;
  #pingLate_ms = 0;
  #lastPing_ms = 0;
  #heardAt_ms = 0;
  #lostAfter_ms = LOST_AFTER_MS;
  #welcomedAt_ms: number | null = null;
  /** What changed of who is looking between hello and welcome: the server would go on with what the hello said. */
  #presence: object | null = null;
  #isAfterFailure = false;
  #goaway_ms: number | null = null;
  #grace: unknown = null;
  #hasBeenOpen = false;
  transport: Transport = "websocket";
  #neverOpened = 0;
  #blockedUntil_ms = 0;
  #parts = new Map<string, string[]>();

  constructor(private readonly options: ConnectionOptions) {}

  get isOpen(): boolean {
    return isUp(this.status);
  }

  /** Tries at once, from whatever state but `closed`. */
  start(): void {
    if (this.status === "closed") return;
    this.#drop(1000, "restart");
    this.#setStatus(this.#trying, "start");
    this.#begin(++this.#term);
  }

  /** Goes on for another tab. That tab's connection was good a moment ago: it is called lost only when a new one takes its time. */
  takeOver(): void {
    if (this.status !== "connected") return this.start();
    this.#drop(1000, "restart");
    this.#lastPing_ms = this.options.timers.now();
    this.#begin(++this.#term);
    this.#grace = this.options.timers.set(() => this.#welcomedAt_ms === null && this.#setStatus("reconnecting", "takeover"), TAKEOVER_GRACE_MS);
  }

  /** Another tab goes on. */
  yield(): void {
    this.#term++;
    this.#drop(4409, "deposed");
  }

  /** Another tab has the socket, and this is what became of it. */
  mirror(change: StatusChange): void {
    if (this.status === "closed") return;
    this.attempt = change.attempt;
    this.#setStatus(change.to, change.reason, change.retry_in_ms);
  }

  /** Tries again after the usual delay. */
  retry(reason: string): void {
    this.#drop(1000, reason);
    this.#retry(reason);
  }

  /** Gives up until `start` is called again. */
  stop(status: "needs_auth" | "stopped" | "closed" | "idle", reason: string): void {
    this.#term++;
    this.#drop(1000, reason);
    this.#setStatus(status, reason);
  }

  /**
   * The page is back, or the network is (`mayBeElsewhere`): a waiting try happens now, a silent socket is found out now. A network that was away may
   * be another one, in which the old socket leads nowhere: the server is asked, and has to answer.
   */
  wake(mayBeElsewhere = false): void {
    if (this.isOpen) {
      const silent_ms = this.options.timers.now() - this.#lastPing_ms;
      if (silent_ms >= this.#lostAfter_ms) this.#fail("lost");
      else if (mayBeElsewhere || silent_ms >= this.#pingLate_ms) this.#probe();
    } else if (this.#timer !== null && this.#socket === null) {
      this.attempt = 0;
      this.start();
    } else if (this.status === "idle" || (this.status === "stopped" && this.attempt > this.options.attempts_max)) {
      this.attempt = 0;
      this.start();
    }
  }

  /** The page says that there is no network, which is not always so. */
  doubt(reason: string): void {
    if (this.status === "connected") this.#setStatus("degraded", reason);
  }

  /** A late answer can be a busy server, and a late ping a busy network. Both late, with nothing else heard, is a dead socket. */
  #miss(what: string): void {
    if (this.#missing !== null && this.#missing !== what) return this.#fail("silent");
    this.#missing = what;
    this.doubt(what);
  }

  #probe(): void {
    if (this.#socket === null || !this.options.probe()) return;
    const { timers } = this.options;
    timers.clear(this.#answerDue);
    this.#answerDue = timers.set(() => this.#fail("silent"), PROBE_MS);
  }

  /** Another tab has reached the server: a waiting try happens now. The next delay is as long as it would have been. */
  hurry(): void {
    if (this.#timer !== null && this.#socket === null) this.start();
  }

  /** False when there is no connection, or not yet: the hello comes first. Then nothing was sent; only who is looking is told when the welcome is there. */
  send(frame: object): boolean {
    const { type } = frame as { type: string };
    if (this.#welcomedAt_ms === null && type === "presence") this.#presence = frame;
    if (this.#welcomedAt_ms === null || !this.#write(frame)) return false;
    if (ANSWERED.has(type)) this.#answerDue ??= this.options.timers.set(() => this.#miss("no_answer"), ANSWER_LATE_MS);
    return true;
  }

  #write(frame: object): boolean {
    if (!this.#socket || this.#socket.readyState !== OPEN) return false;
    const text = JSON.stringify(frame);
    this.#socket.send(text);
    this.framesOut++;
    this.bytesOut += text.length;
    return true;
  }

  #begin(term: number): void {
    this.#try(term).catch((error: unknown) => {
      reportError(error);
      if (term === this.#term) this.#retry("internal");
    });
  }

  async #try(term: number): Promise<void> {
    this.#clearTimers();
    const prepared = await this.options.prepare(this.#isAfterFailure);
    if (term !== this.#term) return;
    if (prepared === "needs_auth") return this.stop("needs_auth", "no_session");
    if (prepared === "unreachable") {
      this.#neverOpened = 0;
      return this.#retry("unreachable");
    }
    let socket: SocketLike;
    try {
      socket = this.#opened();
    } catch (error) {
      reportError(error); // a wrong address or a content security policy
      return this.stop("stopped", "bad_address");
    }
    this.#listen(socket, term);
  }

  #opened(): SocketLike {
    const { stream, timers, WebSocket, url } = this.options;
    const isBlocked = timers.now() < this.#blockedUntil_ms && stream;
    this.transport = isBlocked ? "events" : "websocket";
    return isBlocked ? isBlocked() : new WebSocket(url, [SUBPROTOCOL]);
  }

  /** The server has just answered a request, and a socket to it did not open. */
  #noteBlocked(): void {
    if (this.transport !== "websocket" || ++this.#neverOpened < BLOCKED_TRIES) return;
    this.#neverOpened = 0;
    this.#blockedUntil_ms = this.options.timers.now() + BLOCKED_MS;
  }

  #listen(socket: SocketLike, term: number): void {
    this.#socket = socket;
    this.#parts.clear();
    const isCurrent = () => term === this.#term && socket === this.#socket;
    this.#watchdog = this.options.timers.set(() => {
      if (!isCurrent()) return;
      this.#noteBlocked();
      this.#fail("welcome_timeout");
    }, WELCOME_TIMEOUT_MS);
    let hasOpened = false;
    socket.onopen = () => {
      hasOpened = true;
      this.#presence = null; // the hello says it
      this.options.hello().then(
        (hello) => isCurrent() && this.#write(hello),
        (error: unknown) => {
          reportError(error);
          if (isCurrent()) this.#fail("internal");
        },
      );
    };
    socket.onmessage = (event) => {
      if (isCurrent()) this.#receive(String(event.data));
    };
    socket.onclose = (event) => {
      if (!isCurrent()) return;
      if (!hasOpened) this.#noteBlocked();
      this.#closed(event.code);
    };
    socket.onerror = null; // a close event always follows and says more
  }

  /** Since the server was last heard: a connection can be dead for a while before that shows. */
  get silence_ms(): number { return this.options.timers.now() - this.#heardAt_ms; }

  #receive(text: string): void {
    this.#heardAt_ms = this.options.timers.now();
    this.bytesIn += text.length;
    this.framesIn++;
    this.options.timers.clear(this.#answerDue);
    this.#answerDue = this.#missing = null;
    if (this.status === "degraded") this.#setStatus("connected", "heard");
    const frame = this.#parsed(text);
    if (frame?.type !== "part") return frame ? this.#handle(frame) : undefined;
    const chunks = this.#parts.get(frame.ref) ?? [];
    chunks[frame.part - 1] = frame.chunk;
    this.#parts.set(frame.ref, chunks);
    if (Object.keys(chunks).length < frame.of) return;
    this.#parts.delete(frame.ref);
    const whole = this.#parsed(chunks.join(""));
    if (whole) this.#handle(whole);
  }

  /** What is not JSON did not come from our server whole: the connection is given up and made again. */
  #parsed(text: string): ServerFrame | null {
    try {
      return JSON.parse(text) as ServerFrame;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#fail("bad_frame");
      return null;
    }
  }

  #handle(frame: ServerFrame): void {
    if (frame.type === "welcome") {
      this.#lostAfter_ms = frame.lost_after_ms;
      this.#pingLate_ms = frame.ping_interval_ms * 1.1 + PING_LATE_MS;
      this.#welcomedAt_ms = this.options.timers.now();
      this.#isAfterFailure = false;
      this.#neverOpened = 0;
      this.connects++;
      this.#heardPing();
      this.options.onFrame(frame); // positions first, so that whoever hears of the connection finds it usable
      return;
    }
    if (frame.type === "ping") {
      this.#heardPing();
      this.send({ type: "pong", at: frame.at });
    }
    if (frame.type === "goaway") this.#leave(frame.retry_min_ms, frame.retry_max_ms);
    this.options.onFrame(frame);
  }

  /** Called by the client when a welcome has been taken in. */
  welcomed(): void {
    this.#setStatus("connected", "welcome");
    if (this.#presence) this.send(this.#presence);
    this.#presence = null;
  }

  #heardPing(): void {
    this.#lastPing_ms = this.options.timers.now();
    const { timers } = this.options;
    timers.clear(this.#watchdog);
    this.#watchdog = timers.set(() => this.#fail("lost"), this.#lostAfter_ms);
    timers.clear(this.#pingDue);
    // Where pings come so seldom that one is lost at once, there is nothing in between.
    this.#pingDue = this.#pingLate_ms < this.#lostAfter_ms ? timers.set(() => this.#miss("no_ping"), this.#pingLate_ms) : null;
  }

  /** The server drains: come back at a random moment of the window it gave. */
  #leave(min_ms: number, max_ms: number): void {
    this.#goaway_ms = min_ms + this.options.random() * Math.max(0, max_ms - min_ms);
    this.#timer = this.options.timers.set(() => this.#fail("goaway"), this.#goaway_ms);
  }

  #closed(code: number): void {
    if (!isTerminal(code)) return this.#fail(`closed_${code}`);
    this.#term++;
    this.#drop(1000, "terminal");
    this.#setStatus(AUTH_CODES.includes(code) ? "needs_auth" : "stopped", `closed_${code}`);
    this.options.onTerminal(code);
  }

  #fail(reason: string): void {
    const hadWelcome = this.#welcomedAt_ms !== null;
    if (hadWelcome && this.options.timers.now() - (this.#welcomedAt_ms as number) >= RESET_AFTER_MS) this.attempt = 0;
    this.#isAfterFailure = !hadWelcome;
    if (!hadWelcome && this.transport === "events") this.#blockedUntil_ms = 0; // no better: a socket is tried again
    const waited = reason === "goaway";
    const goaway_ms = this.#goaway_ms;
    this.#drop(waited ? 1000 : 4001, reason);
    this.#retry(reason, waited ? 0 : goaway_ms);
  }

  #retry(reason: string, fixed_ms: number | null = null): void {
    const term = ++this.#term;
    this.#isAfterFailure ||= reason === "unreachable";
    if (this.attempt >= this.options.attempts_max) {
      this.attempt++;
      return this.#setStatus("stopped", "attempts_exhausted");
    }
    const delay_ms = fixed_ms ?? delayMs(this.attempt, this.options.random, this.options.tabs());
    this.attempt++;
    this.#clearTimers();
    this.#timer = this.options.timers.set(() => this.#begin(term), delay_ms);
    this.#setStatus(this.#trying, reason, delay_ms);
  }

  #drop(code: number, reason: string): void {
    this.#clearTimers();
    const socket = this.#socket;
    this.#socket = null;
    this.#welcomedAt_ms = null;
    this.#goaway_ms = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code, reason);
  }

  #clearTimers(): void {
    for (const timer of [this.#timer, this.#watchdog, this.#grace, this.#pingDue, this.#answerDue]) this.options.timers.clear(timer);
    this.#timer = this.#watchdog = this.#grace = this.#pingDue = this.#answerDue = this.#missing = null;
  }

  get #trying(): ConnectionStatus { return this.#hasBeenOpen ? "reconnecting" : "connecting"; }

  #setStatus(to: ConnectionStatus, reason: string, retry_in_ms: number | null = null): void {
    const from = this.status;
    this.status = to;
    this.#hasBeenOpen ||= to === "connected";
    this.options.onStatus({ from, to, reason, attempt: this.attempt, retry_in_ms });
  }
}
