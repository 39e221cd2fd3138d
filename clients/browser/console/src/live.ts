// The live feed (server-sent events): one stream for what the page shows. It pauses when somebody asks for it, while the page is hidden, and when nobody
// has used the page for a while; it says so, and how old what is shown has become.
import { computed, effect, signal } from "@preact/signals";
import { address, get, toLogin } from "./api";
import { learnTime, now, serverTime } from "./clock";

export type Paused = "asked" | "hidden" | "unused" | null;
export type Link = "off" | "connecting" | "live" | "lost" | "stale";
/** Which parts of the feed the page shows, and with which parameters. */
export interface Watch { readonly parts: readonly string[]; readonly query: Readonly<Record<string, string | number>>; readonly on: Readonly<Record<string, (data: never) => void>> }

export const UNUSED_AFTER_MS = 30 * 60_000;
const SILENCE_MS = 15_000;
const RETRY_MS = [1000, 2000, 5000, 10_000];

const watch = signal<Watch | null>(null);
export const paused = signal<Paused>(document.hidden ? "hidden" : null);
export const link = signal<Link>("off");
/** When the feed last said something, by the server's clock. */
export const heardAt = signal<number | null>(null);
/** How old what is shown is; null while it is live or there is nothing to be old. */
export const staleFor = computed(() => {
  const isOld = link.value === "lost" || link.value === "stale" || paused.value !== null;
  return isOld && heardAt.value !== null ? Math.max(0, now.value - heardAt.value) / 1000 : null;
});

let source: EventSource | null = null;
let tries = 0;
let retry: ReturnType<typeof setTimeout> | undefined;
let usedAt = Date.now();
let silentSince = Date.now();

function close(): void {
  clearTimeout(retry);
  source?.close();
  source = null;
}

function lost(): void {
  close();
  link.value = "lost";
  const wait = RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]!;
  tries += 1;
  retry = setTimeout(() => void again(), wait * (0.75 + Math.random() / 2)); // consoles that lost one server do not all come back at once
}

/** An EventSource does not say why it was refused: a login that is over shows here, and leads to the login page. */
async function again(): Promise<void> {
  try {
    await get("session", { isBackground: true });
  } catch {
    if (link.peek() === "lost") lost();
    return;
  }
  if (link.peek() === "lost") open();
}

function ended(reason: string): void {
  close();
  if (reason === "draining") lost();
  else if (reason === "timeout") pause("unused");
  else toLogin();
}

function heard(): void {
  silentSince = Date.now();
  heardAt.value = serverTime();
  if (link.value !== "live" && link.value !== "stale") link.value = "live";
}

/** An error in a handler must not look like a loss of the feed, and is not hidden either: the browser reports it. */
function listen(stream: EventSource, name: string, use: (data: never) => void): void {
  stream.addEventListener(name, (event) => {
    if (stream !== source) return;
    heard();
    use(JSON.parse((event as MessageEvent<string>).data) as never);
  });
}

function open(): void {
  close();
  const wanted = watch.peek();
  if (!wanted || paused.peek() !== null) return;
  if (link.peek() !== "lost") link.value = "connecting";
  silentSince = Date.now();
  const stream = source = new EventSource(address("events", { ...wanted.query, watch: wanted.parts.join(",") }));
  listen(stream, "hello", ({ at }: { readonly at: string }) => { tries = 0; learnTime(Date.parse(at)); link.value = "live"; });
  listen(stream, "heartbeat", ({ at }: { readonly at: string }) => learnTime(Date.parse(at)));
  listen(stream, "stale", () => { link.value = "stale"; });
  listen(stream, "fresh", () => { link.value = "live"; });
  listen(stream, "end", ({ reason }: { readonly reason: string }) => ended(reason));
  for (const [name, use] of Object.entries(wanted.on)) listen(stream, name, use);
  stream.onerror = () => { if (stream === source) lost(); };
}

/** Asks the feed for everything anew. */
export const reopen = (): void => open();

export function pause(why: Exclude<Paused, null>): void {
  if (paused.peek() !== "asked") paused.value = why;
}

export function resume(): void {
  usedAt = Date.now();
  paused.value = null;
}

/** Only what paused by itself goes on by itself. */
const reappear = (): void => { if (paused.peek() === "hidden") resume(); };

/** The feed shows this from now on; the answer ends that. */
export function follow(wanted: Watch): () => void {
  watch.value = wanted;
  return () => { if (watch.peek() === wanted) watch.value = null; };
}

export function begin(): void {
  effect(() => {
    const isWanted = watch.value !== null && paused.value === null;
    tries = 0;
    if (isWanted) open();
    else {
      close();
      link.value = "off";
    }
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? pause("hidden") : reappear()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  addEventListener("online", () => { if (link.peek() === "lost") open(); });
  for (const name of ["pointerdown", "keydown", "wheel"]) addEventListener(name, () => { usedAt = Date.now(); }, { passive: true, capture: true });
  effect(() => {
    void now.value;
    if (source && Date.now() - usedAt > UNUSED_AFTER_MS) pause("unused");
    if (source && Date.now() - silentSince > SILENCE_MS) lost();
  });
}
