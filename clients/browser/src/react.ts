/** For React 18 and later: documents, session and status as hooks, over the client's own `subscribe`. */

import { createContext, createElement, type FunctionComponentElement, type ProviderProps, type ReactNode, useCallback, useContext, useRef, useSyncExternalStore } from "react";
import type { Client } from "./client.js";
import type { ConnectionStatus } from "./connection.js";
import type { Doc } from "./document.js";
import type { Platform, Session } from "./frames.js";
import type { DocSnapshot } from "./host.js";
import type { DocumentOptions } from "./options.js";
import { type Saving, savingOf } from "./saving.js";
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
  if (used.current?.doc !== doc || !isSame(used.current, { doc, ...snapshot })) used.current = { doc, ...snapshot };
  return used.current;
}

export interface UsedSession {
  /** Null while nobody is logged in, or nothing is known. */
  readonly session: Session | null;
  readonly platform: Platform | null;
}

/** Who is here, and on which platform this tab is. */
export function useSession(): UsedSession {
  return useSelected(({ session, platform }) => ({ session, platform }));
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
  return useSelected((client) => {
    const { status, isOffline, isStorageDurable, role } = client;
    const { state, text } = savingOf(client, client.documents.filter((doc) => name === undefined || doc.name === name));
    return { status, isOffline, isStorageDurable, role, saving: state, text };
  });
}

/** The same object for as long as what is in it is the same. */
function useSelected<T extends object>(select: (client: Client) => T): T {
  const client = useClient();
  const last = useRef<T | null>(null);
  const get = () => {
    const now = select(client);
    if (!last.current || !isSame(last.current, now)) last.current = now;
    return last.current;
  };
  const subscribe = useCallback((changed: () => void) => client.subscribe(changed), [client]);
  return useSyncExternalStore(subscribe, get, get);
}

const isSame = <T extends object>(one: T, other: T): boolean => Object.entries(one).every(([key, value]) => Object.is(value, other[key as keyof T]));
