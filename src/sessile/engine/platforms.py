"""Platforms: a mirror of the accounts that the application has of a user, and which of them a session works on.

Locks are taken in one order: the user's row, the platforms, the sessions. A login holds the first while it looks for the default, a
switch holds the platform while it looks at its session, so neither meets a list that is just being mirrored half-way.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from msgspec import UNSET, UnsetType

from sessile.engine.limits import NO_QUOTA, Quota
from sessile.engine.principals import check_user_id
from sessile.engine.transitions import session_event
from sessile.model.audit import AuditEvent
from sessile.model.errors import PlatformRefused, SessionNotFound, VersionConflict
from sessile.model.events import Event, EventKind
from sessile.model.expiry import check_alive
from sessile.model.platform import Platform, PlatformEntry, check_entries
from sessile.model.session import Principal, Session
from sessile.model.wire import platform_to_wire
from sessile.ports import Clock, Store, Transaction

Known = Mapping[str, Platform]
"""A user's platforms by their ids."""


class PlatformEngine:
    """Mirror, list, choose, check, switch. Raises PlatformRefused, VersionConflict, InvalidValue and the errors of a session."""

    def __init__(self, store: Store, clock: Clock, quota: Quota = NO_QUOTA) -> None:
        self._quota = quota
        self._store = store
        self._clock = clock

    async def sync(self, user_id: str, entries: Sequence[PlatformEntry]) -> list[Platform]:
        """Makes the mirror say what `entries` say, and returns the active ones, oldest first. What is missing in `entries` becomes inactive.
        Raises InvalidValue, and PlatformRefused (`other_owner`) for an id that is active with another user: then nothing has changed."""
        check_user_id(user_id, required=True)
        check_entries(entries)
        return await self._store.write(self._sync, user_id, tuple(entries))

    async def list(self, user_id: str, *, with_inactive: bool = False) -> builtins.list[Platform]:
        """Oldest first, those of one moment by their ids."""
        found = await self._store.read(_of_user, user_id)
        return [platform for platform in found if platform.is_active or with_inactive]

    async def of_session(self, session: Session) -> Platform | None:
        """The platform that the session is on."""
        if session.platform_id is None:
            return None
        platform = await self._store.read(_get, session.platform_id)
        return platform if platform is not None and platform.user_id == session.user_id else None

    async def ensure_default(self, user_id: str) -> Platform | None:
        """The user's default, chosen now if there was none; None when the user has no active platform."""
        check_user_id(user_id, required=True)
        return await self._store.write(self._ensure_default, user_id)

    async def set_default(self, user_id: str, platform_id: str) -> Platform:
        """New sessions of the user begin there; those that there are stay where they are. Raises PlatformRefused."""
        check_user_id(user_id, required=True)
        return await self._store.write(self._set_default, user_id, platform_id)

    async def check(self, user_id: str | None, platform_id: str) -> Platform:
        """The platform, if the user may be on it. Raises PlatformRefused with the reason."""
        return await self._store.read(_usable, user_id, platform_id)

    async def switch(self, session_id: str, platform_id: str, expected: str | UnsetType | None = UNSET) -> Session:
        """The session, on that platform. Raises PlatformRefused; VersionConflict with the present `platform_id` when it is not `expected`;
        TooManyTries, SessionNotFound, SessionExpired, SessionEnded."""
        return await self._store.write(self._switch, session_id, platform_id, expected)

    # -- inside a transaction -------------------------------------------------------------------------------------------------------

    def _sync(self, tx: Transaction, user_id: str, entries: Sequence[PlatformEntry]) -> builtins.list[Platform]:
        if tx.sessions.principal(user_id, lock=True) is None:
            tx.sessions.put_principal(Principal(user_id))  # so that a first login and a first mirroring meet at one row
        now = self._clock.now()
        before = _known(tx, user_id)
        after = {known.platform_id: replace(known, is_active=False, is_default=False) for known in before.values()}
        for entry in sorted(entries, key=lambda entry: entry.platform_id):
            after[entry.platform_id] = _mirrored(tx, user_id, entry, before.get(entry.platform_id), now)
        _choose_default(after, wanted=[entry.platform_id for entry in entries if entry.is_default])
        added = sorted(after.keys() - before.keys())
        changed = sorted(key for key in before if after[key] != before[key])
        if added or changed:
            tx.audit([_event(user_id, "platforms_synced", now, added=added, changed=changed)])
        _write(tx, user_id, before, after, now)
        return [platform for platform in tx.platforms.of_user(user_id) if platform.is_active]

    def _ensure_default(self, tx: Transaction, user_id: str) -> Platform | None:
        tx.sessions.principal(user_id, lock=True)
        return default_of(tx, user_id, self._clock.now())

    def _set_default(self, tx: Transaction, user_id: str, platform_id: str) -> Platform:
        tx.sessions.principal(user_id, lock=True)
        before = _known(tx, user_id)
        chosen = _usable(tx, user_id, platform_id)
        if not chosen.is_default:
            now = self._clock.now()
            after = {key: replace(platform, is_default=key == platform_id) for key, platform in before.items()}
            tx.audit([_event(user_id, "platform_default_changed", now, platform_id=platform_id)])
            _write(tx, user_id, before, after, now)
        return _usable(tx, user_id, platform_id)

    def _switch(self, tx: Transaction, session_id: str, platform_id: str, expected: str | UnsetType | None) -> Session:
        platform = _look(tx, platform_id, lock=True)
        session = tx.sessions.get(session_id, lock=True)
        if session is None:
            raise SessionNotFound
        now = self._clock.now()
        check_alive(session, now)
        _admit(platform, session.user_id)
        if expected is not UNSET and session.platform_id != expected:
            raise VersionConflict({"platform_id": session.platform_id})
        if session.platform_id == platform_id:
            return session
        self._quota.spend(tx, session.user_id or "", now)
        return _move(tx, session, platform_id, now)


def platform_for(tx: Transaction, user_id: str | None, platform_id: str | None, now: datetime) -> str | None:
    """Where a session of the user begins: on the platform that is named, else on the default. The caller holds the user's lock. Raises PlatformRefused."""
    if platform_id is not None:
        return _usable(tx, user_id, platform_id).platform_id
    default = default_of(tx, user_id, now) if user_id is not None else None
    return default.platform_id if default is not None else None


def default_of(tx: Transaction, user_id: str, now: datetime) -> Platform | None:
    """The user's default; where rows came in by another way and left none, the oldest active one becomes it. The caller holds the user's lock."""
    before = _known(tx, user_id)
    after = dict(before)
    default = _choose_default(after, wanted=[])
    if after != before:
        _write(tx, user_id, before, after, now)
    return default


def _choose_default(platforms: dict[str, Platform], wanted: Sequence[str]) -> Platform | None:
    """Leaves exactly one default among the active ones, if there are any: the present one, else the first of those wanted, else the oldest."""
    active = [platform for platform in platforms.values() if platform.is_active]
    if not active:
        return None
    present = [platform for platform in active if platform.is_default]
    marked = [platforms[key] for key in wanted if platforms[key].is_active]
    oldest = min(active, key=lambda platform: (platform.created_at, platform.platform_id))
    chosen = next(iter((*present, *marked)), oldest)
    platforms[chosen.platform_id] = replace(chosen, is_default=True)
    return platforms[chosen.platform_id]


def _mirrored(tx: Transaction, user_id: str, entry: PlatformEntry, known: Platform | None, now: datetime) -> Platform:
    if known is None:
        other = tx.platforms.get(entry.platform_id, lock=True)
        if other is not None and other.is_active:  # an inactive one may change hands: its owner has it no more
            raise PlatformRefused("other_owner")
    return Platform(
        platform_id=entry.platform_id,
        user_id=user_id,
        name=entry.name,
        kind=entry.kind,
        is_active=entry.is_active,
        is_default=known is not None and known.is_default and entry.is_active,
        created_at=known.created_at if known is not None else now,
        updated_at=known.updated_at if known is not None else now,
    )


def _write(tx: Transaction, user_id: str, before: Known, after: Known, now: datetime) -> None:
    """Writes what differs, and takes the user's sessions along: off what is not active any more, and told of what they show."""
    changed = [replace(after[key], updated_at=now) for key in after if after[key] != before.get(key)]
    for platform in sorted(
        changed, key=lambda platform: platform.is_default
    ):  # the old default goes before the new one comes
        tx.platforms.put(platform)
    default = next((key for key, platform in after.items() if platform.is_default), None)
    for session in tx.sessions.of_user(user_id, now, lock=True):
        key = session.platform_id
        shown = after.get(key) if key is not None else None
        if shown is None or not shown.is_active:
            if key != default:
                _move(tx, session, default, now, reason="fallback")
        elif platform_to_wire(shown) != platform_to_wire(before.get(shown.platform_id)):
            tx.emit(Event(EventKind.SESSION_CHANGED, session.session_id, session.version))


def _move(tx: Transaction, session: Session, platform_id: str | None, now: datetime, **data: Any) -> Session:
    moved = replace(session, platform_id=platform_id, version=session.version + 1)
    tx.sessions.update(moved)
    facts = {"from": session.platform_id, "to": platform_id, **data}
    tx.audit([session_event(moved, "platform_switched", now, **facts)])
    tx.emit(Event(EventKind.SESSION_CHANGED, moved.session_id, moved.version))
    return moved


def _usable(tx: Transaction, user_id: str | None, platform_id: str) -> Platform:
    return _admit(_look(tx, platform_id), user_id)


def _admit(platform: Platform | None, user_id: str | None) -> Platform:
    """Whose it is comes first: whether somebody else's platform is active is nobody's business."""
    if platform is None:
        raise PlatformRefused("missing")
    if user_id is None or platform.user_id != user_id:
        raise PlatformRefused("other_owner")
    if not platform.is_active:
        raise PlatformRefused("inactive")
    return platform


def _look(tx: Transaction, platform_id: str, *, lock: bool = False) -> Platform | None:
    """What no platform can be called (text with lone surrogates, say) is not looked up: a database chokes on it."""
    return tx.platforms.get(platform_id, lock=lock) if platform_id.isprintable() else None


def _known(tx: Transaction, user_id: str) -> Known:
    return {platform.platform_id: platform for platform in tx.platforms.of_user(user_id, lock=True)}


def _get(tx: Transaction, platform_id: str) -> Platform | None:
    return tx.platforms.get(platform_id)


def _of_user(tx: Transaction, user_id: str) -> list[Platform]:
    return tx.platforms.of_user(user_id)


def _event(user_id: str, kind: str, at: datetime, **data: Any) -> AuditEvent:
    return AuditEvent(stream=f"user:{user_id}", type=kind, at=at, user_id=user_id, data=data)
