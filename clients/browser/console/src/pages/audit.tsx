// Audit: what happened and who did it, what was before and after, whether the log is as it was written, and a copy to take away.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { address, ApiError, can, get, refusal } from "../api";
import { differences, type Json } from "../difference";
import { number, plural } from "../format";
import { useKeys } from "../keys";
import { follow } from "../live";
import { useLoaded } from "../loading";
import type { AuditEvent, Verified } from "../model";
import { Ago, Empty, Fact, Problem, SessionLink } from "../parts/basics";
import { everyMs } from "../preferences";
import { query, setQuery } from "../router";
import { tell } from "../toasts";
import { titleCount } from "../title";
import { Differences } from "./document";

interface Page { readonly events: readonly AuditEvent[]; readonly before: string | null }
const FILTERS = [["type", "Type"], ["user", "User"], ["session", "Session"], ["document", "Document"], ["by", "Done by"], ["stream", "Stream"]] as const;
const TIMES = [["since", "Since"], ["until", "Until"]] as const;
const EXPORTED = ["type", "user", "stream", "since", "until"];
const fresh = signal(0);

type Filters = Readonly<Record<string, string>>;

/** A time in the field is the operator's own; the address has UTC. */
const toField = (iso: string): string => {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? "" : new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};
const toAddress = (field: string): string => (field ? new Date(field).toISOString() : "");

function chosenFilters(): Filters {
  return Object.fromEntries([...FILTERS, ...TIMES].map(([name]) => [name, query.value.get(name) ?? ""]));
}

function FilterForm({ filters, types }: { readonly filters: Filters; readonly types: readonly string[] }) {
  const isAny = Object.values(filters).some(Boolean);
  return (
    <form class="filters audit-filters" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
      {FILTERS.map(([name, label]) => (
        <label key={name} class="field">{label} <input value={filters[name]} list={name === "type" ? "audit-types" : undefined} autocomplete="off" spellcheck={false} maxLength={300}
          onChange={(event) => setQuery({ [name]: event.currentTarget.value.trim() })} data-testid={`filter-${name}`} /></label>
      ))}
      {TIMES.map(([name, label]) => (
        <label key={name} class="field">{label} <input type="datetime-local" value={toField(filters[name]!)} onChange={(event) => setQuery({ [name]: toAddress(event.currentTarget.value) })} /></label>
      ))}
      <datalist id="audit-types">{types.map((type) => <option key={type} value={type} />)}</datalist>
      {isAny && <button type="button" onClick={() => setQuery(Object.fromEntries(Object.keys(filters).map((name) => [name, ""])))}>Clear</button>}
    </form>
  );
}

function Chain({ stream }: { readonly stream: string }) {
  const [isAnew, setAnew] = useState<number | null>(null);
  const { data, problem, isLoading, reload } = useLoaded<Verified>("audit/verify", { stream, fresh: isAnew });
  const again = (): void => (isAnew === null ? setAnew(1) : reload());
  return (
    <div class="chain" role="status" data-testid="chain">
      {problem ? <span class="badge problem">not checked: {problem.message}</span>
        : data ? <><span class={`badge ${data.ok ? "good" : "problem"}`}>{data.ok ? "chain intact" : `chain broken in ${plural(data.faults.length, "place")}`}</span>
          <span class="hint">{plural(data.events, "event")} in {plural(data.streams, "stream")}, checked <Ago at={data.checked_at} /></span></>
          : <span class="hint">Checking the chain…</span>}
      <button type="button" class="quiet" onClick={again} disabled={isLoading}>Check again</button>
      {data && !data.ok && <ul class="faults">{data.faults.map((fault) => <li key={`${fault.stream} ${fault.position}`}><code>{fault.stream}</code> {fault.position > 0 && `at ${number(fault.position)}`}: {fault.problem}</li>)}</ul>}
    </div>
  );
}

function Export({ filters }: { readonly filters: Filters }) {
  const why = refusal("audit.export");
  const left = Object.entries(filters).filter(([name, value]) => value && !EXPORTED.includes(name)).map(([name]) => name);
  const query = Object.fromEntries(EXPORTED.map((name) => [name, filters[name]]));
  return (
    <div class="actions export">
      {["csv", "jsonl"].map((format) => can("audit.export")
        ? <a key={format} class="button" download data-outside="" href={address("audit/export", { ...query, format })} data-testid={`export-${format}`}>Export {format.toUpperCase()}</a>
        : <button key={format} type="button" aria-disabled="true" title={why} onClick={() => tell(`${why}.`)} data-testid={`export-${format}`}>Export {format.toUpperCase()}</button>)}
      {left.length > 0 && <p class="hint">The export does not filter by {left.join(", ")}.</p>}
    </div>
  );
}

const isObject = (value: Json | undefined): value is { readonly [key: string]: Json } => typeof value === "object" && value !== null && !Array.isArray(value);

function Details({ event }: { readonly event: AuditEvent }) {
  const { before, after, ...rest } = event.data;
  const changed = before !== undefined || after !== undefined ? differences(before ?? {}, after ?? {}).map((one) => ({ path: one.path, ...(one.before !== undefined && { from: one.before }), ...(one.after !== undefined && { to: one.after }) })) : null;
  return (
    <div class="event-details">
      <dl class="facts">
        <Fact name="Event">{event.event}</Fact>
        {event.session_id && <Fact name="Session"><SessionLink id={event.session_id} /></Fact>}
        {event.document_id && <Fact name="Document"><code>{event.document_id}</code></Fact>}
        <Fact name="Stream"><code>{event.stream}</code> <span class="hint">position {number(event.position)}</span></Fact>
        <Fact name="Hash"><code>{event.hash}</code></Fact>
        {Object.entries(rest).map(([name, value]) => <Fact key={name} name={name.replaceAll("_", " ")}>{isObject(value) || Array.isArray(value) ? <pre>{JSON.stringify(value, null, 2)}</pre> : String(value)}</Fact>)}
      </dl>
      {changed && <Differences differences={changed} from="Before" to="After" />}
    </div>
  );
}

function Event({ event }: { readonly event: AuditEvent }) {
  const [isOpen, setOpen] = useState(false);
  const action = event.data["action"];
  return (
    <li class="event" data-type={event.type}>
      <details onToggle={(toggled) => setOpen(toggled.currentTarget.open)}>
        <summary><span class="event-what"><b>{typeof action === "string" ? action : event.type.replaceAll("_", " ")}</b>{event.user_id && <> {event.user_id}</>}</span>
          <span class="hint event-who">{[event.by && `by ${event.by}`, event.reason].filter(Boolean).join(": ")}</span><Ago at={event.at} /></summary>
        {isOpen && <Details event={event} />}
      </details>
    </li>
  );
}

/** Pages behind the first. The server may look long for what is rare: then a page is short, and there is still more. */
function useMore(first: Page | null, filters: Filters) {
  const [more, setMore] = useState<{ readonly of: Page | null; readonly events: readonly AuditEvent[]; readonly before: string | null; readonly problem: ApiError | null }>({ of: null, events: [], before: null, problem: null });
  const isCurrent = more.of === first;
  const events = isCurrent ? more.events : [];
  const before = isCurrent ? more.before : first?.before ?? null;
  const load = (): void => {
    get<Page>("audit", { query: { ...filters, before, limit: 100 } }).then(
      (page) => setMore({ of: first, events: [...events, ...page.events], before: page.before, problem: null }),
      (error: unknown) => { if (error instanceof ApiError) setMore({ of: first, events, before, problem: error }); else throw error; },
    );
  };
  return { events, problem: isCurrent ? more.problem : null, load: before === null ? null : load };
}

export function Audit() {
  const filters = chosenFilters();
  const { data, problem, reload } = useLoaded<Page>("audit", { ...filters, limit: 100 });
  const more = useMore(data, filters);
  const events = [...(data?.events ?? []), ...more.events];
  const anew = (): void => { fresh.value = 0; reload(); };
  useKeys({ r: anew, "/": () => document.querySelector<HTMLInputElement>(".audit-filters input")?.focus() });
  titleCount.value = null;
  useEffect(() => { fresh.value = 0; }, [data]);
  useEffect(() => follow({
    parts: ["audit"], query: { every_ms: Math.max(1000, everyMs.value) },
    on: { audit: (event: { readonly events: readonly AuditEvent[]; readonly skipped: number }) => { fresh.value += event.events.length + event.skipped; } },
  }), [everyMs.value]);
  const isAny = Object.values(filters).some(Boolean);
  return (
    <>
      <div class="page-head"><h1>Audit</h1><Export filters={filters} /></div>
      <Chain stream={filters["stream"] ?? ""} />
      <FilterForm filters={filters} types={[...new Set(events.map(({ type }) => type))].sort()} />
      <Problem problem={problem ?? more.problem} onRetry={reload} />
      <p class="new-events" role="status">{fresh.value > 0 && <button type="button" onClick={anew} data-testid="new-events">{plural(fresh.value, "new event")}{isAny ? " in all" : ""}: show</button>}</p>
      {data && (events.length ? <ul class="events" data-testid="events">{events.map((event) => <Event key={event.id} event={event} />)}</ul> : <Empty>{more.load ? "None so far: the search goes on with Older." : "No event matches."}</Empty>)}
      {more.load && <button type="button" onClick={more.load} data-testid="older">Older</button>}
    </>
  );
}
