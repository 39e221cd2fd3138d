/** One seed: browsers, tabs and servers at work, everything going wrong for a minute, and then what has to hold. */

import { canonical } from "../../src/canonical.js";
import type { BaseDoc as Doc } from "../../src/base-document.js";
import type { ItemId, Operation } from "../../src/operations.js";
import { Profile, type Tab } from "./browser.js";
import { Broken, isTold, World } from "./scheduler.js";
import { Database, type Document, Node } from "./server.js";

const CHAOS_MS = 45_000;
export const EMPTY_WITHIN_MS = 30_000;
const CONVERGED_WITHIN_MS = 60_000;

interface Made { nonce: string; name: string; tab: Tab; local: "pending" | "stored" | "failed"; verdict: string | null; version: number | null }

export interface Figures { changes: number; acknowledged: number; faults: number; events: number; emptyAfter_ms: number }

export class Play {
  readonly world: World;
  readonly database = new Database();
  readonly nodes: Node[];
  readonly profiles: Profile[];
  readonly names: string[];
  readonly #made: Made[] = [];
  readonly #seen = new WeakMap<Doc, { epoch: string; version: number }>();
  readonly #initial = { text: "word", f: {}, log: [] };
  #faults = 0;
  #isHealed = false;

  constructor(readonly seed: number) {
    const world = (this.world = new World(seed));
    Object.assign(globalThis, { reportError: (error: unknown) => world.faults.push(error) });
    this.nodes = Array.from({ length: world.whole(1, 3) }, (_, index) => new Node(world, this.database, `n${index + 1}`));
    for (const node of this.nodes) node.peers = this.nodes.filter((other) => other !== node);
    this.names = ["d", "e"].slice(0, world.whole(1, 2));
    this.profiles = Array.from({ length: world.whole(1, 3) }, (_, index) => new Profile(world, `b${index + 1}`, this.nodes, world.chance(0.8)));
    for (const profile of this.profiles) for (let count = world.whole(1, 3); count > 0; count--) this.#open(profile);
  }

  async run(): Promise<Figures> {
    try {
      this.#editLater();
      this.#faultLater();
      this.#look();
      await this.world.run(CHAOS_MS);
      this.#heal();
      const emptyAfter_ms = await this.#emptied();
      await this.world.run(CONVERGED_WITHIN_MS - emptyAfter_ms);
      this.#converged();
      this.#nothingLost();
      return { changes: this.#made.length, acknowledged: this.#made.filter(({ verdict }) => verdict).length, faults: this.#faults, events: this.world.events, emptyAfter_ms };
    } catch (error) {
      throw new Broken(`seed ${this.seed} at ${(this.world.now / 1000).toFixed(3)} s: ${(error as Error).stack}\n  ${this.world.trace.slice(isTold ? 0 : -25).join("\n  ")}`);
    } finally {
      for (const tab of this.#tabs()) tab.isAlive = false;
    }
  }

  // ------------------------------------------------------------------ people

  #tabs(): Tab[] { return this.profiles.flatMap(({ tabs }) => [...tabs].filter(({ isClosing }) => !isClosing)); }

  #open(profile: Profile): Tab {
    const tab = profile.open();
    for (const name of this.names) if (this.world.chance(0.8) || name === "d") tab.docs.push(tab.client.open(name, { default: this.#initial }));
    return tab;
  }

  #editLater(): void {
    this.world.at(this.world.between(50, 900), () => {
      if (this.#isHealed) return;
      const tabs = this.#tabs().filter(({ isPaused, isAway }) => !isPaused && !isAway);
      if (tabs.length) this.edit(this.world.pick(tabs));
      this.#editLater();
    });
  }

  edit(tab: Tab): void {
    const doc = this.world.pick(tab.docs);
    const nonce = `m${this.#made.length + 1}`;
    const change = doc.change([{ op: "append", path: "/log", item: { id: nonce } }, ...this.#operations(doc, nonce)]);
    const made: Made = { nonce, name: doc.name, tab, local: "pending", verdict: null, version: null };
    this.#made.push(made);
    if (isTold) this.world.note(`${tab.name} makes ${nonce}`);
    change.local.then(() => (made.local = "stored"), (error: unknown) => {
      made.local = "failed";
      if (isTold) this.world.note(`${tab.name} could not store ${nonce}: ${String(error)}`);
    });
    change.durable.then(({ verdict, version }) => Object.assign(made, { verdict, version }), () => undefined);
  }

  #operations(doc: Doc, nonce: string): Operation[] {
    const { world } = this;
    const [conflict] = doc.conflicts;
    if (conflict && world.chance(0.5)) return [{ op: "resolve", conflict_id: conflict.conflict_id, choice: "value", value: nonce }];
    const ids = ((doc.state["log"] ?? []) as { id: ItemId }[]).map(({ id }) => id);
    return [
      { op: "increment", path: "/n", by: 1 },
      ...(world.chance(0.4) ? [{ op: "set", path: `/f/${world.whole(1, 3)}`, value: nonce } as Operation] : []),
      ...(world.chance(0.1) ? [{ op: "merge", path: "/f", value: { [nonce]: { deep: [1, 2, nonce] }, "1": null } } as Operation] : []),
      ...(world.chance(0.1) && ids.length ? [{ op: "move", path: "/log", id: world.pick(ids), after: null } as Operation] : []),
      ...(world.chance(0.05) ? [{ op: "increment", path: "/text", by: 1 } as Operation] : []), // refused
    ];
  }

  // ------------------------------------------------------------------ faults

  #faultLater(): void {
    this.world.at(this.world.between(100, 2500), () => {
      if (this.#isHealed) return;
      const [name, fault] = this.world.pick(this.#possible());
      const said = fault();
      if (said !== null) {
        this.#faults++;
        this.world.note(`${name} ${said}`);
      }
      this.#faultLater();
    });
  }

  #for(low_ms: number, high_ms: number, undo: () => void): void {
    this.world.at(this.world.between(low_ms, high_ms), () => this.#isHealed || undo());
  }

  #possible(): [string, () => string | null][] {
    const { world } = this;
    const profile = () => world.pick(this.profiles);
    const withTab = (work: (tab: Tab) => void): string | null => {
      const tabs = this.#tabs().filter((tab) => !tab.isPaused && !tab.isAway && !tab.profile.disk.isBusyFor(tab));
      if (!tabs.length) return null;
      const tab = world.pick(tabs);
      work(tab);
      return tab.name;
    };
    const withLink = (work: (link: Profile["links"][number]) => void): string | null => {
      const links = this.profiles.flatMap(({ links: some }) => some).filter(({ state }) => state === "open");
      if (!links.length) return null;
      const link = world.pick(links);
      work(link);
      return link.socket.tab.name;
    };
    const withNode = (work: (node: Node) => void): string | null => {
      const nodes = this.nodes.filter(({ isAlive, isPaused }) => isAlive && !isPaused);
      if (!nodes.length) return null;
      const node = world.pick(nodes);
      work(node);
      return node.name;
    };
    const withDisk = (flag: "isFull" | "isLost"): string => {
      const { disk, name } = profile();
      disk[flag] = true;
      this.#for(100, 6000, () => (disk[flag] = false));
      return name;
    };
    const common: [string, () => string | null][] = [
      ["cut", () => withLink((link) => link.cut())],
      ["hold", () => withLink((link) => { link.hold(); this.#for(500, 40_000, () => world.chance(0.5) ? link.revive() : link.cut()); })],
      ["silence", () => withLink((link) => link.silence())],
      ["network", () => { const one = profile(); if (one.network !== "up") return null; one.lose(world.chance(0.5) ? "hole" : "down"); this.#for(500, 15_000, () => one.regain()); return one.name; }],
      ["slow", () => { const one = profile(); one.slow_ms = world.between(100, 1500); this.#for(500, 8000, () => (one.slow_ms = 0)); return one.name; }],
      ["kill server", () => withNode((node) => { node.kill(); this.#for(50, 6000, () => node.start()); })],
      ["pause server", () => withNode((node) => { node.pause(); this.#for(500, 14_000, () => node.resume(world)); })],
      ["hang tab", () => withTab((tab) => { tab.pause(); this.#for(500, 14_000, () => tab.resume(world)); })],
      ["freeze tab", () => withTab((tab) => { tab.document.fire("freeze"); tab.isAway = true; this.#for(500, 14_000, () => this.#back(tab)); })],
      ["put tab aside", () => withTab((tab) => { tab.window.fire("pagehide"); tab.isAway = true; this.#for(500, 14_000, () => this.#back(tab)); })],
      ["crash tab", () => withTab((tab) => { tab.crash(); this.#for(10, 5000, () => void this.#open(tab.profile)); })],
      ["close tab", () => withTab((tab) => { tab.close(); this.#for(40, 5000, () => void this.#open(tab.profile)); })],
      ["look elsewhere", () => withTab((tab) => tab.show(tab.document.visibilityState === "hidden"))],
      ["jump", () => { const one = profile(); one.clock_ms += world.pick([-3_600_000, -5000, 5000, 60_000, 3_600_000]); return one.name; }],
      ["store away", () => { this.database.isAway = true; this.#for(100, 4000, () => (this.database.isAway = false)); return ""; }],
    ];
    const rare: [string, () => string | null][] = [
      ["disk full", () => withDisk("isFull")],
      ["disk lost", () => withDisk("isLost")],
      ["restore", () => withNode((node) => { const document = this.database.byName("d", this.#initial); node.publish(document, [document.restore(world.whole(0, document.version))]); })],
      ["new epoch", () => { const document = this.database.byName("d", this.#initial); document.epoch = `e${world.whole(2, 1e6)}`; return document.epoch; }],
    ];
    return world.chance(0.06) ? rare : common;
  }

  #back(tab: Tab): void {
    tab.isAway = false;
    tab.take(() => { tab.document.fire("resume"); tab.window.fire("pageshow"); });
  }

  #heal(): void {
    const { world } = this;
    this.#isHealed = true;
    world.note("healed");
    this.database.isAway = false;
    for (const node of this.nodes) { if (!node.isAlive) node.start(); node.resume(world); }
    for (const profile of this.profiles) {
      profile.disk.isFull = profile.disk.isLost = false;
      profile.slow_ms = 0;
      for (const link of profile.links) if (link.state === "held") world.chance(0.5) ? link.revive() : link.cut();
      profile.regain();
      for (const tab of profile.tabs) { if (tab.isPaused) tab.resume(world); if (tab.isAway) this.#back(tab); }
      // What a full disk still holds is sent by the next page that can read it.
      if (![...profile.tabs].some(({ client, isClosing }) => !isClosing && client.isStorageDurable)) this.#open(profile);
    }
    for (const tab of this.#tabs()) this.edit(tab);
  }

  // ------------------------------------------------------------------ what has to hold

  /** Once a second: what a tab calls confirmed is what the server had at that version, and it never goes back. */
  #look(): void {
    this.world.at(1000, () => {
      for (const tab of this.#tabs()) for (const doc of tab.docs) this.#isTrue(tab, doc);
      this.#look();
    });
  }

  #isTrue(tab: Tab, doc: Doc): void {
    const { confirmed, version } = doc;
    const document = this.database.documents.get(doc.name);
    if (!confirmed || !document) return;
    const seen = this.#seen.get(doc);
    if (seen?.epoch === document.epoch && version < seen.version) throw new Broken(`${tab.name} ${doc.name}: version ${version} after ${seen.version}`);
    this.#seen.set(doc, { epoch: document.epoch, version });
    const there = document.states[version];
    if (!there) throw new Broken(`${tab.name} ${doc.name}: shows version ${version}, which is not committed`);
    if (canonical(there) !== canonical(confirmed)) throw new Broken(`${tab.name} ${doc.name}: version ${version} is not what the server has\n  ${canonical(confirmed)}\n  ${canonical(there)}`);
  }

  #left(): string[] {
    return [
      ...this.profiles.flatMap(({ name, disk }) => disk.rows("outbox").map(([key]) => `outbox of ${name}: ${JSON.stringify(key)}`)),
      ...this.#tabs().flatMap((tab) => tab.docs.filter(({ pendingCount }) => pendingCount > 0).map((doc) => `${tab.name} ${doc.name}: ${doc.pendingCount} unanswered, ${tab.role} ${tab.client.status}`)),
    ];
  }

  async #emptied(): Promise<number> {
    const start = this.world.now;
    for (let step = 0; step < EMPTY_WITHIN_MS / 500; step++) {
      await this.world.run(500);
      if (this.#left().length === 0) return this.world.now - start;
    }
    throw new Broken(`not empty ${EMPTY_WITHIN_MS / 1000} s after healing: ${this.#left().join("; ")}`);
  }

  #converged(): void {
    for (const tab of this.#tabs()) {
      for (const doc of tab.docs) {
        const document = this.database.byName(doc.name);
        const say = `${tab.name} ${doc.name} (${tab.role}, ${tab.client.status}, ${doc.syncStatus})`;
        if (doc.version !== document.version) throw new Broken(`${say}: at version ${doc.version} of ${document.version}`);
        if (canonical(doc.state) !== canonical(document.state)) throw new Broken(`${say}: shows something else`);
        if (doc.syncStatus !== "synchronized") throw new Broken(`${say}: not synchronized`);
        const open = (some: readonly object[]) => some.map((each) => String((each as { conflict_id: string }).conflict_id)).sort().join();
        if (open(doc.conflicts) !== open([...document.conflicts.values()])) throw new Broken(`${say}: other conflicts`);
      }
    }
    for (const profile of this.profiles) {
      const leaders = [...profile.tabs].filter(({ role }) => role === "leader").length;
      const sharing = [...profile.tabs].filter(({ role }) => role !== "solo").length;
      if (profile.lock && sharing > 0 && leaders !== 1) throw new Broken(`${profile.name} has ${leaders} leaders for ${sharing} tabs`);
    }
  }

  #nothingLost(): void {
    const lines = new Map<string, { verdict: string; version: number }[]>();
    for (const document of this.database.documents.values()) for (const line of document.log) {
      const first = line.operations[0];
      if (first?.op === "append") lines.set(first.item.id as string, [...(lines.get(first.item.id as string) ?? []), line]);
    }
    for (const { nonce, tab, local, verdict, version } of this.#made) {
      const found = lines.get(nonce) ?? [];
      if (found.length > 1) throw new Broken(`${nonce} of ${tab.name} is in the log ${found.length} times`);
      if (verdict && !found.length) throw new Broken(`${nonce} of ${tab.name} was acknowledged and is not in the log`);
      if (local === "stored" && !found.length) throw new Broken(`${nonce} of ${tab.name} was stored and is not in the log`);
      if (tab.isAlive && local !== "stored" && !found.length) throw new Broken(`${nonce} of ${tab.name} was lost by a tab that lives`);
      if (tab.isAlive && !verdict) throw new Broken(`${nonce} of ${tab.name} was never answered: ${local}, ${tab.role}, ${tab.client.isStorageDurable ? "on disk" : "in memory"}, the log says ${JSON.stringify(found)}`);
      if (verdict && verdict !== "known" && (found[0]?.verdict !== verdict || (version !== null && found[0].version !== version))) {
        throw new Broken(`${nonce} of ${tab.name} was told ${verdict} at ${version}, the log says ${JSON.stringify(found[0])}`);
      }
    }
    for (const document of this.database.documents.values()) this.#numbered(document);
  }

  #numbered(document: Document): void {
    for (const [device, own] of document.answered) {
      own.forEach(({ seq, version }, index) => {
        if (seq !== index + 1 || version <= (own[index - 1]?.version ?? 0)) throw new Broken(`${device}: seq ${seq} at place ${index + 1}`);
      });
    }
    if (((document.state["n"] ?? 0) as number) > document.version) throw new Broken("counted too often");
  }
}
