// Where we are: the path below the console's own prefix (the page's <base>) and its query. Every view has an address.
import { computed, signal } from "@preact/signals";

export const BASE = new URL(document.baseURI).pathname.replace(/[^/]*$/, "");
export type Page = "overview" | "sessions" | "session" | "devices" | "audit" | "health" | "settings" | "unknown";
export interface Route { readonly page: Page; readonly id: string }

const address = signal(`${location.pathname}${location.search}`);
const PAGES: readonly Page[] = ["sessions", "devices", "audit", "health", "settings"];

function parts(): readonly string[] {
  const [path = ""] = address.value.split("?");
  return (path.startsWith(BASE) ? path.slice(BASE.length) : "").split("/").filter(Boolean);
}

export const route = computed<Route>(() => {
  const [first = "", second = "", third] = parts();
  if (!first) return { page: "overview", id: "" };
  if (third !== undefined) return { page: "unknown", id: "" };
  if (first === "sessions" && second) return { page: "session", id: decoded(second) };
  const page = PAGES.find((name) => name === first);
  return { page: page && !second ? page : "unknown", id: "" };
});

/** The query of the address, by name. */
export const query = computed(() => new URLSearchParams(address.value.split("?")[1] ?? ""));

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // an address that somebody typed
  }
}

/** The address of a page below the prefix: `href("sessions", id)`. */
export const href = (...path: readonly string[]): string => BASE + path.map(encodeURIComponent).join("/");

function moved(): void {
  address.value = `${location.pathname}${location.search}`;
}

export function go(to: string): void {
  if (to === address.peek()) return;
  history.pushState(null, "", to);
  moved();
  scrollTo(0, 0);
}

/** Sets parameters of the query without a new entry in the history; an empty value takes one away. */
export function setQuery(values: Readonly<Record<string, string>>): void {
  const next = new URLSearchParams(query.peek());
  for (const [name, value] of Object.entries(values)) value ? next.set(name, value) : next.delete(name);
  const text = next.toString();
  history.replaceState(null, "", location.pathname + (text && `?${text}`));
  moved();
}

/** Links within the console change the page without loading it anew; what opens a new tab is the browser's. */
export function followLinks(): void {
  addEventListener("popstate", moved);
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    const isOurs = link !== null && link.origin === location.origin && link.pathname.startsWith(BASE) && !link.target && !link.hasAttribute("download") && !link.dataset["outside"];
    if (!isOurs || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(`${link.pathname}${link.search}`);
  });
}
