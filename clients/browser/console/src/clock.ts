// The time that is shown. One timer for all relative times, and none while the page is hidden.
import { signal } from "@preact/signals";

const TICK_MS = 1000;
/** Milliseconds since 1970 by the server's clock, as well as we know it. */
export const now = signal(Date.now());
let offset = 0;

/** The server said what time it is. A browser's clock may be wrong by hours. */
export function learnTime(serverNow: number): void {
  offset = serverNow - Date.now();
  now.value = serverNow;
}

export const serverTime = (): number => Date.now() + offset;

setInterval(() => { if (!document.hidden) now.value = serverTime(); }, TICK_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden) now.value = serverTime(); });
