/** Whose tab it is, and under which device its changes are numbered. */

import { deferred } from "./deferred.js";
import type { Entry, LastOwner, Outbox } from "./outbox.js";
import { anonymousOwner } from "./session.js";

export interface IdentityHost {
  readonly outbox: Outbox;
  /** Another owner than before; `hadOwner` when there was one. */
  ownerChanged(owner: string, hadOwner: boolean): Promise<void>;
  /** Somebody has logged in: tabs that wait for that have no other way to hear of it. */
  loggedIn(): void;
  /** The numbering has begun anew. */
  renewed(): Promise<void>;
  /** Another device speaks on the next connection. */
  reconnect(): void;
  /** Tells the other tabs that the numbering has begun anew. */
  tellRenewed(owner: string): void;
}

export class Identity {
  last: LastOwner | null = null;
  /** The device that the open connection speaks for. */
  connectionDevice: string | null = null;
  /** The device of new changes. */
  #device: string | null = null;
  readonly #hasOwner = deferred<string>();
  #loading: Promise<void> = Promise.resolve();

  constructor(private readonly host: IdentityHost) {}

  get owner(): string | null { return this.last?.owner ?? null; }
  get whenOwner(): Promise<string> { return this.#hasOwner.promise; }
  get whenLoaded(): Promise<void> { return this.#loading; }

  /** Makes `last` the owner of everything that follows; another owner's documents leave the sight. */
  async adopt(last: LastOwner): Promise<void> {
    const { outbox } = this.host;
    const former = this.last;
    const known = await outbox.lastOwner();
    this.#device = await outbox.identity(last, last.user_id !== null ? anonymousOwner(last.session) : null);
    this.last = last;
    if (known && !isSame(known, last)) this.host.loggedIn();
    if (former?.owner === last.owner) return;
    this.#hasOwner.resolve(last.owner);
    this.#loading = this.host.ownerChanged(last.owner, former !== null);
    await this.#loading;
  }

  /** Takes over what another tab says, if that is new. */
  async follow(last: LastOwner | null): Promise<void> {
    if (last && (!this.last || !isSame(this.last, last))) await this.adopt(last);
  }

  /** Who was here last, when nobody can be asked. */
  async remember(): Promise<void> {
    const last = this.last ?? (await this.host.outbox.lastOwner());
    if (last && !this.last) await this.adopt(last);
  }

  /** The device for the next connection: what a former one has left behind goes out first, under its own name. */
  async forConnection(): Promise<string> {
    const last = this.last as LastOwner;
    const device = (this.#device ??= await this.host.outbox.identity(last, null));
    return (this.connectionDevice = (await this.host.outbox.formerDevice(last.owner, device)) ?? device);
  }

  /** This document's changes cannot go on under that device. */
  async renew(name: string, deviceId: string): Promise<void> {
    if (!this.last) return;
    await this.host.outbox.renew(this.last.owner, name, deviceId);
    this.host.tellRenewed(this.last.owner);
    await this.renewed();
  }

  async renewed(): Promise<void> {
    if (!this.last) return;
    this.#device = await this.host.outbox.identity(this.last, null);
    await this.host.renewed();
    this.host.reconnect();
  }

  /** The storage has failed: memory starts a new one. */
  lost(): void {
    this.#device = null;
  }

  /** False when the change went under the device that this tab knows. */
  isNewDevice({ owner, device_id }: Entry): boolean {
    if (owner !== this.owner || device_id === this.#device) return false;
    this.#device = device_id; // renewed by another tab, or by the fall-back to memory
    return true;
  }

  /** All that a former device left is delivered: go on under the present one. */
  async goOn(): Promise<void> {
    if (this.#device === this.connectionDevice) return;
    const last = this.last as LastOwner;
    this.#device ??= await this.host.outbox.identity(last, null);
    const former = await this.host.outbox.formerDevice(last.owner, this.#device);
    if (former === null && this.connectionDevice !== this.#device) this.host.reconnect();
  }
}

const isSame = (one: LastOwner, other: LastOwner): boolean => one.owner === other.owner && one.session.session_id === other.session.session_id;
