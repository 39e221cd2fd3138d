// A session's timeline: what happened at a moment, and what lasted. Pure.
import { moment } from "./format";

export interface Entry {
  readonly id: string;
  readonly at: string;
  readonly type: string;
  readonly name: string;
  readonly text: string;
  readonly document_id?: string | null;
  readonly data: Readonly<Record<string, unknown>>;
  readonly by?: string | null;
  readonly reason?: string | null;
}
export interface Span { readonly from: string; readonly to: string | null; readonly state: string }
export interface Bar { readonly from: number; readonly to: number; readonly state: string; readonly isOpen: boolean; /** In parts of the whole. */ readonly left: number; readonly width: number }

/** Narrower than this (in parts of the whole) nobody sees a bar. */
const WIDTH_MIN = 0.004;

/** Both lists as one, newest first, each entry once. What is at the same moment stays in the order it came in. */
export function merged(newer: readonly Entry[], older: readonly Entry[]): readonly Entry[] {
  const byId = new Map([...newer, ...older].map((entry) => [entry.id, entry]));
  return [...byId.values()].toSorted((left, right) => (left.at < right.at ? 1 : left.at > right.at ? -1 : 0));
}

/** Where spans are drawn between `from` and `to` (milliseconds). One that has not ended goes up to `to`. */
export function bars(spans: readonly Span[], from: number, to: number): readonly Bar[] {
  const length = Math.max(1, to - from);
  const found: Bar[] = [];
  for (const span of spans) {
    const [start, end] = [moment(span.from), span.to === null ? to : moment(span.to)];
    if (start === null || end === null || end < from || start > to) continue;
    const [begin, stop] = [Math.max(start, from), Math.min(end, to)];
    const width = Math.min(1, Math.max(WIDTH_MIN, (stop - begin) / length));
    found.push({ from: start, to: end, state: span.state, isOpen: span.to === null, left: Math.min((begin - from) / length, 1 - width), width });
  }
  return found;
}
