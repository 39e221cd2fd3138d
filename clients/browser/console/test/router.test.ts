// @vitest-environment happy-dom
import { beforeEach, expect, it, vi } from "vitest";

type Router = typeof import("../src/router");
const PREFIX = "http://localhost/under/a%20prefix/console/";
let router: Router;

/** The module as it is in a page with this address. */
async function openedAt(path: string): Promise<void> {
  vi.resetModules();
  (window as unknown as { happyDOM: { setURL: (url: string) => void } }).happyDOM.setURL(PREFIX + path);
  document.head.innerHTML = `<base href="${PREFIX}">`;
  router = await import("../src/router");
}

beforeEach(() => openedAt(""));

it.each([
  ["", "overview", ""], ["sessions", "sessions", ""], ["sessions?q=user%3Aada", "sessions", ""], ["sessions/0198%2Fx", "session", "0198/x"], ["sessions/%E0%A4%A", "session", "%E0%A4%A"],
  ["audit", "audit", ""], ["audit/more", "unknown", ""], ["sessions/a/b", "unknown", ""], ["constructor", "unknown", ""],
])("%s is the page %s", async (path, page, id) => {
  await openedAt(path);
  expect(router.route.value).toEqual({ page, id });
});

it("makes addresses below the prefix, whatever is in an id", () => {
  expect(router.href("sessions", "a/b ?#")).toBe("/under/a%20prefix/console/sessions/a%2Fb%20%3F%23");
  expect(router.href()).toBe("/under/a%20prefix/console/");
});

it("goes to a page with an entry in the history, and changes the query without one", () => {
  const before = history.length;
  router.go(router.href("audit"));
  expect([router.route.value.page, location.pathname, history.length]).toEqual(["audit", "/under/a%20prefix/console/audit", before + 1]);
  router.setQuery({ type: "operator_acted", user: "ada & bob" });
  router.setQuery({ type: "" });
  expect([router.query.value.get("user"), router.query.value.get("type"), location.search, history.length]).toEqual(["ada & bob", null, "?user=ada+%26+bob", before + 1]);
});
