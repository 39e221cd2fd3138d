"""The judge: what becomes of a change that was made on an older version, in the server's order.

One function, used by every store and both lanes, on records that were loaded under the document's lock. It decides the verdict, the
new state and the conflicts; it reads nothing and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec
from msgspec import structs

from sessile.model.canonical import digest, json_equal, state_hash
from sessile.model.document import (
    ABSENT,
    Change,
    Conflict,
    ConflictReason,
    Document,
    DocumentDevice,
    LoggedChange,
    Operation,
    Policy,
    State,
    Verdict,
)
from sessile.model.limits import BEFORE_VALUE_BYTES_MAX, HASH_EVERY_VERSIONS, OPEN_CONFLICTS_MAX, STATE_BYTES_MAX
from sessile.model.operations import Applied, OperationFault, leaves, step
from sessile.model.pointer import Keys, format_keys, lookup, matches, overlap, parse
from sessile.model.record import Record

_CHECKED_KINDS = frozenset({"set", "remove", "merge"})


class Touch(Record, frozen=True):
    """A path that a logged change wrote to, and what stood there before."""

    version: int
    device_id: str | None
    device_no: int
    keys: Keys
    before: Any


@dataclass(slots=True)
class Policies:
    """Path patterns to policies; the first that matches holds, otherwise `default`."""

    patterns: Sequence[tuple[Keys, Policy]] = ()
    default: Policy = Policy.KEEP_BOTH

    def of(self, keys: Keys) -> Policy:
        return next((policy for pattern, policy in self.patterns if matches(pattern, keys)), self.default)

    @staticmethod
    def from_mapping(patterns: Mapping[str, Policy | str]) -> Policies:
        """Raises ValueError for a pattern that is not a pointer or a policy that does not exist."""
        return Policies([(parse(pattern), Policy(policy)) for pattern, policy in patterns.items()])


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """Why a state is not one of its kind. `code` is `schema`, or `validator_failed` when nobody can tell."""

    code: str
    message: str
    path: str = ""


@dataclass(slots=True)
class Head:
    """A document as the current batch has made it so far: loaded once, moved on by each verdict."""

    document: Document
    size_bytes: int
    touches: list[Touch] = field(default_factory=list)
    conflicts: dict[str, Conflict] = field(default_factory=dict)
    """Open conflicts by path."""
    policies: Policies = field(default_factory=Policies)
    check: Callable[[State], SchemaFault | None] | None = None
    """What the document's kind says to a state; None when it has no kind."""
    state_bytes_max: int = STATE_BYTES_MAX
    upgraded_at: int = -1
    """The version that the present batch upgraded the document to: whoever names the one before means the same state."""


@dataclass(slots=True)
class _Case:
    """One change under judgement."""

    head: Head
    change: Change
    device_no: int
    now: datetime
    new_id: Callable[[], str]
    applied: Applied
    opened: dict[str, Conflict] = field(default_factory=dict)
    resolved: list[str] = field(default_factory=list)
    caused: list[Operation] = field(default_factory=list)


class _Stop(Exception):
    def __init__(self, verdict: Verdict, detail: dict[str, Any]) -> None:
        self.verdict = verdict
        self.detail = detail


def judge(
    head: Head,
    change: Change,
    *,
    device: DocumentDevice | None,
    session_id: str | None,
    now: datetime,
    new_id: Callable[[], str],
) -> LoggedChange:
    """The verdict on one change; moves `head` on. Never raises for a change that passed `change_format`."""
    document = head.document
    case = _Case(head, change, device.device_no if device else 0, now, new_id, Applied(document.state))
    try:
        if change.generation < document.generation:
            _set_aside(case, ConflictReason.SUPERSEDED, "superseded", "It was made before a restore.")
        verdict, detail = _run(case)
    except _Stop as stop:
        verdict, detail = stop.verdict, stop.detail
        if not stop.detail.pop("keep_conflicts", False):
            case.opened.clear()
        case.resolved.clear()
    except OperationFault as fault:
        verdict, detail = Verdict.REJECTED, {"code": fault.code, "message": str(fault), "path": fault.path}
        case.opened.clear()
        case.resolved.clear()
    return _log(case, verdict, detail, session_id)


def _run(case: _Case) -> tuple[Verdict, dict[str, Any] | None]:
    for operation in case.change.operations:
        kind = operation["op"]
        if kind == "test":
            _test(case, operation)
        elif kind == "resolve":
            _resolve(case, operation)
        elif kind in _CHECKED_KINDS:
            for leaf in _single_values(case.applied.state, operation):
                _check(case, *leaf)
            step(case.applied, operation)
        else:
            step(case.applied, operation)
    changed = case.applied.state is not case.head.document.state
    if changed:
        _check_size(case)
        _check_schema(case)
    if not changed and not case.resolved:
        return Verdict.NOOP, None
    return Verdict.APPLIED, {
        "code": "notice",
        "message": "",
        "notices": case.applied.notices,
    } if case.applied.notices else None


def _single_values(state: Any, operation: Operation) -> Iterable[tuple[Keys, Any]]:
    keys = parse(operation["path"])
    if operation["op"] == "merge":
        return list(leaves(state, keys, operation["value"]))
    return [(keys, operation.get("value", ABSENT))]


def _check(case: _Case, keys: Keys, new: Any) -> None:
    """Looks for a change of another device under this one's feet, and does what the path's policy says."""
    foreign = _foreign(case, keys)
    if not foreign:
        return
    current = lookup(case.applied.state, keys)
    if current is new or (current is not ABSENT and new is not ABSENT and json_equal(current, new)):
        return
    policy = case.head.policies.of(keys)
    if policy is Policy.LAST_WRITE_WINS:
        return
    path = format_keys(keys)
    if policy is Policy.REJECT:
        raise _Stop(
            Verdict.CONFLICT, _detail("concurrent_change", "Another device changed it meanwhile.", path, current)
        )
    parent_gone = len(keys) > 1 and new is not ABSENT and lookup(case.applied.state, keys[:-1]) is ABSENT
    if parent_gone:
        _set_aside(case, ConflictReason.PARENT_REMOVED, "parent_removed", "Another device removed what it belonged to.")
    _open(
        case,
        path,
        ConflictReason.CONCURRENT,
        base=_base(foreign, keys),
        winner=new,
        loser=current,
        loser_no=foreign[-1].device_no,
    )


def _foreign(case: _Case, keys: Keys) -> list[Touch]:
    """What others did here since the sender last looked, and the sender has not overwritten since: what it overwrote, knowingly or
    not, was settled then; what it wrote beside it settles nothing."""
    touches, base = case.head.touches, case.change.base_version
    if not touches or touches[-1].version <= base:  # they are in the order of their versions
        return []
    since = [t for t in touches if t.version > base and overlap(t.keys, keys)]
    device_id = case.change.device_id
    own = [(t.version, t.keys) for t in since if t.device_id == device_id is not None]
    own += [
        (case.head.document.version + 1, written) for written, _ in case.applied.before
    ]  # earlier in this very change

    def is_settled(touch: Touch) -> bool:
        shared = max(touch.keys, keys, key=len)  # where the two paths meet
        return any(version > touch.version and mine == shared[: len(mine)] for version, mine in own)

    return [t for t in since if (t.device_id != device_id or device_id is None) and not is_settled(t)]


def _base(foreign: Sequence[Touch], keys: Keys) -> Any:
    """The value the sender had seen: what stood at the path before the first change it did not know of."""
    first = foreign[0]
    if len(first.keys) <= len(keys):
        return lookup(first.before, keys[len(first.keys) :]) if first.before is not ABSENT else ABSENT
    return ABSENT


def _open(case: _Case, path: str, reason: ConflictReason, *, base: Any, winner: Any, loser: Any, loser_no: int) -> None:
    """At most one open conflict per path: a later loser takes the losing value's place, the first base stays."""
    known = case.opened.get(path) or case.head.conflicts.get(path)
    if known is not None and known.conflict_id in case.resolved:
        known = None  # this very change closes it; what opens now is another one
    if known is None and len(case.head.conflicts) + len(case.opened) >= OPEN_CONFLICTS_MAX:
        raise _Stop(
            Verdict.REJECTED,
            _detail(
                "too_many_conflicts",
                f"There are {OPEN_CONFLICTS_MAX} open conflicts; resolve some first.",
                path,
                ABSENT,
            ),
        )
    set_aside = reason is not ConflictReason.CONCURRENT
    case.opened[path] = Conflict(
        conflict_id=known.conflict_id if known else case.new_id(),
        document_id=case.head.document.document_id,
        path=path,
        reason=reason,
        base=known.base if known else base,
        winner=winner,
        loser=loser,
        winner_device_no=loser_no if set_aside else case.device_no,
        loser_device_no=case.device_no if set_aside else loser_no,
        version=case.head.document.version + 1,
        opened_at=known.opened_at if known else case.now,
    )


def _set_aside(case: _Case, reason: ConflictReason, code: str, message: str) -> None:
    """The change does not touch the state; what it wanted at each path becomes an open conflict, except where the last write wins: there
    a difference is none. Always raises _Stop."""
    state = case.head.document.state
    wanted = Applied(state)
    case.opened.clear()
    for operation in case.change.operations:
        if operation["op"] == "test":
            continue
        step(wanted, operation)
    for keys in dict.fromkeys(keys for keys, _ in wanted.before):
        mine, current = lookup(wanted.state, keys), lookup(state, keys)
        if mine is current or (mine is not ABSENT and current is not ABSENT and json_equal(mine, current)):
            continue
        if case.head.policies.of(keys) is Policy.LAST_WRITE_WINS:
            continue
        last = next((t.device_no for t in reversed(case.head.touches) if overlap(t.keys, keys)), 0)
        _open(case, format_keys(keys), reason, base=ABSENT, winner=current, loser=mine, loser_no=last)
    if not case.opened:
        raise _Stop(Verdict.NOOP, _detail(code, f"{message} There is nothing to keep.", None, ABSENT))
    raise _Stop(
        Verdict.CONFLICT,
        {**_detail(code, f"{message} It is kept as a conflict.", None, ABSENT), "keep_conflicts": True},
    )


def _test(case: _Case, operation: Operation) -> None:
    path = operation.get("path")
    current = lookup(case.applied.state, parse(path)) if path is not None else ABSENT
    holds = True
    if "equals" in operation:
        holds = current is not ABSENT and json_equal(current, operation["equals"])
    if "exists" in operation:
        holds = holds and (current is not ABSENT) is operation["exists"]
    if "version_at_most" in operation:
        version = case.head.document.version
        holds = holds and version - (version == case.head.upgraded_at) <= operation["version_at_most"]
    if not holds:
        raise _Stop(
            Verdict.CONFLICT, _detail("test_failed", "A precondition of the change does not hold.", path, current)
        )


def _resolve(case: _Case, operation: Operation) -> None:
    conflict_id, choice = operation["conflict_id"], operation["choice"]
    conflict = next((c for c in case.head.conflicts.values() if c.conflict_id == conflict_id), None)
    if conflict is None or conflict_id in case.resolved:
        raise _Stop(Verdict.REJECTED, _detail("conflict_not_found", "The conflict is not open any more.", None, ABSENT))
    value = operation.get("value", ABSENT)
    if choice != "value":
        numbers = (conflict.winner_device_no, conflict.loser_device_no)
        if case.device_no not in numbers or numbers[0] == numbers[1]:
            raise _Stop(
                Verdict.REJECTED,
                _detail(
                    "choice_unknown",
                    "Neither value was made on this device; send the value itself.",
                    conflict.path,
                    ABSENT,
                ),
            )
        mine_won = case.device_no == conflict.winner_device_no
        # Who won may have gone on writing since: keeping that side must not bring back half a sentence.
        stands = lookup(case.applied.state, parse(conflict.path))
        value = stands if mine_won == (choice == "mine") else conflict.loser
    caused: dict[str, Any] = (
        {"op": "remove", "path": conflict.path}
        if value is ABSENT
        else {"op": "set", "path": conflict.path, "value": value}
    )
    step(case.applied, caused)
    reopened = case.opened.get(conflict.path)
    if reopened is not None and reopened.conflict_id == conflict_id:  # opened by this very change: that one stays open
        case.opened[conflict.path] = replace(reopened, conflict_id=case.new_id())
    case.resolved.append(conflict_id)
    case.caused.append(caused)


def _check_size(case: _Case) -> None:
    head = case.head
    head_size = head.size_bytes + len(msgspec.json.encode([*case.change.operations, *case.caused]))
    if (
        head_size > head.state_bytes_max
    ):  # the sum is an upper bound; only near the limit is the exact size worth its price
        head_size = len(msgspec.json.encode(case.applied.state))
        if head_size > head.state_bytes_max:
            raise _Stop(
                Verdict.REJECTED,
                _detail(
                    "state_too_large", f"The document would be larger than {head.state_bytes_max} bytes.", None, ABSENT
                ),
            )
    head.size_bytes = head_size


def _check_schema(case: _Case) -> None:
    fault = case.head.check(case.applied.state) if case.head.check is not None else None
    if fault is not None:
        raise _Stop(Verdict.REJECTED, {"code": fault.code, "message": fault.message, "path": fault.path})


def _detail(code: str, message: str, path: str | None, current: Any) -> dict[str, Any]:
    detail: dict[str, Any] = {"code": code, "message": message}
    if path is not None:
        detail["path"] = path
    if current is not ABSENT:
        detail["current"] = current
    return detail


def _log(case: _Case, verdict: Verdict, detail: dict[str, Any] | None, session_id: str | None) -> LoggedChange:
    """The log's next line; moves the head on."""
    head, change = case.head, case.change
    document = head.document
    version = document.version + 1
    is_applied = verdict is Verdict.APPLIED
    state = case.applied.state if is_applied else document.state
    before = [(keys, kept_value(value)) for keys, value in case.applied.before] if is_applied else []
    head.document = structs.replace(
        document, state=state, version=version, updated_at=case.now, last_activity_at=case.now
    )
    head.touches.extend(Touch(version, change.device_id, case.device_no, keys, value) for keys, value in before)
    for conflict_id in case.resolved:
        path = next(path for path, conflict in head.conflicts.items() if conflict.conflict_id == conflict_id)
        del head.conflicts[path]
    head.conflicts.update(case.opened)
    return LoggedChange(
        document_id=document.document_id,
        version=version,
        generation=document.generation,
        base_version=change.base_version,
        operations=[*change.operations, *case.caused] if is_applied else change.operations,
        verdict=verdict,
        detail=detail,
        device_id=change.device_id,
        device_no=case.device_no,
        seq=change.seq,
        idempotency_key=change.idempotency_key,
        operations_hash=operations_hash(change),
        before=[(format_keys(keys), value) for keys, value in before],
        conflicts=list(case.opened.values()),
        resolved=list(case.resolved),
        state_hash=state_hash(state) if version % HASH_EVERY_VERSIONS == 0 else None,
        session_id=session_id,
        created_at=case.now,
    )


def operations_hash(change: Change) -> bytes:
    """What makes a replay the same change."""
    return digest(change.operations)


def kept_value(value: Any) -> Any:
    """The value before, unless it is too large to be kept with every change."""
    if isinstance(value, dict | list | str) and len(msgspec.json.encode(value)) > BEFORE_VALUE_BYTES_MAX:
        return ABSENT
    return value
