import { describe, expect, it } from "vitest";
import { applied, type Delta, type Rows } from "../src/rows";
import { below, one, random } from "./random";

interface Row { readonly session_id: string; readonly state: string; readonly version: number }
const row = (session_id: string, version = 1, state = "online"): Row => ({ session_id, version, state });
const ids = ({ rows }: Rows<Row>): string => rows.map(({ session_id }) => session_id).join("");
const ABC: Rows<Row> = { rows: [row("a"), row("b"), row("c")], total: 3 };

describe("a delta", () => {
  it("changes fields and keeps the rows that it does not name as they are, the same objects", () => {
    const after = applied(ABC, { changed: [{ session_id: "b", state: "offline" }], total: 3 });
    expect(after.rows[1]).toEqual(row("b", 1, "offline"));
    expect(after.rows[0]).toBe(ABC.rows[0]);
    expect(ABC.rows[1]!.state).toBe("online");
  });

  it("passes over what changed of a row that is not there", () => {
    expect(ids(applied(ABC, { changed: [{ session_id: "z", state: "offline" }], total: 3 }))).toBe("abc");
  });

  it("takes rows out and keeps the order", () => {
    expect(applied(ABC, { removed: ["b", "z"], total: 9 })).toEqual({ rows: [row("a"), row("c")], total: 9 });
  });

  it("puts rows where the order says, and drops what the order leaves out", () => {
    expect(ids(applied(ABC, { added: [row("d")], order: ["d", "a", "b"], total: 4 }))).toBe("dab");
    expect(ids(applied(ABC, { added: [row("d")], order: ["d", "q", "a"], total: 4 }))).toBe("da");
  });

  it("has each row once, also where one is added that is there already", () => {
    expect(ids(applied(ABC, { added: [row("a", 2), row("d")], total: 4 }))).toBe("dabc");
    expect(applied(ABC, { added: [row("a", 2)], order: ["a", "b", "c"], total: 3 }).rows[0]!.version).toBe(2);
  });

  it("ends where the server is, after any run of changes", () => {
    const next = random(7);
    const newest = (): string => String.fromCharCode(97 + below(next, 26)) + below(next, 50);
    let server: Row[] = [];
    let shown: Rows<Row> = { rows: [], total: 0 };
    for (let round = 0; round < 150; round += 1) {
      const before = new Map(server.map((entry) => [entry.session_id, entry]));
      const removed = server.filter(() => next() < 0.1).map(({ session_id }) => session_id);
      server = server.filter(({ session_id }) => !removed.includes(session_id));
      const changed = server.filter(() => next() < 0.2).map((entry) => ({ session_id: entry.session_id, version: entry.version + 1, state: one(next, ["online", "offline", "quiet"]) }));
      server = server.map((entry) => ({ ...entry, ...changed.find(({ session_id }) => session_id === entry.session_id) }));
      const added = Array.from({ length: below(next, 4) }, newest).filter((id, at, all) => !before.has(id) && all.indexOf(id) === at).map((id) => row(id));
      for (const entry of added) server.splice(below(next, server.length + 1), 0, entry);
      const delta: Delta<Row> = { changed, removed, total: server.length, ...(added.length && { added, order: server.map(({ session_id }) => session_id) }) };
      shown = applied(shown, delta);
      expect(shown).toEqual({ rows: server, total: server.length });
    }
    expect(server.length).toBeGreaterThan(5);
  });
});
