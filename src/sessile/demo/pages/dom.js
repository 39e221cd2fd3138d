/** Small tools for the page: elements are made with text only, and written only where something differs. */

/** An element with attributes (true: present, false and null: left out), `on*` listeners, and children (nodes or text; false: left out). */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Writes a text only when it is another one: every write to a status is read out. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function toggle(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown;
}

/** Makes `list` have one child per item, in order; children are kept by key, so that focus and half-typed text stay. */
export function keyed(list, items, keyOf, make, update) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let previous = null;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = known.get(key);
    if (child) known.delete(key);
    else {
      child = make(item);
      child.dataset.key = key;
    }
    const wanted = previous ? previous.nextElementSibling : list.firstElementChild;
    if (wanted !== child) list.insertBefore(child, wanted);
    update(child, item);
    previous = child;
  }
  for (const child of known.values()) child.remove();
}

/** The value at a JSON Pointer, or undefined. */
export function valueAt(state, path) {
  let value = state;
  for (const part of path.split("/").slice(1)) {
    if (typeof value !== "object" || value === null) return undefined;
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    value = Object.hasOwn(value, key) ? value[key] : undefined;
  }
  return value;
}

export const listAt = (state, path) => {
  const value = valueAt(state, path);
  return Array.isArray(value) ? value : [];
};

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** A moment as people say it: today only the time. */
export function when(iso) {
  const moment = new Date(iso);
  return (moment.toDateString() === new Date().toDateString() ? TIME : DAY).format(moment);
}

/** Hours and minutes. */
export const clock = (iso) => CLOCK.format(new Date(iso));

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
