// Sessions: all that match a search, live, with what can be done to several at once.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../api";
import { milliseconds, number, plural } from "../format";
import { focusSearch, useKeys } from "../keys";
import { follow, link, paused, reopen } from "../live";
import { useLoaded } from "../loading";
import type { Row, SessionList } from "../model";
import { Act, Ago, Badge, Choice, Copyable, Empty, Problem, SessionLink } from "../parts/basics";
import { SearchBox, useSearch } from "../parts/search-box";
import { type Column, Table } from "../parts/table";
import { everyMs } from "../preferences";
import { go, href, query, setQuery } from "../router";
import { applied, type Delta, type Rows } from "../rows";
import { parse, type Qualifier, toggled, written } from "../search";
import { titleCount } from "../title";
import { askToEnd } from "./ending";

export const QUALIFIERS: readonly Qualifier[] = [
  { name: "user", hint: "an id, its beginning with *, or none" },
  { name: "state", hint: "online, offline, ended …", values: ["live", "online", "degraded", "offline", "quiet", "ended", "expired"] },
  { name: "platform", hint: "an id, or none" },
  { name: "device", hint: "part of its name" },
  { name: "node", hint: "that holds the connection" },
  { name: "age", hint: "since it began: >5m, <2h", isDuration: true },
  { name: "idle", hint: "since it was last active: >10m", isDuration: true },
  { name: "id", hint: "a handle or its beginning" },
];
/** How many rows are loaded: more when somebody scrolls to the end of them. */
const LIMITS = [200, 1000, 5000, 10_000];

const rows = signal<Rows<Row> | null>(null);
const selected = signal<ReadonlySet<string>>(new Set());
const isAllSelected = signal(false);

function select(next: ReadonlySet<string>): void {
  selected.value = next;
  isAllSelected.value = false;
}

function toggle(id: string): void {
  const next = new Set(selected.peek());
  if (!next.delete(id)) next.add(id);
  select(next);
}

function Pick({ row }: { readonly row: Row }) {
  const id = row.session_id;
  return <input type="checkbox" aria-label={`Select session of ${row.user_id ?? "nobody"}`} checked={isAllSelected.value || selected.value.has(id)} onClick={(event) => event.stopPropagation()} onChange={() => toggle(id)} />;
}

function PickAll() {
  const shown = rows.value?.rows ?? [];
  const isAll = shown.length > 0 && (isAllSelected.value || shown.every(({ session_id }) => selected.value.has(session_id)));
  return <input type="checkbox" aria-label="Select all rows that are loaded" checked={isAll} onChange={() => select(isAll ? new Set() : new Set(shown.map(({ session_id }) => session_id)))} data-testid="select-all" />;
}

const COLUMNS: readonly Column<Row>[] = [
  { name: "pick", label: <PickAll />, cell: (row) => <Pick row={row} /> },
  { name: "user", label: "User", cell: (row) => <a href={href("sessions", row.session_id)} class="user" title={row.user_id ?? undefined}>{row.user_id ?? <i>anonymous</i>}</a> },
  { name: "state", label: "State", cell: (row) => <Badge state={row.state} /> },
  { name: "seen", label: "Last seen", cell: (row) => <Ago at={row.last_seen_at} /> },
  { name: "device", label: "Device", gives: 1, cell: (row) => row.device ?? "–" },
  { name: "platform", label: "Platform", gives: 2, cell: (row) => row.platform_id ?? "–" },
  { name: "tabs", label: "Tabs", gives: 2, cell: (row) => number(row.tabs) },
  { name: "rtt", label: "RTT", gives: 3, cell: (row) => milliseconds(row.rtt_ms) },
  { name: "node", label: "Node", gives: 3, cell: (row) => row.nodes.join(", ") || "–" },
  { name: "version", label: "Version", gives: 3, cell: (row) => row.version },
  { name: "id", label: "Handle", gives: 2, cell: (row) => <><SessionLink id={row.session_id} /> <Copyable id={row.session_id} /></> },
];

const knownValues = (qualifier: string): readonly string[] => {
  const of = (pick: (row: Row) => string | null | readonly string[]): readonly string[] => [...new Set((rows.peek()?.rows ?? []).flatMap((row) => pick(row) ?? []))];
  return qualifier === "user" ? ["none", ...of((row) => row.user_id)] : qualifier === "platform" ? ["none", ...of((row) => row.platform_id)]
    : qualifier === "node" ? of((row) => row.nodes) : qualifier === "device" ? of((row) => row.device) : [];
};

/** The rows from the live feed; from one GET where the feed is paused. */
function useRows(q: string, order: string, limit: number): { readonly problem: ApiError | null; readonly reload: () => void } {
  const isLive = paused.value === null && (link.value === "live" || link.value === "connecting" || link.value === "stale");
  const once = useLoaded<SessionList>(isLive && rows.value ? null : "sessions", { q, order, limit });
  useEffect(() => { if (once.data) rows.value = { rows: once.data.sessions, total: once.data.total }; }, [once.data]);
  useEffect(() => follow({
    parts: ["sessions"], query: { q, order, limit, every_ms: everyMs.value },
    on: {
      sessions_reset: (all: { readonly sessions: readonly Row[]; readonly total: number }) => { rows.value = { rows: all.sessions, total: all.total }; },
      sessions: (delta: Delta<Row>) => { if (rows.peek()) rows.value = applied(rows.peek()!, delta); },
    },
  }), [q, order, limit, everyMs.value]);
  return { problem: once.problem, reload: () => { once.reload(); reopen(); } };
}

function Bulk({ q, onDone }: { readonly q: string; readonly onDone: () => void }) {
  const { rows: loaded, total } = rows.value ?? { rows: [], total: 0 };
  const count = isAllSelected.value ? total : selected.value.size;
  if (!count) return null;
  const canWiden = !isAllSelected.value && selected.value.size >= loaded.length && total > selected.value.size;
  const body = isAllSelected.value ? { q: q || "state:live" } : { session_ids: [...selected.value] };
  return (
    <div class="bulk" role="status" data-testid="bulk">
      <p>{isAllSelected.value ? `All ${number(total)} matching are selected.` : `${number(count)} selected.`}</p>
      {canWiden && <button type="button" onClick={() => { isAllSelected.value = true; }} data-testid="select-matching">Select all {number(total)} matching</button>}
      <Act right="session.end" isDangerous onClick={() => askToEnd({ count, body }, onDone)} testId="end-selected">End {plural(count, "session")}</Act>
      <button type="button" class="quiet" onClick={() => select(new Set())}>Clear</button>
    </div>
  );
}

function useRowKeys(active: string | null, setActive: (id: string) => void, reload: () => void): void {
  const step = (by: number): void => {
    const shown = rows.peek()?.rows ?? [];
    const at = shown.findIndex(({ session_id }) => session_id === active);
    const next = shown[Math.max(0, Math.min(shown.length - 1, at < 0 ? 0 : at + by))];
    if (next) setActive(next.session_id);
  };
  useKeys({
    "/": focusSearch, j: () => step(1), k: () => step(-1), r: reload,
    x: () => { if (active) toggle(active); }, Enter: () => { if (active) go(href("sessions", active)); },
  });
}

export function Sessions() {
  const search = useSearch(QUALIFIERS);
  const { q } = search;
  const order = query.value.get("order") === "oldest" ? "oldest" : "newest";
  const [limitIndex, setLimitIndex] = useState(0);
  const [active, setActive] = useState<string | null>(null);
  const { problem, reload } = useRows(q, order, LIMITS[limitIndex]!);
  useEffect(() => () => { rows.value = null; }, []);
  useEffect(() => { select(new Set()); setLimitIndex(0); }, [q]);
  useRowKeys(active, setActive, reload);
  const found = rows.value;
  titleCount.value = found?.total ?? null;
  const taken = parse(q, QUALIFIERS).terms.find(({ qualifier, value }) => !qualifier && value.includes(":"))?.value;
  const state = parse(q, QUALIFIERS).terms.find(({ qualifier }) => qualifier === "state")?.value ?? "live";
  const choose = (next: string): void => {
    const rest = parse(q, QUALIFIERS).terms.filter(({ qualifier }) => qualifier !== "state");
    setQuery({ q: next === "live" ? written({ terms: rest, problems: [] }) : toggled(written({ terms: rest, problems: [] }), "state", next) });
  };
  return (
    <>
      <div class="page-head"><h1>Sessions</h1><p class="hint" data-testid="total">{found ? `${number(found.total)} matching` : "Loading…"}</p></div>
      <SearchBox label="Search sessions" value={search.text} qualifiers={QUALIFIERS} values={knownValues} problems={search.problems.length ? search.problems : problem?.code === "invalid_value" ? [problem.message] : []} onChange={search.setText} />
      <div class="filters">
        <Choice label="State" value={state} values={[["live", "Live"], ["online", "Online"], ["degraded", "Degraded"], ["offline", "Offline"], ["quiet", "Quiet"], ["ended", "Ended"]]} onChange={choose} />
        <Choice label="Order" value={order} values={[["newest", "Newest"], ["oldest", "Oldest"]]} onChange={(next) => setQuery({ order: next === "newest" ? "" : next })} />
      </div>
      {problem?.code !== "invalid_value" && <Problem problem={problem} onRetry={reload} />}
      <Bulk q={q} onDone={() => { select(new Set()); reload(); }} />
      {found && !found.rows.length ? <Empty>No session matches. {taken && <><code>{taken.split(":")[0]}:</code> is none of the terms there are, so <code>{taken}</code> was taken for a user. </>}{q && <button type="button" onClick={() => setQuery({ q: "" })}>Show all live sessions</button>}</Empty>
        : <Table label="Sessions" rows={found?.rows ?? []} total={found?.total ?? 0} columns={COLUMNS} keyOf={(row) => row.session_id} active={active}
          isSelected={(row) => isAllSelected.value || selected.value.has(row.session_id)} onActivate={(row) => setActive(row.session_id)}
          onEnd={() => setLimitIndex((index) => Math.min(index + 1, LIMITS.length - 1))} />}
    </>
  );
}
