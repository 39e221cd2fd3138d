"""Verbs of the asyncio facade that come in groups: hand-off, audit, maintenance. Each can raise StoreUnavailable."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sessile.engine.audit import AuditEngine, AuditReport
from sessile.engine.handoff import HandoffEngine
from sessile.engine.legacy import Arrived, Import, LegacyEngine
from sessile.engine.maintenance import MaintenanceEngine
from sessile.model.audit import AuditEvent, AuditPage, AuditStream
from sessile.model.audit_format import AuditFormat, csv_header, csv_line, json_line
from sessile.model.errors import ConfigurationError, InvalidValue
from sessile.model.handoff import Handoff, Offered, Redeemed
from sessile.model.legacy import Arrival, ImportOutcome, ImportRun, Undone
from sessile.model.maintenance import Maintenance
from sessile.model.session import Issued
from sessile.ports import Store
from sessile.stores.encrypted import EncryptedStore, Rewritten


class AsyncHandoffs:
    """One device shows a code, another one types or scans it, the first one agrees, the other one is logged in."""

    def __init__(self, engine: HandoffEngine) -> None:
        self._engine = engine

    async def offer(self, session_id: str, *, path: str = "") -> Offered:
        """A code for another device, good once and for two minutes; an earlier one of this session is not good any more. `path` is where the
        other device goes on. Raises AuthenticationRequired for an anonymous session, InvalidValue, and like `get_session`."""
        return await self._engine.offer(session_id, path)

    async def offer_to_user(self, user_id: str) -> Offered:
        """For operators: a code with which somebody comes back in who has no session any more, good once and for ten minutes. Nobody is asked when it is
        used: make sure first to whom you give it. No session begins before. Raises InvalidValue, SessionCreationError for a user who is shut out."""
        return await self._engine.offer_to_user(user_id)

    async def withdraw(self, user_id: str) -> int:
        """What `offer_to_user` gave out for the user is not good any more, unless somebody has come in with it; how many there were."""
        return await self._engine.withdraw(user_id)

    async def status(self, session_id: str, handoff_id: str) -> Handoff:
        """For the session that offered it. Raises HandoffRefused for an unknown one, and for a code that nobody used in time."""
        return await self._engine.status(session_id, handoff_id)

    async def redeem(self, code: str, *, device: Mapping[str, Any] | None = None, address: str = "") -> Redeemed:
        """Shows whose account it is, and asks the first device, which sees `device`. Raises HandoffRefused; TooManyTries after five wrong codes
        from one `address`."""
        return await self._engine.redeem(code, device, address)

    async def confirm(self, session_id: str, handoff_id: str, *, accept: bool) -> Handoff:
        """The first device's answer. Raises HandoffRefused when nobody asked, or too late."""
        return await self._engine.confirm(session_id, handoff_id, accept=accept)

    async def complete(
        self, handoff_id: str, claim: str, *, session_id: str | None = None, fingerprint: str | None = None
    ) -> tuple[Handoff, Issued | None]:
        """The asking device comes for its session: None until the first one has agreed. An anonymous `session_id` becomes the user's. The session
        is not fresh, and ends when the first device's does at the latest. `fingerprint`: what login takes, too. Raises HandoffRefused, SessionCreationError."""
        return await self._engine.complete(handoff_id, claim, session_id, fingerprint)


class AsyncLegacySessions:
    """Sessions of another library: taken over, and their old credentials replaced at first use."""

    def __init__(self, engine: LegacyEngine) -> None:
        self._engine = engine

    def new_run_id(self) -> str:
        """The id of an import that begins now."""
        return self._engine.new_run_id()

    async def take_over(self, run: Import, arrivals: Sequence[Arrival]) -> list[ImportOutcome]:
        """At most 1000 sessions in one transaction; what became of each. None comes twice. Raises InvalidValue."""
        return await self._engine.take_over(run, arrivals)

    async def arrive(self, legacy_hash: bytes, *, can_replace: bool = True) -> Arrived:
        """The session that an old credential leads to, with the token that replaces it unless another request got that. Raises SessionNotFound,
        SessionExpired, SessionEnded."""
        return await self._engine.arrive(legacy_hash, can_replace=can_replace)

    async def arrive_signed(self, run: Import, arrival: Arrival, *, can_replace: bool = True) -> Arrived:
        """The same for a session that a signed cookie brings itself: it begins here with the first request. Raises SessionNotFound,
        SessionExpired, SessionEnded, InvalidValue."""
        return await self._engine.arrive_signed(run, arrival, can_replace=can_replace)

    async def runs(self) -> list[ImportRun]:
        """Imports that can still be undone, the latest first."""
        return await self._engine.runs()

    async def undo(self, run_id: str, *, after: bytes = b"", limit: int = 100, with_used: bool = False) -> Undone:
        """Ends a batch of the sessions that an import brought, those in use since only `with_used`; they can be imported again."""
        return await self._engine.undo(run_id, after=after, limit=limit, with_used=with_used)


class AsyncAudit:
    """What happened, in chains of hashes: `session:<id>`, `document:<id>`, `user:<id>`, `system`."""

    def __init__(self, engine: AuditEngine) -> None:
        self._engine = engine

    async def events(self, stream: str, *, before: int | None = None, limit: int = 100) -> list[AuditEvent]:
        """Of one stream, newest first, below position `before` where given."""
        return await self._engine.events(stream, before, limit)

    async def tail(self, *, after: str | None = None, limit: int = 100) -> AuditPage:
        """The last events of all streams, oldest first; with the `after` of an earlier page what came since then. What a transaction wrote that
        began before that page and ended after it is not in it: `sinks` deliver everything. Raises InvalidValue."""
        return await self._engine.tail(after, limit)

    async def export(
        self,
        *,
        stream: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        form: AuditFormat = AuditFormat.JSON_LINES,
    ) -> AsyncIterator[str]:
        """Line by line without their ends, oldest first, a page in memory: one stream or all, from `since` on and before `until`. JSON lines have all that
        is needed to check the chains; CSV begins with a header, and no cell of it is a formula."""
        if form is AuditFormat.CSV:
            yield csv_header()
        line, after = (csv_line if form is AuditFormat.CSV else json_line), None
        while True:
            page = await self._engine.page(after, since, until, stream)
            for event in page.events:
                yield line(event)
            if (after := page.after) is None:
                return

    async def verify(self, stream: str | None = None, *, known: Sequence[AuditStream] = ()) -> AuditReport:
        """Looks whether one chain, or each of them, is as it was written; the report names every place where it is not. `known` are ends that were noted
        elsewhere, in an export or by a sink: without them nobody can see that a chain was cut off together with its end."""
        return await self._engine.verify(stream, known)


class AsyncEncryption:
    """Content that is encrypted where it is kept."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def is_on(self) -> bool:
        """Whether there are keys."""
        return isinstance(self._store, EncryptedStore)

    async def rewrite(self, *, after: str | None = None, limit: int = 500) -> Rewritten:
        """Encrypts a batch of what is kept with the first key: what is plain, and what another key encrypted. Call it with the `after` of the batch before
        until that is None; then no other key is needed any more. It can be stopped anywhere, and begun again. Raises ConfigurationError without keys,
        InvalidValue, and ContentUnreadable for what no key opens."""
        if not isinstance(self._store, EncryptedStore):
            raise ConfigurationError("Nothing is encrypted here: set SESSILE_ENCRYPTION_KEYS.")
        return await self._store.rewrite(after, limit)


class AsyncMaintenanceMode:
    """Nobody new is let in but who is spared; people with a session go on working, unless theirs are ended, too."""

    def __init__(self, engine: MaintenanceEngine) -> None:
        self._engine = engine

    async def get(self) -> Maintenance | None:
        """What is in force now."""
        return await self._engine.get()

    async def announced(self) -> Maintenance | None:
        """What is in force now, or will be from its `since` on."""
        return await self._engine.announced()

    async def begin(
        self,
        message: str = "",
        *,
        until: datetime | None = None,
        roles_spared: Sequence[str] = (),
        end_sessions: bool = False,
        since: datetime | None = None,
        drain_sockets: bool = False,
    ) -> int:
        """Begins, or changes what is told; with a `since` to come it is announced. With `end_sessions` the sessions of users without one of the roles end,
        batch by batch; how many did. With `drain_sockets` only their sockets close: what they type waits in the browser. Raises InvalidValue."""
        if end_sessions and since is not None:
            raise InvalidValue(
                "/end_sessions", "ends them now, and nothing ends at `since`: announce first, begin again then"
            )
        await self._engine.begin(message, until, roles_spared, since=since, drains=drain_sockets)
        ended, after = 0, "" if end_sessions else None
        while after is not None:
            batch, after = await self._engine.end_sessions(after)
            ended += batch
        return ended

    async def end(self) -> bool:
        """Everybody may come in again. False when no maintenance was in force."""
        return await self._engine.end()
