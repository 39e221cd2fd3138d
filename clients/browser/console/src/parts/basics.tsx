// Small parts that every page uses.
import type { ComponentChildren } from "preact";
import { ApiError, refusal } from "../api";
import { now } from "../clock";
import { absolute, moment, relative, shortId } from "../format";
import type { Right } from "../model";
import { href } from "../router";
import { tell } from "../toasts";

/** A time as people say it; the exact one is its title. */
export function Ago({ at }: { readonly at: string | number | null | undefined }) {
  const time = moment(at);
  return time === null ? <span class="missing">–</span> : <time dateTime={new Date(time).toISOString()} title={absolute(time)}>{relative(time, now.value)}</time>;
}

const TONES: Readonly<Record<string, string>> = {
  online: "good", ok: "good", up: "good", connected: "good", degraded: "calm", offline: "calm", away: "calm", expired: "calm", down: "problem", error: "problem", critical: "problem", warning: "calm", ended: "soft", quiet: "soft", off: "soft",
};

/** Its word says it; the colour only repeats it. */
export const Badge = ({ state }: { readonly state: string }) => <span class={`badge ${TONES[state] ?? "soft"}`} data-state={state}>{state}</span>;

export const Copyable = ({ id }: { readonly id: string }) => (
  <button type="button" class="copy" title={`Copy ${id}`} onClick={() => void navigator.clipboard.writeText(id).then(() => tell("Copied."), () => tell("The browser did not allow copying.", true))}>Copy</button>
);

export const SessionLink = ({ id }: { readonly id: string }) => <a href={href("sessions", id)} title={id}><code>{shortId(id)}</code></a>;

/** A button for what needs a right. Who lacks it can reach the button, and is told why it does nothing. */
export function Act({ right, onClick, children, isDangerous = false, testId }: {
  readonly right: Right; readonly onClick: () => void; readonly children: ComponentChildren; readonly isDangerous?: boolean; readonly testId?: string;
}) {
  const why = refusal(right);
  return (
    <button type="button" class={isDangerous ? "danger" : ""} aria-disabled={why !== undefined} title={why} data-testid={testId} onClick={() => (why === undefined ? onClick() : tell(`${why}.`))}>{children}</button>
  );
}

export function Problem({ problem, onRetry }: { readonly problem: ApiError | null; readonly onRetry?: () => void }) {
  return problem && (
    <div class="banner problem" role="alert"><p>{problem.message}</p>{onRetry && <button type="button" onClick={onRetry}>Try again</button>}</div>
  );
}

export const Empty = ({ children }: { readonly children: ComponentChildren }) => <p class="empty">{children}</p>;

export function Panel({ title, aside, children, testId }: { readonly title: string; readonly aside?: ComponentChildren; readonly children: ComponentChildren; readonly testId?: string }) {
  return <section class="panel" data-testid={testId}><div class="panel-head"><h2>{title}</h2>{aside}</div>{children}</section>;
}

export const Fact = ({ name, children }: { readonly name: string; readonly children: ComponentChildren }) => <div class="fact"><dt>{name}</dt><dd>{children}</dd></div>;

/** One of a few: `values` are pairs of value and label. */
export function Choice({ label, value, values, onChange }: { readonly label: string; readonly value: string; readonly values: readonly (readonly [string, string])[]; readonly onChange: (value: string) => void }) {
  return (
    <div class="choice" role="group" aria-label={label}>
      {values.map(([one, text]) => <button key={one} type="button" aria-pressed={one === value} onClick={() => onChange(one)}>{text}</button>)}
    </div>
  );
}
