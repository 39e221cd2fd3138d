/** The document of the whole client: with checkpoints, who else has it open, and the other tabs of this browser. */

import { BaseDoc } from "./base-document.js";
import type { Shared } from "./core.js";
import { SessileError } from "./errors.js";
import type { Checkpoint, Device, RestorePreview, ServerFrame, SessionRestored } from "./frames.js";
import type { Host, Verdict } from "./host.js";
import type { Json } from "./values.js";

export class Doc extends BaseDoc {
  declare protected readonly host: Host;

  // ------------------------------------------------------------------ checkpoints

  /** Waits until everything made so far is committed, then makes a checkpoint. Rejected when there is no connection. */
  async checkpoint(options: { label?: string; kind?: "manual" | "step"; step?: number } = {}): Promise<Checkpoint> {
    await this.#allCommitted();
    return this.host.request<Checkpoint>({ type: "checkpoint", document_id: this.id, ...options });
  }

  /** All checkpoints of the document, as the server lists them. */
  async checkpoints(): Promise<Checkpoint[]> {
    const { id } = await this.ready;
    const answer = await this.host.getJson(`api/v0/documents/${encodeURIComponent(id ?? "")}/checkpoints`);
    return (answer as { checkpoints: Checkpoint[] }).checkpoints;
  }

  restore(checkpointId: string, options: { paths?: string[]; dryRun: true }): Promise<RestorePreview>;
  restore(checkpointId: string, options?: { paths?: string[]; dryRun?: false; version?: number }): Promise<SessionRestored>;
  /** Goes back to a checkpoint, wholly or for some paths; a dry run says what would change. */
  async restore(checkpointId: string, options: { paths?: string[]; dryRun?: boolean; version?: number } = {}): Promise<RestorePreview | SessionRestored> {
    await this.#allCommitted();
    const { dryRun, ...rest } = options;
    return this.host.request({ type: "restore", document_id: this.id, checkpoint_id: checkpointId, ...rest, ...(dryRun && { dry_run: true }) });
  }

  /**
   * Gives back what a page has kept by itself, as values by path, for example after days or after the server has lost the end of its log. They are set under
   * the ordinary rules: what others have changed since `version` becomes a conflict. The outbox goes by itself. Rejected when there is no connection.
   */
  async restoreBackup(values: Readonly<Record<string, Json>>, seen?: { readonly epoch: string; readonly version: number }): Promise<void> {
    await this.#allCommitted();
    const position = seen ?? this.core.position;
    const backup = { ...position, values };
    await this.host.comeBack({ document: { document_id: this.id }, device_id: this.host.deviceId, backup });
    this.requestSync();
  }

  async #allCommitted(): Promise<void> {
    if (!this.host.isConnected) throw new SessileError("not_connected", "there is no connection to the server", true);
    await this.ready;
    await this.storing;
    const open = [...this.waiters.values()];
    await Promise.all(open.map((waiter) => new Promise<void>((resolve) => {
      const { resolve: settle, reject } = waiter;
      Object.assign(waiter, {
        resolve: (verdict: Verdict) => { settle(verdict); resolve(); },
        reject: (error: Error) => { reject(error); resolve(); },
      });
    })));
  }

  // ------------------------------------------------------------------ for the client

  /** What other tabs of this browser may go on from. */
  get shared(): Shared | null { return this.core.shared(); }

  /** Another tab has the socket, and gives what it knows. */
  adopt(shared: Shared, deviceId: string, devices: readonly Device[]): void {
    this.error = null;
    this.isSubscribed = true;
    this.run(this.core.adopt(shared, deviceId));
    this.becomeReady();
    this.#setDevices(devices);
  }

  /** The page has been told that there is no connection: who else has the document open is not known then. */
  left(): void {
    this.#setDevices([]);
  }

  override async frame(frame: ServerFrame): Promise<void> {
    switch (frame.type) {
      case "presence_state": return this.#setDevices(frame.devices);
      case "presence_diff": {
        const changed = new Set([...frame.left, ...frame.devices.map((device) => device.device_no)]);
        const rest = this.devices.filter((device) => !changed.has(device.device_no));
        return this.#setDevices([...rest, ...frame.devices].sort((a, b) => a.device_no - b.device_no));
      }
      case "checkpoint_saved": return this.host.emit("checkpointSaved", { ...this.label(), checkpoint: frame.checkpoint });
      case "session_restored": {
        const { checkpoint_id, before_checkpoint_id, device_no, version } = frame;
        return this.host.emit("sessionRestored", { ...this.label(), checkpoint_id, before_checkpoint_id, device_no, version });
      }
      default: return super.frame(frame);
    }
  }

  #setDevices(devices: readonly Device[]): void {
    if (JSON.stringify(devices) === JSON.stringify(this.devices)) return;
    this.devices = devices;
    this.host.emit("presenceChanged", { ...this.label(), devices });
    this.notify();
  }
}
