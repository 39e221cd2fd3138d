"""Erasing one user: everything that is theirs, in bounded transactions, with a proof in the audit log at the end.

From the first transaction on nobody gets in as the user, and the last one takes that away, too, in the moment in which it finds nothing more. What a
crash leaves between the two, another call finishes.

Sessions stay as ends without a person until retention forgets them: a late request finds that its session is over, and not that there is none, so
it writes nothing. Hashes of an import's old credentials stay as long as those could still be found: they are what refuses them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from msgspec.structs import replace as with_fields

from sessile.engine.keys import KeyRing
from sessile.engine.principals import check_user_id
from sessile.engine.transitions import confirm_ended, end
from sessile.model.audit import AuditEvent
from sessile.model.document import Owner
from sessile.model.errors import InvalidValue
from sessile.model.limits import LABEL_LENGTH_MAX
from sessile.model.session import EndReason, Principal, Session
from sessile.ports import Clock, Store, Transaction

SESSIONS_AT_ONCE: Final = 100
DOCUMENTS_AT_ONCE: Final = 20
HANDOFFS_AT_ONCE: Final = 500
EVENTS_AT_ONCE: Final = 500
_PURPOSE: Final = "erased"
_OF_ONE: Final = ("session", "document")
"""Streams that are about one person: where the user is named once, all of their events are the user's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What one call of `erase` found and removed. All zero: there was nothing, or nothing any more."""

    user_hash: str
    """The keyed hash that the proof has: `principal_erased` in the stream `system`."""
    sessions: int
    documents: int
    handoffs: int
    platforms: int
    events: int
    """Audit events that lost their personal fields, or went with the user's own stream."""


class ErasureEngine:
    def __init__(self, store: Store, clock: Clock, keys: KeyRing) -> None:
        self._store = store
        self._clock = clock
        self._keys = keys

    async def hashes(self, user_id: str) -> list[str]:
        """HMAC-SHA-256 of the user's id with each key of `secret_keys`, the first one's first: one of them is in the proof of an erasure."""
        check_user_id(user_id, required=True)
        await self._keys.ready()
        return [mac.hex() for mac in self._keys.all(_PURPOSE, user_id.encode())]

    async def erase(self, user_id: str, reason: str) -> Erased:
        """Ends the user's sessions, then removes what is kept of the user. Again is no harm, and finishes what was cut off. Raises InvalidValue."""
        check_reason(reason)
        user_hash = (await self.hashes(user_id))[0]
        done = Counter[str]()
        while True:
            done["known"] += await self._store.write(_shut_out, user_id, self._clock.now())
            await self._end_sessions(user_id)
            for step in (_erase_sessions, _erase_documents, _erase_handoffs):
                while found := await self._store.write(step, user_id):
                    done.update(found)
            done["events"] += await self._erase_events(user_id)
            erased = await self._store.write(self._finish, user_id, user_hash, reason, dict(done))
            if erased is not None:
                return erased

    async def _end_sessions(self, user_id: str) -> None:
        after: str | None = ""
        while after is not None:
            after = await self._store.write(self._end, user_id, after)

    async def _erase_events(self, user_id: str) -> int:
        erased, after = 0, ("", 0)
        while True:
            number, last = await self._store.write(_erase_named, user_id, after)
            erased += number
            if last is None:
                return erased
            after = last

    # -- inside a transaction -------------------------------------------------------------------------------------------------------

    def _end(self, tx: Transaction, user_id: str, after: str) -> str | None:
        now = self._clock.now()
        page = tx.sessions.kept_of_user(user_id, lock=True, after=after, limit=SESSIONS_AT_ONCE)
        end(tx, [session for session in page if session.ended_at is None], EndReason.ADMIN, now)
        if len(page) == SESSIONS_AT_ONCE:
            return page[-1].session_id
        confirm_ended(tx, user_id, now)
        return None

    def _finish(
        self, tx: Transaction, user_id: str, user_hash: str, reason: str, done: dict[str, int]
    ) -> Erased | None:
        """The proof, once nothing is left; None when something came in the meantime."""
        tx.sessions.delete_principal(user_id)
        owner = Owner(user_id=user_id)
        if tx.sessions.kept_of_user(user_id, limit=1) or tx.documents.ids_of_owner(owner, limit=1):
            return None
        platforms = tx.platforms.delete_of_user(user_id)
        own, digest = _close_own(tx, user_id)
        erased = Erased(
            user_hash=user_hash,
            sessions=done.get("sessions", 0),
            documents=done.get("documents", 0),
            handoffs=done.get("handoffs", 0),
            platforms=platforms,
            events=done.get("events", 0) + own,
        )
        told = {name: getattr(erased, name) for name in erased.__slots__}
        if done["known"] or any(told[name] for name in told if name != "user_hash"):
            event = AuditEvent(stream="system", type="principal_erased", at=self._clock.now())
            tx.audit([replace(event, data={**told, "reason": reason, "digest": digest})])
        return erased


def check_reason(reason: str) -> None:
    """Raises InvalidValue for what an audit event cannot keep."""
    if len(reason) > LABEL_LENGTH_MAX or not reason.isprintable():
        raise InvalidValue("/reason", f"is a text of at most {LABEL_LENGTH_MAX} printable characters")


def without_person(session: Session) -> Session:
    """A session that is over, as an end without a person: its handle, its times, why it ended, and the hash of its token."""
    return with_fields(
        session,
        user_id=None,
        platform_id=None,
        device_id=None,
        device={},
        public={},
        data=b"{}",
        fingerprint=None,
        provider_session=None,
        binding=None,
        version=session.version + 1,
    )


def _shut_out(tx: Transaction, user_id: str, now: datetime) -> bool:
    """From now on no login gets through, and what pages saw of the user is gone. Whether anything was known."""
    was = tx.sessions.delete_principal(user_id)
    tx.sessions.put_principal(Principal(user_id, disabled_at=now))
    return was


def _erase_sessions(tx: Transaction, user_id: str) -> dict[str, int]:
    page = tx.sessions.kept_of_user(user_id, lock=True, limit=SESSIONS_AT_ONCE)
    handles = [session.session_id for session in page]
    documents = [key for handle in handles for key in _all_of(tx, Owner(session_id=handle))]
    tx.presence.remove([lease.key for lease in tx.presence.of_sessions(handles)])
    tx.sessions.update_many([without_person(session) for session in page])
    events = sum(tx.erase_audit(f"session:{handle}") for handle in handles) + _remove_documents(tx, documents)
    return {"sessions": len(page), "documents": len(documents), "events": events} if page else {}


def _erase_documents(tx: Transaction, user_id: str) -> dict[str, int]:
    page = tx.documents.ids_of_owner(Owner(user_id=user_id), limit=DOCUMENTS_AT_ONCE)
    events = _remove_documents(tx, page)
    return {"documents": len(page), "events": events} if page else {}


def _erase_handoffs(tx: Transaction, user_id: str) -> dict[str, int]:
    number = tx.handoffs.delete_of_user(user_id, HANDOFFS_AT_ONCE)
    return {"handoffs": number} if number else {}


def _erase_named(tx: Transaction, user_id: str, after: tuple[str, int]) -> tuple[int, tuple[str, int] | None]:
    """A page of the events that still name the user, which are those of what retention has forgotten already, and of streams of all people."""
    page = tx.audit_of_user(user_id, after=after, limit=EVENTS_AT_ONCE)
    erased = 0
    for stream in sorted({event.stream for event in page} - {f"user:{user_id}"}):
        is_theirs = stream.partition(":")[0] in _OF_ONE
        erased += tx.erase_audit(stream, None if is_theirs else user_id)
    return erased, (page[-1].stream, page[-1].position) if len(page) == EVENTS_AT_ONCE else None


def _all_of(tx: Transaction, owner: Owner) -> list[str]:
    found, after = list[str](), ""
    while page := tx.documents.ids_of_owner(owner, after=after, limit=EVENTS_AT_ONCE):
        found += page
        after = page[-1]
    return found


def _remove_documents(tx: Transaction, document_ids: list[str]) -> int:
    """With all that belongs to them; from how many audit events the personal fields went."""
    tx.documents.versions(document_ids, lock=True)
    for document_id in document_ids:
        tx.presence.remove([lease.key for lease in tx.presence.of_document(document_id)])
    tx.documents.delete(document_ids)
    return sum(tx.erase_audit(f"document:{document_id}") for document_id in document_ids)


def _close_own(tx: Transaction, user_id: str) -> tuple[int, str]:
    """Removes the user's own stream, whose name is the user's id: how many events it had, and the digest of its end for whoever has a copy."""
    chain = tx.audit_chain(f"user:{user_id}", lock=True)
    if chain is None:
        return 0, ""
    number = chain.position - chain.base_position
    tx.forget_audit(replace(chain, base_position=chain.position, base_hash=chain.hash))
    tx.close_audit(chain.stream)
    return number, hashlib.sha256(f"{chain.stream}\0{chain.position}\0".encode() + chain.hash).hexdigest()
