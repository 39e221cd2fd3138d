"""Who is there, over all nodes. Only the first lease of a device, and the removal of its last one, change what is known of it.

Leases can be renewed, repeated and removed by anybody in any order: a device is away when its last lease has been removed, and back when there
is one again. Each of the two transitions is written once, with its audit event, under the locks of the session and the document (in this order).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sessile.engine.logins import live
from sessile.engine.transitions import session_event
from sessile.model.audit import AuditEvent
from sessile.model.document import Actor, Document, DocumentDevice
from sessile.model.errors import DocumentNotFound, InvalidValue
from sessile.model.events import Event, EventKind
from sessile.model.limits import LABEL_LENGTH_MAX
from sessile.model.presence import (
    HTTP_NODE,
    DeviceReport,
    DeviceStanding,
    Elsewhere,
    PresenceLease,
    SessionPresence,
    disconnection_at,
    is_away,
    merged,
    reconnection_at,
)
from sessile.model.session import Session
from sessile.ports import Clock, Store, Transaction


class PresenceEngine:
    def __init__(self, store: Store, clock: Clock, lease: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._lease = lease

    async def connected(self, leases: Sequence[PresenceLease], reports: Sequence[DeviceReport] = ()) -> None:
        """Puts leases of one node, new ones or changed ones, and what devices say of themselves. Who was away is back. Sessions that have ended,
        and documents that are gone, get nothing."""
        await self._store.write(self._connected, leases, reports)

    async def disconnected(self, leases: Sequence[PresenceLease]) -> None:
        """Removes leases of one node. Whoever has no other one is away from now on; a device of a document came as far as its lease says."""
        await self._store.write(self._removed, leases, None)

    async def renew(self, node_id: str, until: datetime, advanced: Sequence[PresenceLease] = ()) -> int:
        """Moves the end of all leases of a node, and writes how far `advanced` have come; how many leases there are. Fewer than the node holds:
        others took it for dead, and it puts them again."""
        return await self._store.write(_renew, node_id, until, sorted(advanced, key=lambda lease: lease.key))

    async def lapse(self, limit: int) -> int:
        """Removes leases that nobody renewed in time, at most `limit`; how many. Several may do it at once."""
        over: Sequence[PresenceLease] = await self._store.read(_lapsed, self._clock.now(), limit)
        return await self._store.write(self._removed, over, self._clock.now()) if over else 0

    async def heartbeat(self, report: DeviceReport) -> Session:
        """A sign of life without a socket: a lease that stands until the next one. Raises like `get_session`, and InvalidValue for facts that are
        no short texts."""
        for name, value in report.facts.items():
            if not isinstance(value, str) or max(len(name), len(value)) > LABEL_LENGTH_MAX:
                raise InvalidValue(f"/device/{name}", f"is a text of at most {LABEL_LENGTH_MAX} characters")
        return await self._store.write(self._heartbeat, report)

    async def elsewhere(self, document_id: str, node_id: str) -> Elsewhere:
        """Who has the document open on other nodes than this one."""
        return await self._store.read(_elsewhere, document_id, node_id, self._clock.now())

    async def of_document(self, actor: Actor, document_id: str) -> list[DeviceStanding]:
        """Every device that has ever opened the document, by number. Raises DocumentNotFound."""
        return await self._store.read(_of_document, actor, document_id, self._clock.now())

    async def of_sessions(self, session_ids: Sequence[str]) -> dict[str, SessionPresence]:
        """Each of them, connected or not."""
        return await self._store.read(_of_sessions, session_ids, self._clock.now())

    # -- inside a transaction -------------------------------------------------------------------------------------------------------

    def _heartbeat(self, tx: Transaction, report: DeviceReport) -> Session:
        now = self._clock.now()
        session = live(tx, report.session_id, now)
        lease = PresenceLease(
            node_id=HTTP_NODE,
            session_id=session.session_id,
            device_id=report.device_id or session.device_id or "",
            tabs=0,
            seen_at=now,
            lease_until=now + self._lease,
        )
        self._connected(tx, [lease], [report])
        return live(tx, report.session_id, now)

    def _connected(self, tx: Transaction, leases: Sequence[PresenceLease], reports: Sequence[DeviceReport]) -> None:
        now = self._clock.now()
        named = {lease.session_id for lease in leases} | {report.session_id for report in reports}
        sessions = {key: s for key, s in tx.sessions.get_many(sorted(named), lock=True).items() if s.ended_at is None}
        versions = tx.documents.versions(_documents_of(leases), lock=True)
        standing = [
            lease
            for lease in sorted(leases, key=lambda lease: lease.key)
            if lease.session_id in sessions and (not lease.document_id or lease.document_id in versions)
        ]
        tx.presence.put(standing)
        here = {lease.session_id for lease in standing}
        described = {report.session_id: report for report in reports}
        for session_id, session in sorted(sessions.items()):
            _session_here(tx, session, described.get(session_id), now, is_here=session_id in here)
        for document_id in _documents_of(standing):
            _devices_here(tx, document_id, [e for e in standing if e.document_id == document_id], sessions, now)
        _tell(tx, standing)

    def _removed(self, tx: Transaction, leases: Sequence[PresenceLease], lapsed_at: datetime | None) -> int:
        """`lapsed_at`: only those that are over by then, for meanwhile their node may have renewed them."""
        now = self._clock.now()
        sessions = tx.sessions.get_many(sorted({lease.session_id for lease in leases}), lock=True)
        versions = tx.documents.versions(_documents_of(leases), lock=True)
        known = {lease.key: lease for lease in leases}
        over = [
            known[lease.key]
            for lease in tx.presence.get_many(list(known), lock=True)
            if lapsed_at is None or lease.lease_until <= lapsed_at
        ]
        tx.presence.remove([lease.key for lease in over])
        _sessions_away(tx, sessions, [lease for lease in over if not lease.document_id], now)
        for document_id in _documents_of(over):
            if document_id in versions:
                theirs = [lease for lease in over if lease.document_id == document_id]
                _devices_away(tx, document_id, versions[document_id], theirs, sessions, now)
        _tell(tx, over, is_lapse=lapsed_at is not None)
        return len(over)


def described(session: Session, report: DeviceReport) -> Session:
    """The session with what the device says of itself. A name that somebody gave stays; what was known of another device does not."""
    is_same = report.device_id is None or session.device_id in (None, report.device_id)
    known: Mapping[str, Any] = session.device if is_same else {}
    label = report.facts.get("label") or known.get("label") or report.guessed_label
    device = {**known, **report.facts, **({"label": label} if label else {})}
    return replace(session, device_id=report.device_id or session.device_id, device=device)


def _session_here(
    tx: Transaction, session: Session, report: DeviceReport | None, now: datetime, *, is_here: bool
) -> None:
    changed = described(session, report) if report is not None else session
    is_back = is_here and is_away(session.disconnected_at, session.reconnected_at)
    if is_back and session.disconnected_at is not None:
        changed = replace(changed, reconnected_at=reconnection_at(now, session.disconnected_at))
        tx.audit([session_event(changed, "session_reconnected", now)])
    if changed != session:
        tx.sessions.update(changed)


def _devices_here(
    tx: Transaction, document_id: str, leases: Sequence[PresenceLease], sessions: Mapping[str, Session], now: datetime
) -> None:
    changed: dict[str, DocumentDevice] = {}
    events: list[AuditEvent] = []
    for lease in leases:
        device = changed.get(lease.device_id) or tx.documents.device(document_id, lease.device_id)
        if device is None:
            continue
        here = replace(device, label=lease.label or device.label)
        if is_away(device.disconnected_at, device.reconnected_at) and device.disconnected_at is not None:
            here = replace(here, reconnected_at=reconnection_at(now, device.disconnected_at))
            events.append(_device_event(here, "device_reconnected", now, sessions.get(lease.session_id)))
        if here != device:
            changed[lease.device_id] = here
    tx.documents.put_devices([changed[device_id] for device_id in sorted(changed)])
    tx.audit(events)


def _sessions_away(
    tx: Transaction, sessions: Mapping[str, Session], removed: Sequence[PresenceLease], now: datetime
) -> None:
    concerned = sorted({lease.session_id for lease in removed})
    still = {lease.session_id for lease in tx.presence.of_sessions(concerned)}
    for session_id in concerned:
        session = sessions.get(session_id)
        if session is None or session.ended_at is not None or session_id in still:
            continue
        if not is_away(session.disconnected_at, session.reconnected_at):
            away = replace(session, disconnected_at=disconnection_at(now, session.reconnected_at))
            tx.sessions.update(away)
            tx.audit([session_event(away, "session_disconnected", now)])


def _devices_away(
    tx: Transaction,
    document_id: str,
    head: int,
    removed: Sequence[PresenceLease],
    sessions: Mapping[str, Session],
    now: datetime,
) -> None:
    changed: list[DocumentDevice] = []
    events: list[AuditEvent] = []
    for device_id, theirs in sorted(_by_device(removed).items()):
        device = tx.documents.device(document_id, device_id)
        if device is None or is_away(device.disconnected_at, device.reconnected_at):
            continue
        if tx.presence.of_device(document_id, device_id):
            continue
        away = replace(
            device,
            disconnected_at=disconnection_at(now, device.reconnected_at),
            seen_version=min(head, max(device.seen_version, *(lease.version for lease in theirs))),
        )
        changed.append(away)
        events.append(_device_event(away, "device_disconnected", now, sessions.get(theirs[-1].session_id)))
    tx.documents.put_devices(changed)
    tx.audit(events)


def _device_event(device: DocumentDevice, kind: str, now: datetime, session: Session | None) -> AuditEvent:
    return AuditEvent(
        stream=f"document:{device.document_id}",
        type=kind,
        at=now,
        user_id=session.user_id if session is not None else None,
        session_id=session.session_id if session is not None else None,
        document_id=device.document_id,
        data={"device_no": device.device_no, "label": device.label},
    )


def _tell(tx: Transaction, leases: Sequence[PresenceLease], *, is_lapse: bool = False) -> None:
    """Names the node that did it, which knows already; of lapsed leases it does not know."""
    for document_id in _documents_of(leases):
        nodes = {lease.node_id for lease in leases if lease.document_id == document_id}
        for node_id in {""} if is_lapse else sorted(nodes):
            tx.emit(Event(EventKind.PRESENCE_CHANGED, document_id, detail=node_id))


def _documents_of(leases: Sequence[PresenceLease]) -> list[str]:
    return sorted({lease.document_id for lease in leases if lease.document_id})


def _renew(tx: Transaction, node_id: str, until: datetime, advanced: Sequence[PresenceLease]) -> int:
    tx.presence.advance(advanced)
    return tx.presence.renew(node_id, until)


def _lapsed(tx: Transaction, now: datetime, limit: int) -> list[PresenceLease]:
    return tx.presence.lapsed(now, limit)


def _elsewhere(tx: Transaction, document_id: str, node_id: str, now: datetime) -> Elsewhere:
    leases = [lease for lease in tx.presence.of_document(document_id, now) if lease.node_id != node_id]
    devices = tx.documents.devices(document_id)
    by_device = _by_device(leases)
    return Elsewhere(
        tuple(merged(d.device_no, by_device[d.device_id]) for d in devices if d.device_id in by_device),
        next((device.device_no for device in devices if device.is_primary), None),
    )


def _of_document(tx: Transaction, actor: Actor, document_id: str, now: datetime) -> list[DeviceStanding]:
    document = tx.documents.get(document_id)
    if document is None or not actor.may_open(document.owner):
        raise DocumentNotFound
    by_device = _by_device(tx.presence.of_document(document_id, now))
    return [
        _standing(document, device, by_device.get(device.device_id, ()), actor)
        for device in tx.documents.devices(document_id)
    ]


def _standing(
    document: Document, device: DocumentDevice, leases: Sequence[PresenceLease], actor: Actor
) -> DeviceStanding:
    present = merged(device.device_no, leases) if leases else None
    if actor.device_id is not None:
        is_own = actor.device_id == device.device_id
    else:
        is_own = actor.session_id is not None and actor.session_id == device.session_id
    behind = max(0, document.version - device.seen_version) if present is None else present.behind(document.version)
    return DeviceStanding(
        device_no=device.device_no,
        label=present.label if present is not None else device.label,
        is_own=is_own,
        is_primary=device.is_primary,
        is_connected=present is not None,
        tabs=present.tabs if present is not None else 0,
        visible=present is not None and present.visible,
        behind=behind,
        last_active_at=device.last_active_at,
        disconnected_at=device.disconnected_at,
        reconnected_at=device.reconnected_at,
    )


def _of_sessions(tx: Transaction, session_ids: Sequence[str], now: datetime) -> dict[str, SessionPresence]:
    found = dict.fromkeys(session_ids, SessionPresence())
    for lease in tx.presence.of_sessions(session_ids, now):
        known = found[lease.session_id]
        found[lease.session_id] = SessionPresence(True, known.tabs + lease.tabs, known.visible or lease.visible)
    return found


def _by_device(leases: Sequence[PresenceLease]) -> dict[str, list[PresenceLease]]:
    found: dict[str, list[PresenceLease]] = {}
    for lease in leases:
        found.setdefault(lease.device_id, []).append(lease)
    return found
