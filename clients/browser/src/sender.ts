/**
 * Sends one document's outbox over the open connection: in seq order, in frames the server accepts, with a bounded number in
 * flight, from the outbox itself, so that other tabs' entries go along and nothing is skipped.
 */

import type { Timers } from "./environment.js";
import { reportError } from "./errors.js";
import type { Entry } from "./outbox.js";
import { utf8Bytes } from "./values.js";

export const CHANGES_PER_FRAME_MAX = 100;
/** Client frames are at most 96 KiB; the rest is room for what surrounds the changes. */
export const FRAME_BYTES_AIM = 80 * 1024;
export const IN_FLIGHT_MAX = 200;

export interface SenderOptions {
  readonly timers: Timers;
  /** Entries of the connection's device with a seq above `after`. */
  readonly read: (after: number, limit: number) => Promise<readonly Entry[]>;
  /** The generation for changes made before the document was ever seen; null while it has not been seen. */
  readonly generation: () => number | null;
  /** False when there is no connection any more. */
  readonly send: (changes: readonly object[]) => boolean;
  /** There was nothing more to send, and nothing is on its way. */
  readonly idle: () => void;
}

export class Sender {
  #isOpen = false;
  #sent = 0;
  #inFlight: number[] = [];
  /** Up to here the server has verdicts already: until it has confirmed that they are these changes, nothing else is sent. */
  #answered = 0;
  #isPumping = false;
  #again = false;
  #pause: unknown = null;
  #term = 0;

  constructor(private readonly options: SenderOptions) {}

  get isPaused(): boolean {
    return this.#pause !== null;
  }

  /** Nothing is on its way, and nothing is about to be. */
  get isIdle(): boolean { return this.#inFlight.length === 0 && !this.#isPumping; }

  /** A connection has opened the document: everything in the outbox goes out once more, duplicates get their old verdict. */
  open(lastSeq: number): void {
    this.close();
    this.#answered = lastSeq;
    this.#isOpen = true;
    this.pump();
  }

  close(): void {
    this.#term++;
    this.#isOpen = false;
    this.#sent = 0;
    this.#inFlight = [];
    this.#resume();
  }

  acknowledged(through: number): void {
    this.#inFlight = this.#inFlight.filter((seq) => seq > through);
    this.pump();
  }

  /** Goes back to `after`. A pause that is running is not cut short by refusals of frames that were in flight. */
  rewind(after: number, delay_ms: number): void {
    this.#sent = after;
    this.#inFlight = [];
    this.#term++;
    if (this.isPaused) return;
    if (delay_ms <= 0) return this.pump();
    this.#pause = this.options.timers.set(() => {
      this.#pause = null;
      this.pump();
    }, delay_ms);
  }

  pump(): void {
    if (!this.#isOpen || this.isPaused) return;
    if (this.#isPumping) {
      this.#again = true;
      return;
    }
    this.#isPumping = true;
    this.#run()
      .catch(reportError)
      .finally(() => {
        this.#isPumping = false;
        if (!this.#again) return this.isIdle && this.options.idle();
        this.#again = false;
        this.pump();
      });
  }

  async #run(): Promise<void> {
    while (this.#isOpen && !this.isPaused && this.#inFlight.length < IN_FLIGHT_MAX) {
      const term = this.#term;
      const found = await this.options.read(this.#sent, CHANGES_PER_FRAME_MAX);
      if (term !== this.#term) continue; // rewound or reconnected while reading
      const repeated = found.filter((entry) => entry.seq <= this.#answered);
      if (repeated.length === 0 && this.#inFlight.some((seq) => seq <= this.#answered)) return;
      const entries = repeated.length > 0 ? repeated : found;
      const generation = this.options.generation();
      const ready = entries.findIndex((entry) => entry.generation === null && generation === null);
      const frame = fitting(ready < 0 ? entries : entries.slice(0, ready), generation ?? 0);
      if (frame.length === 0 || !this.options.send(frame.map(({ change }) => change))) return;
      for (const { seq } of frame) this.#inFlight.push(seq);
      this.#sent = (frame.at(-1) as { seq: number }).seq;
    }
  }

  #resume(): void {
    this.options.timers.clear(this.#pause);
    this.#pause = null;
  }
}

/** As many of `entries` as one frame holds, at least one. */
function fitting(entries: readonly Entry[], generation: number): { seq: number; change: object }[] {
  const frame: { seq: number; change: object }[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const { seq, base_version, operations } = entry;
    const change = { seq, base_version, generation: entry.generation ?? generation, operations };
    bytes += utf8Bytes(JSON.stringify(change));
    if (frame.length > 0 && bytes > FRAME_BYTES_AIM) break;
    frame.push({ seq, change });
  }
  return frame;
}
