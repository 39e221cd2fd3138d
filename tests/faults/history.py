"""What every call of a round returned, when it began and ended; and what a round must never show.

Times are of `time.monotonic`, which all processes of a machine share. A call that raised StoreUnavailable may have been carried out or not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Final

OK: Final = "ok"
AWAY: Final = "StoreUnavailable"
REFUSALS: Final = frozenset({"SessionNotFound", "SessionEnded", "SessionExpired"})
RECOVERED_WITHIN_S: Final = 3.0
SEEN_KEPT: Final = 300
"""So many of the numbers that were written last are kept in a session."""
VERBS: Final = ("authenticate", "change_data", "submit", "change", "create", "end")


@dataclass(frozen=True, slots=True)
class Call:
    """`outcome` is "ok" or the name of the error. `seen` is the counter in the session that was read, the number that was written, or the version that a
    document's change got; `told` is what an error said, or the name of that change."""

    node: str
    verb: str
    subject: str
    began: float
    ended: float
    outcome: str
    seen: int = 0
    told: str = ""


@dataclass(slots=True)
class History:
    """One round. `end_began` and `end_returned` are of the sessions that were ended, by handle."""

    period_s: float
    calls: list[Call] = field(default_factory=list)
    end_began: dict[str, float] = field(default_factory=dict)
    end_returned: dict[str, float] = field(default_factory=dict)
    broken_at: float = inf
    healed_at: float = inf
    dead: set[str] = field(default_factory=set)
    """Nodes that were killed: what they were told last is not known."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a fault may show. `away` are the verbs that may be answered with StoreUnavailable while it lasts, and for a moment after it."""

    away: frozenset[str] = frozenset()
    longest_s: float = 3.0
    recovers: bool = True


NOTHING: Final = Allowed()
SQL_AWAY: Final = Allowed(away=frozenset(VERBS), longest_s=8.0)


@dataclass(frozen=True, slots=True)
class Kept:
    """What SQL has at the end: of each session that was written its version, counter and the numbers that it saw; of each document its log as
    (version, name of the change), its version and counter."""

    sessions: Mapping[str, tuple[int, int, frozenset[int]]]
    documents: Mapping[str, tuple[Sequence[tuple[int, str]], int, int]]


def faults(history: History, kept: Kept, allowed: Allowed) -> list[str]:
    """Everything that is not as it must be; empty when all is well. At most three of a kind and node."""
    found: list[str] = []
    for rule in (_logouts, _resurrections, _stale_reads):
        found += _few(rule(history))
    found += _few(_errors(history, allowed))
    found += _few(_slow(history, allowed))
    found += _lost_sessions(history, kept)
    found += _lost_changes(history, kept)
    if allowed.recovers:
        found += _no_recovery(history)
    return found


def _few(found: Iterator[str]) -> list[str]:
    said: Counter[str] = Counter()
    kept = []
    for fault in found:
        kind = " ".join(fault.split()[:2])
        said[kind] += 1
        if said[kind] <= 3:
            kept.append(fault)
    return kept + [f"{kind}: {count - 3} more" for kind, count in said.items() if count > 3]


def _logouts(history: History) -> Iterator[str]:
    """Nobody whose session is live is told anything else, whatever is broken."""
    for call in history.calls:
        if call.outcome in REFUSALS and history.end_began.get(call.subject, inf) > call.ended:
            yield f"logout {call.node} {call.verb} of a live session {call.subject} raised {call.outcome} {_when(history, call)}"
        elif call.outcome == "foreign":
            yield f"foreign {call.node} {call.verb} of {call.subject} gave another session {_when(history, call)}"


def _resurrections(history: History) -> Iterator[str]:
    """When the call that ended it has returned, no later one is let in, on no node."""
    for call in history.calls:
        returned = history.end_returned.get(call.subject, inf)
        if call.verb == "authenticate" and call.outcome == OK and call.began > returned:
            late_ms = (call.began - returned) * 1000
            yield f"resurrection {call.node} let {call.subject} in {late_ms:.1f} ms after its end {_when(history, call)}"


def _stale_reads(history: History) -> Iterator[str]:
    """A node sees at once what it acknowledged itself; the others when the fence period is over at the latest."""
    acknowledged: dict[str, list[Call]] = {}
    for call in history.calls:
        if call.verb == "change_data" and call.outcome == OK:
            acknowledged.setdefault(call.subject, []).append(call)
    moments = {subject: [call.ended for call in calls] for subject, calls in acknowledged.items()}
    for call in history.calls:
        if call.verb != "authenticate" or call.outcome != OK or call.subject not in acknowledged:
            continue
        writes = acknowledged[call.subject]
        lag_s = 0.0 if writes[0].node == call.node else history.period_s
        count = bisect_left(moments[call.subject], call.began - lag_s)
        due = writes[count - 1].seen if count else 0
        if call.seen < due:
            yield f"stale {call.node} read {call.seen} of {call.subject}, where {due} was acknowledged {_when(history, call)}"


def _errors(history: History, allowed: Allowed) -> Iterator[str]:
    until = history.healed_at + RECOVERED_WITHIN_S
    for call in history.calls:
        if call.outcome in {OK, "foreign"} or call.outcome in REFUSALS:
            continue
        in_time = call.ended >= history.broken_at and call.began <= until
        if call.outcome != AWAY or not in_time or call.verb not in allowed.away:
            yield f"error {call.node} {call.verb} raised {call.outcome} {call.told} {_when(history, call)}"


def _slow(history: History, allowed: Allowed) -> Iterator[str]:
    for call in history.calls:
        if call.ended - call.began > allowed.longest_s:
            yield f"slow {call.node} {call.verb} took {call.ended - call.began:.2f} s, {call.outcome} {_when(history, call)}"


def _lost_sessions(history: History, kept: Kept) -> Iterator[str]:
    """Each acknowledged change of a session is there, and was made once: a session's version counts its changes."""
    for session_id, (version, counter, seen) in kept.sessions.items():
        calls = [call for call in history.calls if call.verb == "change_data" and call.subject == session_id]
        done = [call.seen for call in calls if call.outcome == OK]
        unknown = inf if {call.node for call in calls} & history.dead else sum(call.outcome != OK for call in calls)
        if missing := {number for number in done if number > counter - SEEN_KEPT} - seen:
            yield f"lost changes {sorted(missing)[:5]} of session {session_id}, acknowledged"
        if counter < max(done, default=0):
            yield f"lost: session {session_id} counts to {counter}, {max(done)} was acknowledged"
        if not len(done) <= version - 1 <= len(done) + unknown:
            yield f"twice: session {session_id} has {version - 1} changes, {len(done)} acknowledged and {unknown} unknown"


def _lost_changes(history: History, kept: Kept) -> Iterator[str]:
    for document_id, (log, version, counter) in kept.documents.items():
        versions = [line[0] for line in log]
        if versions != list(range(1, version + 1)):
            yield f"gap: the log of {document_id} is not 1 to {version}"
        if counter != len(log):
            yield f"state: {document_id} counts {counter}, its log has {len(log)} lines"
        times = Counter(name for _, name in log)
        at = {name: number for number, name in log}
        acknowledged = {c.told: c.seen for c in _acknowledged(history, document_id)}
        for name, number in acknowledged.items():
            if times[name] != 1 or at[name] != number:
                yield f"lost change {name} of {document_id}: acknowledged as {number}, is there {times[name]} times, at {at.get(name)}"
        yield from (
            f"twice: change {name} of {document_id} is there {count} times"
            for name, count in times.items()
            if count > 1
        )
        ordered = list(acknowledged.values())
        if ordered != sorted(ordered):
            yield f"order: {document_id} has its changes in another order than they were acknowledged"


def _acknowledged(history: History, document_id: str) -> list[Call]:
    """Changes of a document, in the order in which its one writer sent them."""
    return [c for c in history.calls if c.subject == document_id and c.verb in {"submit", "change"} and c.outcome == OK]


def _no_recovery(history: History) -> Iterator[str]:
    """Each verb works again on each node, without a restart."""
    within = history.healed_at + RECOVERED_WITHIN_S
    nodes = {call.node for call in history.calls} - history.dead
    done = {
        (call.node, call.verb)
        for call in history.calls
        if call.outcome == OK and call.began >= history.healed_at and call.ended <= within
    }
    asked = {(call.node, call.verb) for call in history.calls}
    for node in sorted(nodes):
        for verb in VERBS:
            if (node, verb) in asked and (node, verb) not in done:
                yield f"recovery {node} {verb} did not succeed within {RECOVERED_WITHIN_S:g} s"


def _when(history: History, call: Call) -> str:
    """In seconds from the beginning of the fault, or from its end."""
    if call.began > history.healed_at:
        return f"({call.began - history.healed_at:.3f} s after the heal)"
    return f"({call.began - history.broken_at:+.3f} s from the fault)"


def line(name: str, history: History, calls: Sequence[Call] | None = None) -> str:
    """One line of figures, of these calls or all: calls, errors by type, latency in ms, the longest time in which a node told nobody who they are."""
    calls = history.calls if calls is None else calls
    took = sorted((call.ended - call.began) * 1000 for call in calls)
    errors = Counter(call.outcome for call in calls if call.outcome != OK and not _is_due(history, call))
    told = ", ".join(f"{count} {error}" for error, count in sorted(errors.items())) or "none"
    p50, p99, longest = (took[int(len(took) * share)] for share in (0.5, 0.99, 0.999999))
    return (
        f"{name:<58} calls {len(took):>5}  errors: {told}  p50 {p50:.1f} p99 {p99:.1f} max {longest:.0f} ms"
        f"  longest gap {longest_gap_s(calls) * 1000:.0f} ms"
    )


def _is_due(history: History, call: Call) -> bool:
    """Whether it is the refusal of a session that had ended."""
    return call.outcome in REFUSALS and history.end_began.get(call.subject, inf) <= call.ended


def longest_gap_s(calls: Sequence[Call]) -> float:
    """Between two answers to who asked to be let in, on the node where that took longest."""
    longest = 0.0
    for node in {call.node for call in calls}:
        moments = sorted(c.ended for c in calls if c.node == node and c.verb == "authenticate" and c.outcome != AWAY)
        longest = max([longest, *(after - before for before, after in pairwise(moments))])
    return longest
