/** How safe the person's work is, in one word and one line. */

import type { Client } from "./client.js";
import type { Doc } from "./document.js";

export type SavingState = "starting" | "saved" | "saving" | "local" | "offline" | "degraded" | "refused" | "conflict" | "sign-in";

export interface Saving {
  readonly state: SavingState;
  readonly text: string;
}

/** What is to be said of `documents`; the worst comes first. */
export function savingOf(client: Pick<Client, "status" | "isOffline" | "isStorageDurable">, documents: readonly Doc[]): Saving {
  const sum = (count: (doc: Doc) => number) => documents.reduce((total, doc) => total + count(doc), 0);
  const pending = sum((doc) => doc.pendingCount);
  const conflicts = sum((doc) => doc.conflicts.length);
  const problem = documents.map((doc) => doc.problem).find((text) => text !== null) ?? null;
  if (client.status === "needs_auth") return { state: "sign-in", text: "Sign in to continue" };
  if (problem !== null) return { state: "refused", text: `Not saved: ${problem}` };
  if (pending > 0 && !client.isStorageDurable && client.status !== "connected") return { state: "refused", text: "Not saved: this browser keeps nothing" };
  if (conflicts > 0) return { state: "conflict", text: `Conflict: ${conflicts}` };
  if (sum((doc) => doc.unstoredCount) > 0) return { state: "saving", text: "Saving…" };
  if (client.isOffline) return { state: "offline", text: "Offline: saved on this device" };
  if (client.status === "degraded") return { state: "degraded", text: pending > 0 ? "Slow connection: saved on this device" : "Saved, slow connection" };
  if (pending > 0) return client.status === "connected" ? { state: "saving", text: "Saving…" } : { state: "local", text: "Saved on this device" };
  return client.status === "connected" ? { state: "saved", text: "Saved" } : { state: "starting", text: "" };
}
