// Keys for who works without a mouse. Not while something is typed or a dialog is open, and never with Ctrl, Alt or Meta: these are the browser's.
import { useEffect, useRef } from "preact/hooks";

export type Keys = Readonly<Record<string, () => void>>;
export const HELP: readonly (readonly [key: string, what: string])[] = [
  ["/", "Go to the search field"],
  ["j", "Next row"],
  ["k", "Row before"],
  ["x", "Select the row"],
  ["Enter", "Open the row"],
  ["r", "Load again"],
  ["p", "Pause or go on with the live feed"],
  ["t", "Colours: as the system, light, dark"],
  ["?", "This list"],
  ["Escape", "Close, or leave the search field"],
];

const layers: { readonly current: Keys }[] = [];
const isTyping = (target: EventTarget | null): boolean => target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  && !(target instanceof HTMLInputElement && target.type === "checkbox");
const isPressable = (target: EventTarget | null): boolean => target instanceof Element && target.closest("a, button, summary") !== null;

export function useKeys(keys: Keys): void {
  const layer = useRef(keys);
  layer.current = keys;
  useEffect(() => {
    layers.push(layer);
    return () => { layers.splice(layers.indexOf(layer), 1); };
  }, []);
}

export function listenForKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]") || (event.key === "Enter" && isPressable(event.target))) return;
    const layer = layers.findLast(({ current }) => Object.hasOwn(current, event.key));
    if (!layer) return;
    event.preventDefault();
    layer.current[event.key]!();
  });
}

export const focusSearch = (): void => document.querySelector<HTMLInputElement>("input[type=search]")?.focus();
