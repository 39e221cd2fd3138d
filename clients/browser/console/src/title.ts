// The tab's title says how many there are, so that a look at the tab is enough.
import { effect, signal } from "@preact/signals";
import { number } from "./format";

export const titleCount = signal<number | null>(null);
export const titlePage = signal("Overview");

effect(() => {
  document.title = `${titleCount.value === null ? "" : `(${number(titleCount.value)}) `}${titlePage.value} · Sessile console`;
});
