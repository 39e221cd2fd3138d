/** For React 18 and later: documents, session and status as hooks, over the client's own `subscribe`. */

import { createContext, createElement, type FunctionComponentElement, type ProviderProps, type ReactNode, useContext, useRef, useSyncExternalStore } from "react";
import type { Client } from "./client.js";
import type { ConnectionStatus } from "./connection.js";
import type { Doc } from "./document.js";
import type { Platform, Session } from "./frames.js";
import type { DocSnapshot } from "./host.js";
import type { ClientSnapshot, DocumentOptions } from "./options.js";
import { type Saving, savingOf } from "./saving.js";
import { kept } from "./snapshot.js";
import type { Role } from "./tabs.js";

const Context = createContext<Client | null>(null);

/** Gives the components below it their client: `<SessileProvider client={connect()}>`. Made once, outside of any component. */
export function SessileProvider(props: { readonly client: Client; readonly children?: ReactNode }): FunctionComponentElement<ProviderProps<Client | null>> {
  return createElement(Context.Provider, { value: props.client }, props.children);
}

/** The client of the nearest `SessileProvider`. Throws where there is none. */
export function useClient(): Client {
  const client = useContext(Context);
  if (!client) throw new Error("There is no <SessileProvider client={connect()}> around this component.");
  return client;
}

export interface UsedDocument extends DocSnapshot {
  /** For changes: `doc.set("/title", "…")`. */
  readonly doc: Doc;
}

/** The document with this name, opened or created, as it is now. The state is empty, or the default, until `isReady`. */
export function useDocument(name: string, options: DocumentOptions = {}): UsedDocument {
  const doc = useClient().open(name, options);
  const snapshot = useSyncExternalStore(doc.subscribe, doc.getSnapshot, doc.getSnapshot);
  const used = useRef<UsedDocument | null>(null);
  return (used.current = kept(used.current, { doc, ...snapshot }));
}

/** All that the client says of itself, as `client.getSnapshot()` gives it. Renders with every change of it; the other hooks render less often. */
export function useClientSnapshot(): ClientSnapshot {
  const { subscribe, getSnapshot } = useClient();
  return useSyncExternalStore(subscribe, getSnapshot, getSnapshot);
}

export interface UsedSession {
  /** Null while nobody is logged in, or nothing is known. */
  readonly session: Session | null;
  readonly platform: Platform | null;
}

/** Who is here, and on which platform this tab is. */
export function useSession(): UsedSession {
  return useSelected((_client, { session, platform }) => ({ session, platform }));
}

export interface UsedStatus {
  readonly status: ConnectionStatus;
  readonly isOffline: boolean;
  readonly isStorageDurable: boolean;
  readonly role: Role;
  /** What a status line says, as in `<sessile-status>`. */
  readonly saving: Saving["state"];
  readonly text: string;
}

/** How it stands with the server and the person's work; `name` limits the latter to one document. Renders when that changes, not with every key. */
export function useStatus(name?: string): UsedStatus {
  return useSelected((client, { status, isOffline, isStorageDurable, role }) => {
    const { state, text } = savingOf(client, client.documents.filter((doc) => name === undefined || doc.name === name));
    return { status, isOffline, isStorageDurable, role, saving: state, text };
  });
}

/** A part of what the client says: the same object for as long as what is in it is the same. */
function useSelected<T extends object>(select: (client: Client, snapshot: ClientSnapshot) => T): T {
  const client = useClient();
  const last = useRef<T | null>(null);
  const get = () => (last.current = kept(last.current, select(client, client.getSnapshot())));
  return useSyncExternalStore(client.subscribe, get, get);
}
