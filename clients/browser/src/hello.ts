/** The first frame of a connection: who speaks, and what it has open. */

import type { BaseDoc } from "./base-document.js";
import { deviceFacts } from "./page.js";
import type { ConnectOptions } from "./options.js";
import type { Tabs } from "./tabs.js";

export interface Speaker {
  readonly tabId: string;
  readonly userId: string | null;
  readonly deviceId: string;
  readonly isVisible: boolean;
  readonly tabs: Pick<Tabs, "role" | "attendance" | "term">;
  /** The tab's own platform, where it is another than the session's. */
  readonly platformId: string | null;
  readonly documents: readonly BaseDoc[];
}

export async function helloOf(speaker: Speaker, { device, token }: Pick<ConnectOptions, "device" | "token">): Promise<object> {
  const { tabs, documents, platformId } = speaker;
  await Promise.all(documents.map((doc) => doc.prepare()));
  return {
    type: "hello",
    protocol: 1,
    device_id: speaker.deviceId,
    tab_id: speaker.tabId,
    user_id: speaker.userId,
    ...(tabs.role === "leader" ? { ...tabs.attendance, term: tabs.term } : { visible: speaker.isVisible }),
    device: { ...deviceFacts(), ...device },
    ...(platformId !== null && { platform_id: platformId }),
    ...(token && { token: await token() }),
    // A first frame with a token is at most 4 KiB: the documents follow when the server knows who is there.
    documents: token ? [] : documents.map((doc) => doc.wanted),
  };
}
