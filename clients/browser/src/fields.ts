/** Form controls as JSON values: which are bound, what they say, and how a value is written into them. */

import type { Json } from "./values.js";

export type Control = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

/** Never kept: what carries secrets or tokens, what cannot be restored, and what is not a value. */
const SKIPPED_TYPES = new Set(["password", "file", "hidden", "submit", "button", "reset", "image"]);
/** Values of `autocomplete` (HTML, section 4.10.18.7) that mark secrets and payment cards. */
const SECRET = /(^|\s)(cc-\S+|one-time-code|current-password|new-password)(\s|$)/;
const TOGGLES = new Set(["checkbox", "radio"]);

const isControl = (element: Element): element is Control => ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);

/** The control behind an event, if it belongs to `form` and is bound. */
export function boundControl(form: HTMLFormElement, target: EventTarget | null): Control | null {
  const element = target as Element | null;
  return element?.tagName && isControl(element) && element.form === form && isBound(element) ? element : null;
}

function isBound(control: Control): boolean {
  return control.name !== "" && !SKIPPED_TYPES.has(control.type) && !SECRET.test(control.getAttribute("autocomplete") ?? "")
    && !control.hasAttribute("data-sessile-ignore");
}

/** The form's bound controls by name: one, or the several of a group. */
export function groupsOf(form: HTMLFormElement): Map<string, Control[]> {
  const groups = new Map<string, Control[]>();
  for (const element of Array.from(form.elements)) {
    if (isControl(element) && isBound(element)) groups.set(element.name, [...(groups.get(element.name) ?? []), element]);
  }
  return groups;
}

/** Typed text, which is saved after a pause; everything else is saved at once. */
export const isText = (control: Control): boolean => control.tagName !== "SELECT" && !TOGGLES.has(control.type);

const isNumber = (control: Control): boolean => control.type === "number" || control.type === "range";

/**
 * What a group says: text, a number, true or false, a list of chosen values; null where nothing is chosen or filled in that
 * has no empty value; undefined while what is typed is not a value yet ("1e" in a number field).
 */
export function read(group: readonly Control[]): Json | undefined {
  const [control] = group as [Control];
  if (control.type === "radio") return (group as HTMLInputElement[]).find((radio) => radio.checked)?.value ?? null;
  if (control.type === "checkbox") {
    const boxes = group as HTMLInputElement[];
    return boxes.length === 1 ? (boxes[0] as HTMLInputElement).checked : boxes.filter((box) => box.checked).map((box) => box.value);
  }
  if (control.type === "select-multiple") return Array.from((control as HTMLSelectElement).selectedOptions, (option) => option.value);
  if (!isNumber(control)) return control.value;
  if (control.validity?.badInput) return undefined;
  const number = control.value === "" ? null : Number(control.value);
  return number !== null && !Number.isFinite(number) ? undefined : number;
}

/** Writes a value into a group; undefined is what an empty control has. Writes nothing that is there already. */
export function write(group: readonly Control[], value: Json | undefined): void {
  const [control] = group as [Control];
  const chosen = new Set(Array.isArray(value) ? value.map(text) : [text(value)]);
  if (TOGGLES.has(control.type)) {
    const isSingle = control.type === "checkbox" && group.length === 1;
    for (const toggle of group as HTMLInputElement[]) toggle.checked = isSingle ? value === true : value !== undefined && value !== null && chosen.has(toggle.value);
  } else if (control.type === "select-multiple") {
    for (const option of Array.from((control as HTMLSelectElement).options)) option.selected = value !== undefined && chosen.has(option.value);
  } else if (control.value !== text(value)) {
    control.value = text(value); // only when it differs: setting it moves the cursor
  }
}

function text(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
