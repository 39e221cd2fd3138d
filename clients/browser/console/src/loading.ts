// What a page loads: once, again when asked, and in the background while the page is live.
import { signal } from "@preact/signals";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get } from "./api";
import { paused } from "./live";

/** How many of the parts of this page are loaded again and again. */
export const polls = signal(0);

export interface Loaded<Answer> { readonly data: Answer | null; readonly problem: ApiError | null; readonly isLoading: boolean; readonly reload: () => void; readonly update: (change: (data: Answer) => Answer) => void }

/** `path` with its query; null loads nothing. `everyMs`: again after so long, unless the page is paused. What was loaded stays while the next is under way, and when that fails. */
export function useLoaded<Answer>(path: string | null, query: Readonly<Record<string, string | number | null>> = {}, everyMs = 0): Loaded<Answer> {
  const key = path === null ? null : `${path} ${JSON.stringify(query)}`;
  const [state, setState] = useState<{ readonly key: string | null; readonly data: Answer | null; readonly problem: ApiError | null; readonly isLoading: boolean }>({ key: null, data: null, problem: null, isLoading: false });
  const aborter = useRef<AbortController | null>(null);
  const load = useCallback((isBackground: boolean): void => {
    aborter.current?.abort();
    if (path === null) return;
    const own = aborter.current = new AbortController();
    setState((before) => ({ key, data: before.key === key ? before.data : null, problem: before.key === key ? before.problem : null, isLoading: true }));
    get<Answer>(path, { query, isBackground, signal: own.signal }).then(
      (data) => { if (own === aborter.current) setState({ key, data, problem: null, isLoading: false }); },
      (error: unknown) => {
        if (own.signal.aborted) return;
        const problem = error instanceof ApiError ? error : new ApiError(0, "unknown", String(error));
        setState((before) => ({ ...before, problem, isLoading: false }));
      },
    );
  }, [key]);
  useEffect(() => {
    load(false);
    const timer = everyMs > 0 ? setInterval(() => { if (paused.peek() === null) load(true); }, everyMs) : undefined;
    if (timer !== undefined) polls.value = polls.peek() + 1;
    return () => {
      if (timer !== undefined) polls.value = polls.peek() - 1;
      clearInterval(timer);
      aborter.current?.abort();
      aborter.current = null;
    };
  }, [load, everyMs]);
  const update = useCallback((change: (data: Answer) => Answer): void => setState((before) => (before.key === key && before.data !== null ? { ...before, data: change(before.data) } : before)), [key]);
  const reload = useCallback(() => load(false), [load]);
  const isCurrent = state.key === key;
  return {
    data: isCurrent ? state.data : null, problem: isCurrent ? state.problem : null, isLoading: state.isLoading || !isCurrent,
    reload, update,
  };
}
