// Ending sessions: one, some, all that match, all of a user. Says what is cut and what is not.
import { ApiError, me, part, post } from "../api";
import { plural } from "../format";
import { ask, type Question, TYPED_ABOVE } from "../parts/dialog";
import { tell } from "../toasts";

interface Ended { readonly ended: number; readonly already_over: number; readonly sockets: number; readonly remaining?: number }
export interface Aim { readonly count: number; readonly body: { readonly session_ids: readonly string[] } | { readonly q: string } }

const CALL_MAX = 1000;
const WHAT = "Their tokens stop working and their sockets are closed at once, on every node. What was acknowledged stays kept; what a browser has not sent yet stays in that browser until its user logs in again.";

const typedFor = (count: number): { readonly typed?: string } => (count > (me.value?.server.confirm_above ?? TYPED_ABOVE) ? { typed: String(count) } : {});

function report({ ended, already_over, sockets }: Ended): void {
  if (!ended && already_over) return tell(already_over === 1 ? "It was over already: nothing was ended." : `All ${plural(already_over, "session")} were over already: nothing was ended.`);
  tell(`Ended ${plural(ended, "session")}, closed ${plural(sockets, "socket")}.${already_over ? ` ${plural(already_over, "was", "were")} over already.` : ""}`);
}

const sum = (left: Ended, right: Ended): Ended => ({ ended: left.ended + right.ended, already_over: left.already_over + right.already_over, sockets: left.sockets + right.sockets });

/** The server takes a part at a time. Some may have ended by themselves meanwhile; more than was confirmed are never ended. */
async function endAll({ count, body }: Aim, reason: string): Promise<Ended> {
  let done: Ended = { ended: 0, already_over: 0, sockets: 0 };
  try {
    await inParts({ count, body }, reason, (part) => { done = sum(done, part); return done; });
  } catch (error) {
    if (done.ended) report(done);
    throw error;
  }
  return done;
}

async function inParts({ count, body }: Aim, reason: string, note: (part: Ended) => Ended): Promise<void> {
  const lists = "session_ids" in body ? Array.from({ length: Math.ceil(body.session_ids.length / CALL_MAX) }, (_none, index) => body.session_ids.slice(index * CALL_MAX, (index + 1) * CALL_MAX)) : [];
  for (const session_ids of lists) note(await post<Ended>("sessions/end", { session_ids, reason, confirm: session_ids.length }));
  let left = "q" in body ? count : 0;
  let most = count;
  while (left > 0) {
    const answer = await endSome(body, reason, left, most);
    most = count - note(answer).ended;
    left = answer.ended + answer.already_over ? (answer.remaining ?? 0) : 0;
  }
}

async function endSome(body: Aim["body"], reason: string, confirm: number, countMax: number): Promise<Ended> {
  try {
    return await post<Ended>("sessions/end", { ...body, reason, confirm });
  } catch (error) {
    const now = error instanceof ApiError && error.code === "confirmation_needed" ? Number(error.fields["count"]) : NaN;
    if (!(now > 0 && now <= countMax) || now === confirm) throw error;
    return await post<Ended>("sessions/end", { ...body, reason, confirm: now });
  }
}

const toEnd = (aim: Aim, onDone: () => void): Question =>
  ({
    title: `End ${plural(aim.count, "session")}?`, text: <p>{WHAT}</p>, action: `End ${plural(aim.count, "session")}`, isDangerous: true, ...typedFor(aim.count),
    run: async (reason) => { report(await endAll(aim, reason)); onDone(); }, again: (count) => toEnd({ ...aim, count }, onDone),
  });

export function askToEnd(aim: Aim, onDone: () => void): void {
  ask(toEnd(aim, onDone));
}

export function askToEndOne(id: string, whose: string, onDone: () => void): void {
  ask({
    title: `End 1 session of ${whose}?`, text: <p>{WHAT}</p>, action: "End 1 session", isDangerous: true,
    run: async (reason) => { report(await post<Ended>(`sessions/${part(id)}/end`, { reason })); onDone(); },
  });
}

const toEndUser = (user: string, count: number, onDone: () => void): Question =>
  ({
    title: `End all ${plural(count, "session")} of ${user}?`, text: <p>{WHAT} The user can log in again.</p>, action: `End ${plural(count, "session")}`, isDangerous: true, ...typedFor(count),
    run: async (reason) => { report(await post<Ended>(`users/${part(user)}/end`, { reason, confirm: count })); onDone(); }, again: (now) => toEndUser(user, now, onDone),
  });

export function askToEndUser(user: string, count: number, onDone: () => void): void {
  ask(toEndUser(user, count, onDone));
}
