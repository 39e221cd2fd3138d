// What one operator likes, in this browser: colours and the pace of the live feed.
import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
export const THEMES: readonly Theme[] = ["system", "light", "dark"];
export const PACES_MS = [250, 1000, 5000, 15_000] as const;
const PREFIX = "sessile-console:";

/** Storage can be forbidden; then a choice lasts as long as the page. */
function kept(name: string): string | null {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    return;
  }
}

export const theme = signal<Theme>(THEMES.find((name) => name === kept("theme")) ?? "system");
export const everyMs = signal<number>(PACES_MS.find((pace) => String(pace) === kept("every_ms")) ?? 1000);

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.peek()) + 1) % THEMES.length]!;
}

effect(() => {
  keep("theme", theme.value);
  document.documentElement.dataset["theme"] = theme.value;
});
effect(() => keep("every_ms", String(everyMs.value)));
