/** Everything the client takes from the browser, in one place, so that tests can hand in their own. */

export interface SocketLike {
  readonly readyState: number;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

export interface ChannelLike {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

/** Web Locks, as far as leading needs them. */
export interface LocksLike {
  request(name: string, options: { readonly steal?: boolean; readonly signal?: AbortSignal }, held: () => Promise<void>): Promise<unknown>;
}

export interface Timers {
  /** Wall clock in milliseconds: it goes on while a laptop sleeps. */
  now(): number;
  set(callback: () => void, delay_ms: number): unknown;
  clear(handle: unknown): void;
}

/** A dedicated worker, as far as keeping time needs one. */
export interface WorkerLike {
  onmessage: ((event: MessageEvent) => void) | null;
  onerror: ((event: { preventDefault?(): void }) => void) | null;
  postMessage(message: unknown): void;
  terminate(): void;
}

/** What a page can tell. `window` and `document` in a browser, any EventTarget in a test. */
export interface PageLike {
  readonly window: EventTarget | undefined;
  readonly document: (EventTarget & { readonly visibilityState?: string }) | undefined;
}

export interface Environment {
  readonly WebSocket: new (url: string, protocols: string[]) => SocketLike;
  readonly fetch: typeof fetch;
  /** Null where the browser keeps nothing. */
  readonly indexedDB: IDBFactory | null;
  /** What asks the browser not to throw its storage away when the disk is full. */
  readonly persist: (() => Promise<boolean>) | undefined;
  readonly BroadcastChannel: (new (name: string) => ChannelLike) | undefined;
  /** Missing on insecure origins and in old browsers: every tab has a socket of its own then. */
  readonly locks: LocksLike | undefined;
  readonly subtle: SubtleCrypto | undefined;
  readonly timers: Timers;
  /** Starts the script at an address as a worker. Throws where a policy forbids it. */
  readonly startWorker: ((url: string) => WorkerLike) | undefined;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly page: PageLike;
}

export const browserTimers: Timers = {
  now: () => Date.now(),
  set: (callback, delay_ms) => globalThis.setTimeout(callback, delay_ms),
  clear: (handle) => globalThis.clearTimeout(handle as number),
};

function storageOf(scope: typeof globalThis): IDBFactory | null {
  try {
    return scope.indexedDB ?? null;
  } catch (error) {
    // Reading the property throws a SecurityError where storage is switched off.
    if (error instanceof DOMException) return null;
    throw error;
  }
}

interface TypesLike {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string }): { createScriptURL(url: string): string };
}
let policy: ReturnType<TypesLike["createPolicy"]> | undefined;

/** For pages that require trusted types. Their `trusted-types` has to name the policy `sessile`, if it names any. */
export function trustedUrl(url: string): string {
  const types = (globalThis as { trustedTypes?: TypesLike }).trustedTypes;
  policy ??= types?.createPolicy("sessile", { createScriptURL: (given) => given });
  return policy ? policy.createScriptURL(url) : url;
}

/** What every client needs. */
export function plainEnvironment() {
  const scope = globalThis;
  return {
    WebSocket: scope.WebSocket as Environment["WebSocket"],
    fetch: ((...call) => scope.fetch(...call)) as typeof fetch,
    indexedDB: storageOf(scope),
    subtle: scope.crypto?.subtle as SubtleCrypto | undefined,
    timers: browserTimers,
    random: () => (scope.crypto.getRandomValues(new Uint32Array(1))[0] as number) / 2 ** 32,
    page: { window: scope.window, document: scope.document } as PageLike,
    BroadcastChannel: scope.BroadcastChannel as Environment["BroadcastChannel"],
  };
}

export function browserEnvironment(): Environment {
  const scope = globalThis;
  return {
    ...plainEnvironment(),
    persist: scope.navigator?.storage?.persist && (() => scope.navigator.storage.persist()),
    locks: scope.navigator?.locks,
    startWorker: scope.Worker && ((url) => new scope.Worker(trustedUrl(url), { name: "sessile" }) as WorkerLike),
  };
}
