// Short messages after an action. They stay until they are closed or a while has passed; a screen reader hears them.
import { signal } from "@preact/signals";

export interface Toast { readonly key: number; readonly text: string; readonly isProblem: boolean }
const STAYS_MS = 8000;
export const toasts = signal<readonly Toast[]>([]);
let count = 0;

export function dismiss(key: number): void {
  toasts.value = toasts.value.filter((toast) => toast.key !== key);
}

export function tell(text: string, isProblem = false): void {
  const key = ++count;
  toasts.value = [...toasts.value.slice(-3), { key, text, isProblem }];
  if (!isProblem) setTimeout(dismiss, STAYS_MS, key);
}
