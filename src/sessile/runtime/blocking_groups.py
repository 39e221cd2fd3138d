"""The blocking twins of the verbs that come in groups; see `sessile.runtime.groups`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sessile.engine.audit import AuditEngine, AuditReport
from sessile.engine.handoff import HandoffEngine
from sessile.engine.legacy import Arrived, Import, LegacyEngine
from sessile.engine.maintenance import MaintenanceEngine
from sessile.model.audit import AuditEvent, AuditPage, AuditStream
from sessile.model.audit_format import AuditFormat
from sessile.model.handoff import Handoff, Offered, Redeemed
from sessile.model.legacy import Arrival, ImportOutcome, ImportRun, Undone
from sessile.model.maintenance import Maintenance
from sessile.model.session import Issued
from sessile.ports import Store
from sessile.runtime.groups import AsyncAudit, AsyncEncryption, AsyncHandoffs, AsyncMaintenanceMode
from sessile.runtime.lane import drive, drive_each
from sessile.stores.encrypted import Rewritten


class Handoffs:
    """One device shows a code, another one types or scans it, the first one agrees, the other one is logged in."""

    def __init__(self, engine: HandoffEngine) -> None:
        self._twin = AsyncHandoffs(engine)

    def offer(self, session_id: str, *, path: str = "") -> Offered:
        """A code for another device, good once and for two minutes. Raises AuthenticationRequired, InvalidValue, and like `get_session`."""
        return drive(self._twin.offer(session_id, path=path))

    def offer_to_user(self, user_id: str) -> Offered:
        """For operators: a code with which somebody comes back in who has no session any more, good once and for ten minutes. Raises InvalidValue,
        SessionCreationError."""
        return drive(self._twin.offer_to_user(user_id))

    def withdraw(self, user_id: str) -> int:
        """What `offer_to_user` gave out for the user is not good any more, unless somebody has come in with it; how many there were."""
        return drive(self._twin.withdraw(user_id))

    def status(self, session_id: str, handoff_id: str) -> Handoff:
        """For the session that offered it. Raises HandoffRefused."""
        return drive(self._twin.status(session_id, handoff_id))

    def redeem(self, code: str, *, device: Mapping[str, Any] | None = None, address: str = "") -> Redeemed:
        """Shows whose account it is, and asks the first device. Raises HandoffRefused, TooManyTries."""
        return drive(self._twin.redeem(code, device=device, address=address))

    def confirm(self, session_id: str, handoff_id: str, *, accept: bool) -> Handoff:
        """The first device's answer. Raises HandoffRefused."""
        return drive(self._twin.confirm(session_id, handoff_id, accept=accept))

    def complete(
        self, handoff_id: str, claim: str, *, session_id: str | None = None, fingerprint: str | None = None
    ) -> tuple[Handoff, Issued | None]:
        """The asking device comes for its session: None until the first one has agreed. Raises HandoffRefused, SessionCreationError."""
        return drive(self._twin.complete(handoff_id, claim, session_id=session_id, fingerprint=fingerprint))


class LegacySessions:
    """Sessions of another library: taken over, and their old credentials replaced at first use. See `AsyncLegacySessions`, whose twin this is."""

    def __init__(self, engine: LegacyEngine) -> None:
        self._engine = engine

    def new_run_id(self) -> str:
        """The id of an import that begins now."""
        return self._engine.new_run_id()

    def take_over(self, run: Import, arrivals: Sequence[Arrival]) -> list[ImportOutcome]:
        """At most 1000 sessions in one transaction; what became of each. None comes twice. Raises InvalidValue."""
        return drive(self._engine.take_over(run, arrivals))

    def arrive(self, legacy_hash: bytes, *, can_replace: bool = True) -> Arrived:
        """The session that an old credential leads to, with the token that replaces it unless another request got that. Raises SessionNotFound,
        SessionExpired, SessionEnded."""
        return drive(self._engine.arrive(legacy_hash, can_replace=can_replace))

    def arrive_signed(self, run: Import, arrival: Arrival, *, can_replace: bool = True) -> Arrived:
        """The same for a session that a signed cookie brings itself: it begins here with the first request. Raises SessionNotFound,
        SessionExpired, SessionEnded, InvalidValue."""
        return drive(self._engine.arrive_signed(run, arrival, can_replace=can_replace))

    def runs(self) -> list[ImportRun]:
        """Imports that can still be undone, the latest first."""
        return drive(self._engine.runs())

    def undo(self, run_id: str, *, after: bytes = b"", limit: int = 100, with_used: bool = False) -> Undone:
        """Ends a batch of the sessions that an import brought, those in use since only `with_used`; they can be imported again."""
        return drive(self._engine.undo(run_id, after=after, limit=limit, with_used=with_used))


class Audit:
    """What happened, in chains of hashes: `session:<id>`, `document:<id>`, `user:<id>`, `system`."""

    def __init__(self, engine: AuditEngine) -> None:
        self._twin = AsyncAudit(engine)

    def events(self, stream: str, *, before: int | None = None, limit: int = 100) -> list[AuditEvent]:
        """Of one stream, newest first, below position `before` where given."""
        return drive(self._twin.events(stream, before=before, limit=limit))

    def tail(self, *, after: str | None = None, limit: int = 100) -> AuditPage:
        """The last events of all streams, oldest first; with the `after` of an earlier page what came since then. Raises InvalidValue."""
        return drive(self._twin.tail(after=after, limit=limit))

    def export(
        self,
        *,
        stream: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        form: AuditFormat = AuditFormat.JSON_LINES,
    ) -> Iterator[str]:
        """Line by line without their ends, oldest first, a page in memory. See `AsyncAudit.export`."""
        yield from drive_each(self._twin.export(stream=stream, since=since, until=until, form=form))

    def verify(self, stream: str | None = None, *, known: Sequence[AuditStream] = ()) -> AuditReport:
        """Looks whether one chain, or each of them, is as it was written, and has still the `known` ends."""
        return drive(self._twin.verify(stream, known=known))


class Encryption:
    """Content that is encrypted where it is kept."""

    def __init__(self, store: Store) -> None:
        self._twin = AsyncEncryption(store)

    @property
    def is_on(self) -> bool:
        """Whether there are keys."""
        return self._twin.is_on

    def rewrite(self, *, after: str | None = None, limit: int = 500) -> Rewritten:
        """Encrypts a batch of what is kept with the first key; until `after` is None. Raises ConfigurationError, InvalidValue, ContentUnreadable."""
        return drive(self._twin.rewrite(after=after, limit=limit))


class MaintenanceMode:
    """Nobody new is let in but who is spared; people with a session go on working, unless theirs are ended, too."""

    def __init__(self, engine: MaintenanceEngine) -> None:
        self._twin = AsyncMaintenanceMode(engine)

    def get(self) -> Maintenance | None:
        """What is in force now."""
        return drive(self._twin.get())

    def announced(self) -> Maintenance | None:
        """What is in force now, or will be from its `since` on."""
        return drive(self._twin.announced())

    def begin(
        self,
        message: str = "",
        *,
        until: datetime | None = None,
        roles_spared: Sequence[str] = (),
        end_sessions: bool = False,
        since: datetime | None = None,
        drain_sockets: bool = False,
    ) -> int:
        """Begins, or changes what is told; with a `since` to come it is announced. With `end_sessions` the sessions of users without one of the roles end;
        how many did. With `drain_sockets` only their sockets close. Raises InvalidValue."""
        return drive(
            self._twin.begin(
                message,
                until=until,
                roles_spared=roles_spared,
                end_sessions=end_sessions,
                since=since,
                drain_sockets=drain_sockets,
            )
        )

    def end(self) -> bool:
        """Everybody may come in again. False when no maintenance was in force."""
        return drive(self._twin.end())
