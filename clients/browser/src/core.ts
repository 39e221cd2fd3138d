/**
 * One document as a state machine without I/O: confirmed state, pending changes, position, and rules 1 to 6 of
 * protocol/README.md. Frames go in; what is to be sent, checked and told comes out as effects, in order.
 */

import type { Ack, Conflict, InitialState, Logged, Nack, Opened, SentVerdict, StateUpdate } from "./frames.js";
import { applyOperations, type Operation, OperationFault } from "./operations.js";
import { type Json, type JsonObject, sameValue } from "./values.js";

/** A change that the confirmed state does not show yet. `seq` is null until the outbox has given it one. */
export interface Pending {
  readonly nonce: string;
  readonly device_id: string | null;
  readonly seq: number | null;
  readonly base_version: number;
  readonly generation: number | null;
  readonly operations: readonly Operation[];
  /** Set when the server has answered; the change stays in the view until the confirmed state covers it. */
  readonly verdict?: SentVerdict;
}

export type SyncReason = "gap" | "hash" | "epoch" | "resume" | "user";

export type Effect =
  | { kind: "request_sync"; reason: SyncReason; epoch?: string; version?: number }
  | { kind: "verify"; state: JsonObject; hash: string; epoch: string; version: number; snapshot: boolean }
  | { kind: "acknowledged"; device_id: string; through: number }
  | { kind: "settled"; nonce: string; verdict: SentVerdict; operations: readonly Operation[] }
  | { kind: "rewind"; after: number; delay_ms: number }
  | { kind: "renew_identity" }
  | { kind: "conflict"; conflict: Conflict }
  | { kind: "snapshot" }
  | { kind: "updated"; changes: readonly Logged[] };

/** What is kept in the browser, so that a reload without a network shows the person's work. */
export interface Kept {
  readonly document_id: string;
  readonly device_no: number;
  readonly epoch: string;
  readonly version: number;
  readonly generation: number;
  readonly state: JsonObject;
  readonly conflicts: readonly Conflict[];
  /** Per device of this browser: the highest seq that `state` already contains. */
  readonly covered: Readonly<Record<string, number>>;
}

/** A document as one tab gives it to another one of the same browser. */
export interface Shared {
  readonly opened: Opened;
  readonly frame: InitialState;
}

const DEFAULT_RETRY_MS = 1000;
/** A sync request that is unanswered after this many pings is made again. */
const PATIENCE_PINGS = 2;

export class DocumentCore {
  documentId: string | null = null;
  deviceNo: number | null = null;
  epoch: string | null = null;
  version = 0;
  generation = 0;
  confirmed: JsonObject | null = null;
  diverged = false;
  /** True when a delta or snapshot has come on this connection and nothing is known to be missing. */
  isCurrent = false;
  pending: readonly Pending[] = [];
  skipped: readonly string[] = [];

  #deviceId: string | null = null;
  readonly #ownNumbers = new Map<number, string>();
  #covered = new Map<string, number>();
  readonly #conflicts = new Map<string, Conflict>();
  #syncing = false;
  #syncPings = 0;
  #lastGap: number | null = null;
  /** Changes whose end was told already, so that it is told once. */
  readonly #told = new Set<string>();
  #view: JsonObject | null = null;

  constructor(private readonly initial: JsonObject = {}) {}

  /** The confirmed state with the pending changes replayed on top (rule 3). A change that faults is skipped, never lost. */
  get state(): JsonObject {
    if (this.#view) return this.#view;
    let state = this.confirmed ?? this.initial;
    const skipped: string[] = [];
    for (const change of this.pending) {
      try {
        if (change.generation !== null && this.confirmed && change.generation < this.generation) skipped.push(change.nonce);
        else state = applyOperations(state, change.operations).state;
      } catch (error) {
        if (!(error instanceof OperationFault)) throw error;
        skipped.push(change.nonce); // the server's verdict decides; until then the view goes without it
      }
    }
    this.skipped = skipped;
    this.#view = state;
    return state;
  }

  /** Open conflicts, without those that a pending `resolve` is about to close. */
  get conflicts(): readonly Conflict[] {
    const closing = new Set<string>();
    for (const change of this.pending) {
      for (const operation of change.operations) if (operation.op === "resolve") closing.add(operation.conflict_id);
    }
    return [...this.#conflicts.values()].filter((conflict) => !closing.has(conflict.conflict_id));
  }

  /** Changes that the server has not answered yet. */
  get unanswered(): readonly Pending[] {
    return this.pending.filter((change) => !change.verdict);
  }

  get position(): { epoch: string; version: number } | null {
    return this.epoch === null ? null : { epoch: this.epoch, version: this.version };
  }

  // ------------------------------------------------------------------ what the page and the outbox say

  /** A change made in this tab, shown at once and not stored yet. */
  draft(nonce: string, operations: readonly Operation[]): Pending {
    const generation = this.confirmed ? this.generation : null;
    const change: Pending = { nonce, device_id: null, seq: null, base_version: this.version, generation, operations };
    this.#setPending([...this.pending, change]);
    return change;
  }

  /** A change as it stands in the outbox, made here or in another tab. */
  stored(change: Pending & { device_id: string; seq: number }): Effect[] {
    if (change.seq <= (this.#covered.get(change.device_id) ?? 0)) {
      // Another tab has sent it, and it came back before this tab knew that it was stored.
      this.#setPending(this.pending.filter((other) => other.nonce !== change.nonce));
      return this.#settled(change);
    }
    const known = this.pending.find((other) => other.nonce === change.nonce);
    const entry: Pending = known?.verdict && known.seq === change.seq ? { ...change, verdict: known.verdict } : change;
    const rest = this.pending.filter((other) => other.nonce !== change.nonce);
    // Ahead of every draft, behind all that the same device made before, after whatever another identity left to send.
    const index = rest.findIndex((other) => other.seq === null || (other.device_id === change.device_id && other.seq > change.seq));
    this.#setPending(index < 0 ? [...rest, entry] : rest.toSpliced(index, 0, entry));
    return [];
  }

  /** After a new identity: stored changes are replaced by what the outbox holds now; answered ones and drafts stay. */
  replaceStored(changes: readonly (Pending & { device_id: string; seq: number })[]): Effect[] {
    this.#setPending(this.pending.filter((change) => change.seq === null || change.verdict));
    return changes.flatMap((change) => this.stored(change));
  }

  /** Takes back a draft that could not be stored anywhere. */
  forget(nonce: string): void {
    this.#setPending(this.pending.filter((change) => change.nonce !== nonce));
  }

  /** The last kept snapshot becomes the start state, unless something newer is here already. */
  restore(kept: Kept): void {
    if (this.confirmed) return;
    this.documentId = kept.document_id;
    this.deviceNo = kept.device_no;
    this.#covered = new Map(Object.entries(kept.covered));
    this.#adopt(kept.epoch, kept.version, kept.generation, kept.state);
    for (const conflict of kept.conflicts) this.#conflicts.set(conflict.conflict_id, conflict);
    this.#dropCovered();
  }

  kept(): Kept | null {
    if (!this.confirmed || this.epoch === null || this.documentId === null || this.deviceNo === null) return null;
    return {
      document_id: this.documentId,
      device_no: this.deviceNo,
      epoch: this.epoch,
      version: this.version,
      generation: this.generation,
      state: this.confirmed,
      conflicts: [...this.#conflicts.values()],
      covered: Object.fromEntries(this.#covered),
    };
  }

  // ------------------------------------------------------------------ what the connection says

  disconnected(): void {
    this.#syncing = false;
    this.#lastGap = null;
    this.isCurrent = false;
  }

  /**
   * The server opened the document for `deviceId`. A delta or snapshot follows by itself (rule 4).
   *
   * `acknowledged` is the seq up to which everything of this device had been acknowledged before the server was asked. A server that
   * knows less has lost it (a database restored from a backup), or the name belongs to another document now: this numbering cannot
   * go on. Nothing of the kind is concluded from a refusal: another tab may have filled the gap while it was on its way.
   */
  opened(frame: Opened, deviceId: string, acknowledged: number): Effect[] {
    if (this.documentId !== null && this.documentId !== frame.document_id) this.#startOver();
    this.documentId = frame.document_id;
    this.deviceNo = frame.device_no;
    this.#deviceId = deviceId;
    this.#ownNumbers.set(frame.device_no, deviceId);
    this.#syncing = true;
    this.#syncPings = 0;
    return frame.last_seq < acknowledged ? [{ kind: "renew_identity" }] : [];
  }

  /** What another tab of this browser may go on from; null while this one is itself behind. */
  shared(): Shared | null {
    const kept = this.kept();
    if (!kept || !this.isCurrent || this.diverged || this.#deviceId === null) return null;
    const { document_id, device_no, epoch, version, generation, state, conflicts } = kept;
    const common = { document_id, name: "", epoch, version, last_seq: this.#covered.get(this.#deviceId) ?? 0 };
    return {
      opened: { ...common, device_no },
      frame: { ...common, type: "initial_state", generation, state, conflicts, timestamp: "", hash: "" }, // checked already
    };
  }

  /** Goes on from what another tab knows, unless this one knows more. */
  adopt({ opened, frame }: Shared, deviceId: string): Effect[] {
    this.opened(opened, deviceId, 0);
    const isNews = this.diverged || frame.epoch !== this.epoch || frame.version > this.version;
    this.#syncing = this.diverged = false;
    this.isCurrent = true;
    return isNews ? this.snapshot(frame) : [];
  }

  snapshot(frame: InitialState): Effect[] {
    this.#syncing = false;
    this.isCurrent = true;
    const isNewLog = frame.epoch !== this.epoch;
    if (this.#deviceId !== null) this.#cover(this.#deviceId, frame.last_seq, isNewLog);
    // Answers given by another log say nothing about this one, and what was answered is no longer in the outbox: it ends here.
    const ended = isNewLog ? this.pending.filter((change) => change.verdict).flatMap((change) => this.#settled(change)) : [];
    if (isNewLog) this.#setPending(this.pending.filter((change) => !change.verdict));
    const known = new Set(this.#conflicts.keys());
    this.#conflicts.clear();
    for (const conflict of frame.conflicts) this.#conflicts.set(conflict.conflict_id, conflict);
    this.#adopt(frame.epoch, frame.version, frame.generation, frame.state);
    const effects: Effect[] = [
      ...ended,
      { kind: "verify", state: frame.state, hash: frame.hash, epoch: frame.epoch, version: frame.version, snapshot: true },
      { kind: "snapshot" },
      ...frame.conflicts.filter((conflict) => !known.has(conflict.conflict_id)).map((conflict): Effect => ({ kind: "conflict", conflict })),
    ];
    return [...effects, ...this.#dropCovered()];
  }

  update(frame: StateUpdate): Effect[] {
    if (this.confirmed === null || frame.epoch !== this.epoch) return this.#sync("epoch", false);
    if (frame.from !== this.version) return frame.to <= this.version ? [] : this.#sync("gap", true);
    let state = this.confirmed;
    const effects: Effect[] = [];
    let verify: Effect | null = null;
    for (const change of frame.changes) {
      try {
        if (change.verdict === "applied") state = applyOperations(state, change.operations).state;
      } catch (error) {
        if (!(error instanceof OperationFault)) throw error;
        return this.#divergedNow(); // the server could apply it, so this state is not the server's
      }
      effects.push(...this.#noteLogged(change));
      if (change.hash !== undefined) {
        verify = { kind: "verify", state, hash: change.hash, epoch: frame.epoch, version: change.version, snapshot: false };
      }
    }
    this.#syncing = false;
    this.isCurrent = true;
    this.#adopt(frame.epoch, frame.to, frame.generation, state);
    effects.push({ kind: "updated", changes: frame.changes });
    if (verify) effects.push(verify);
    return [...effects, ...this.#dropCovered()];
  }

  #noteLogged(change: Logged): Effect[] {
    const own = change.seq === null ? undefined : this.#ownNumbers.get(change.device_no);
    const effects: Effect[] = [];
    if (own !== undefined && change.seq !== null && this.#isOurs(own, change)) {
      this.#cover(own, change.seq, false);
      const conflicts = change.conflicts?.map((conflict) => conflict.conflict_id);
      this.#answer(own, {
        seq: change.seq,
        version: change.version,
        verdict: change.verdict,
        ...(change.detail && { detail: change.detail }),
        ...(conflicts && { conflicts }),
      });
    }
    for (const id of change.resolved ?? []) this.#conflicts.delete(id);
    for (const conflict of change.conflicts ?? []) {
      // One open conflict per path: a later loser takes the place of the earlier record.
      for (const [id, other] of this.#conflicts) if (other.path === conflict.path) this.#conflicts.delete(id);
      this.#conflicts.set(conflict.conflict_id, conflict);
      effects.push({ kind: "conflict", conflict });
    }
    return effects;
  }

  /** False when the number is ours and the change is not: somebody works with a copy of the outbox. A `resolve` is logged with what it caused. */
  #isOurs(deviceId: string, line: Logged): boolean {
    const mine = this.pending.find((change) => change.device_id === deviceId && change.seq === line.seq);
    return !mine || sameValue(mine.operations as unknown as Json, line.operations.slice(0, mine.operations.length) as unknown as Json);
  }

  ack(frame: Ack): Effect[] {
    const device = this.#deviceId;
    if (device === null) return [];
    this.#lastGap = null;
    const named = new Map(frame.verdicts.map((verdict) => [verdict.seq, verdict]));
    const covered = this.pending.filter((change) => change.device_id === device && change.seq !== null && change.seq <= frame.seq);
    for (const change of covered) {
      // Cumulative: below the frame's seq everything is committed, whether or not this frame repeats its verdict.
      const seq = change.seq as number;
      if (!named.has(seq) && !change.verdict) named.set(seq, { seq, version: null, verdict: "known" });
    }
    for (const verdict of named.values()) this.#answer(device, verdict);
    return [{ kind: "acknowledged", device_id: device, through: frame.seq }, ...this.#settle()];
  }

  /** A verdict that another tab of this browser heard. */
  heard(deviceId: string, verdicts: readonly SentVerdict[]): Effect[] {
    for (const verdict of verdicts) this.#answer(deviceId, verdict);
    return this.#settle();
  }

  nack(frame: Nack): Effect[] {
    if (frame.reason === "identity_reused") return [{ kind: "renew_identity" }];
    const after = frame.expected_seq - 1;
    if (frame.reason !== "gap") return [{ kind: "rewind", after, delay_ms: frame.retry_after_ms ?? DEFAULT_RETRY_MS }];
    const repeated = this.#lastGap === frame.expected_seq; // frames in flight are refused one by one: rewind once
    this.#lastGap = frame.expected_seq;
    return [{ kind: "rewind", after, delay_ms: repeated ? DEFAULT_RETRY_MS : 0 }];
  }

  /** The head that a ping carries (rule 6). */
  head(epoch: string, version: number): Effect[] {
    if (this.#syncing && ++this.#syncPings < PATIENCE_PINGS) return [];
    if (epoch === this.epoch && version === this.version && this.isCurrent) return [];
    this.#syncing = false;
    return epoch === this.epoch ? this.#sync("gap", true) : this.#sync("epoch", false);
  }

  /** What became of a `verify` effect. */
  verified(matches: boolean, epoch: string, version: number, wasSnapshot: boolean): Effect[] {
    if (matches) {
      this.diverged = false;
      return [];
    }
    if (epoch !== this.epoch || version > this.version) return []; // replaced meanwhile
    this.diverged = true;
    return wasSnapshot ? [] : this.#sync("hash", false);
  }

  /** Asks for what is missing, for example because the page wants it. */
  requestSync(reason: SyncReason): Effect[] {
    this.#syncing = false;
    return this.#sync(reason, true);
  }

  // ------------------------------------------------------------------ inside

  #divergedNow(): Effect[] {
    this.diverged = true;
    this.#syncing = false;
    return this.#sync("hash", false);
  }

  #sync(reason: SyncReason, withPosition: boolean): Effect[] {
    this.isCurrent = false;
    if (this.#syncing) return [];
    this.#syncing = true;
    this.#syncPings = 0;
    return [{ kind: "request_sync", reason, ...(withPosition && this.position ? this.position : {}) }];
  }

  #adopt(epoch: string, version: number, generation: number, state: JsonObject): void {
    this.epoch = epoch;
    this.version = version;
    this.generation = generation;
    this.confirmed = state;
    this.#view = null;
  }

  /** The name belongs to another document now: its state is foreign, the unanswered changes are still the person's. */
  #startOver(): void {
    this.epoch = null;
    this.version = 0;
    this.confirmed = null;
    this.#conflicts.clear();
    this.#covered.clear();
    this.#ownNumbers.clear();
    this.#view = null;
  }

  #cover(deviceId: string, seq: number, isNewLog: boolean): void {
    this.#covered.set(deviceId, isNewLog ? seq : Math.max(seq, this.#covered.get(deviceId) ?? 0));
  }

  #answer(deviceId: string, verdict: SentVerdict): void {
    this.pending = this.pending.map((change) =>
      change.device_id === deviceId && change.seq === verdict.seq && !change.verdict ? { ...change, verdict } : change);
  }

  /** Changes that are answered and whose version the confirmed state has reached: their promises may be kept. */
  #settle(): Effect[] {
    return this.pending
      .filter((change) => change.verdict && (change.verdict.version === null || change.verdict.version <= this.version))
      .flatMap((change) => this.#settled(change));
  }

  #settled(change: Pending): Effect[] {
    if (this.#told.has(change.nonce)) return [];
    this.#told.add(change.nonce);
    const verdict = change.verdict ?? { seq: change.seq as number, version: null, verdict: "known" as const };
    return [{ kind: "settled", nonce: change.nonce, verdict, operations: change.operations }];
  }

  #dropCovered(): Effect[] {
    const isCovered = (change: Pending) =>
      change.seq !== null && change.device_id !== null && change.seq <= (this.#covered.get(change.device_id) ?? 0);
    const gone = this.pending.filter(isCovered);
    const effects = [...this.#settle(), ...gone.flatMap((change) => this.#settled(change))];
    if (gone.length > 0) this.#setPending(this.pending.filter((change) => !isCovered(change)));
    for (const change of gone) this.#told.delete(change.nonce);
    return effects;
  }

  #setPending(pending: readonly Pending[]): void {
    this.pending = pending;
    this.#view = null;
  }
}
