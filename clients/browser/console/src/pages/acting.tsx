// What can be done to a session and to its user, beside ending: each asks for a reason first.
import { signal } from "@preact/signals";
import { me, part, post } from "../api";
import { plural } from "../format";
import type { SessionDetail, User } from "../model";
import { ask, type Question, TYPED_ABOVE } from "../parts/dialog";
import { tell } from "../toasts";

export function askToExtend(id: string, onDone: () => void): void {
  ask({ title: "Extend 1 session?", text: <p>Its idle deadline begins anew. The absolute deadline stays.</p>, action: "Extend",
    run: async (reason) => { const { moved } = await post<{ readonly moved: boolean }>(`sessions/${part(id)}/extend`, { reason }); tell(moved ? "Extended." : "It cannot last longer."); onDone(); } });
}

export function askToSync(id: string): void {
  ask({ title: "Re-sync 1 session?", text: <p>Its connected devices load their documents anew. What they have not sent yet stays in their outboxes.</p>, action: "Re-sync",
    run: async (reason) => {
      const { sockets, documents } = await post<{ readonly sockets: number; readonly documents: number }>(`sessions/${part(id)}/resync`, { reason });
      tell(`Asked ${plural(sockets, "socket")} to load ${plural(documents, "document")} anew.`);
    } });
}

/** Compare-and-set: what the page shows as the platform of now must still be it. */
export function askToSwitch({ session, platform, platforms }: SessionDetail, onDone: () => void): void {
  const chosen = signal(platforms.find(({ id }) => id !== platform?.id)?.id ?? "");
  ask({
    title: "Switch the platform of 1 session?", action: "Switch",
    text: <label class="field">To <select value={chosen} onChange={(event) => { chosen.value = event.currentTarget.value; }} data-testid="platform-choice">
      {platforms.filter(({ id }) => id !== platform?.id).map(({ id, name }) => <option key={id} value={id}>{name}</option>)}</select></label>,
    run: async (reason) => {
      await post(`sessions/${part(session.session_id)}/platform`, { platform_id: chosen.peek(), expected: platform?.id ?? null, reason });
      tell(`Switched to ${platforms.find(({ id }) => id === chosen.peek())?.name}.`);
      onDone();
    },
  });
}

const toDisable = (user: string, sessions: number, onDone: () => void): Question =>
  ({
    title: sessions > 0 ? `Disable ${user} and end ${plural(sessions, "session")}?` : `Disable ${user}?`, action: "Disable", isDangerous: true, ...(sessions > (me.value?.server.confirm_above ?? TYPED_ABOVE) && { typed: String(sessions) }),
    again: (count) => toDisable(user, count, onDone),
    text: <p>{sessions > 0 ? `This ends ${sessions === 1 ? "it" : "them"} at once, on every node. ` : ""}Nobody can log in as {user} until you enable them again. Documents stay.</p>,
    run: async (reason) => {
      const { ended } = await post<{ readonly ended: number }>(`users/${part(user)}/disable`, { reason, confirm: sessions });
      tell(`${user} is disabled. Ended ${plural(ended, "session")}.`);
      onDone();
    },
  });

export function askToDisable({ user_id: user, sessions }: User, onDone: () => void): void {
  ask(toDisable(user, sessions, onDone));
}

export function askToEnable({ user_id: user }: User, onDone: () => void): void {
  ask({ title: `Enable ${user}?`, text: <p>They can log in again.</p>, action: "Enable",
    run: async (reason) => { await post(`users/${part(user)}/enable`, { reason }); tell(`${user} is enabled.`); onDone(); } });
}
