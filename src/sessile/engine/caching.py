"""Sessions read through the cache, and the guard around the commits that change them: mark, commit, publish.

The cache never outranks the truth: when a call that ended a session has returned, no process accepts that session any more, whatever became of the
cache meanwhile. Why that holds is told in docs/explanation/cache.md, and `tests/model` looks at every interleaving of the steps below.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sessile.engine.looks import Look, Looks
from sessile.model.errors import StoreUnavailable
from sessile.model.fence import ENTRY_TTL_S, CachePlace, CacheUnavailable, Fence, Miss, Publication, SessionChanges
from sessile.model.health import CacheStatus
from sessile.model.session import Session
from sessile.model.session_format import UnknownForm, pack_session, unpack_session
from sessile.ports import Cache, Pause, Random, SessionReader, Transaction

logger = logging.getLogger("sessile.cache")

ABSENT_TTL_S: Final = 5.0
HOLD_PERIODS: Final = 5.0
"""Who writes without the cache keeps it closed for so many fence periods, so that a process that is cut off does not raise it with each write."""
BIND_PAUSE_MAX_S: Final = 30.0
_TOKEN_BYTES: Final = 12
_TURNS_MAX: Final = 5


@dataclass(slots=True)
class Plan:
    """What one transaction means for the cache."""

    look: Look | None
    publications: list[Publication] = field(default_factory=list)
    is_final: bool = False
    is_marked: bool = False
    raised: Fence | None = None

    @property
    def place(self) -> CachePlace | None:
        return None if self.look is None else self.look.fence.place


class SessionCache:
    """Reader and guard. `truth` reads the store; one read may serve several who ask for the same session, if it begins after they asked.
    `keeps_itself`: nobody calls `keep` in the background, so a read does it now and then."""

    def __init__(
        self,
        looks: Looks,
        cache: Cache,
        truth: SessionReader,
        pause: Pause,
        random: Random,
        *,
        keeps_itself: bool = False,
    ) -> None:
        self._keeps_itself = keeps_itself
        self._kept_at = float("-inf")
        self._keep_after_s = looks.period_s / 3
        self._looks = looks
        self._cache = cache
        self._truth = truth
        self._pause = pause
        self._random = random
        self.hits = 0
        self.misses = 0
        self._is_wanted = False
        self._bound_at = float("-inf")
        self._bind_pause_s = 0.0

    # -- reading --------------------------------------------------------------------------------------------------------------------

    async def get(self, session_id: str) -> Session | None:
        """The session, or None when there is none. A hit costs one round trip to the cache. Raises StoreUnavailable."""
        self._is_wanted = True
        look = self._looks.usable()
        if self._keeps_itself and (look is None or self._looks.is_older(self._keep_after_s)):
            await self._keep_now()
            look = self._looks.usable()
        if look is None or (place := look.fence.place) is None:
            return await self._miss(session_id)
        try:
            found = await self._cache.get(place, session_id)
            if isinstance(found, bytes):
                # The answer may have taken its time: the look has to be young enough now.
                if self._looks.is_usable(look):
                    session = unpack_session(found) if found else None
                    self.hits += 1
                    return session
            elif found is Miss.ABSENT:
                return await self._fill(place, session_id)
        except CacheUnavailable:
            pass
        except UnknownForm:
            await self._drop(place, session_id)
        return await self._miss(session_id)

    async def _miss(self, session_id: str) -> Session | None:
        self.misses += 1
        return await self._truth.get(session_id)

    async def _fill(self, place: CachePlace, session_id: str) -> Session | None:
        token = self._random.token_bytes(_TOKEN_BYTES)
        if not await self._cache.lease(place, session_id, token):
            return await self._miss(session_id)
        session = await self._miss(session_id)  # begun after the lease was answered
        entry, ttl_s = (pack_session(session), ENTRY_TTL_S) if session is not None else (b"", ABSENT_TTL_S)
        await self._cache.fill(place, session_id, token, entry, ttl_s)
        return session

    async def _drop(self, place: CachePlace, session_id: str) -> None:
        logger.warning(
            "An entry of the cache could not be read; the session is read from the database instead",
            extra={"event_name": "cache_entry_unreadable"},
        )
        try:
            await self._cache.publish(place, [Publication(session_id, None)])
        except CacheUnavailable:
            return  # it goes when its time is over

    # -- around a commit ------------------------------------------------------------------------------------------------------------

    def plan(self, tx: Transaction, changes: SessionChanges) -> Plan | None:
        """Inside the transaction, at its end."""
        if not (changes.after or changes.touched or changes.is_final):
            return None
        look = self._looks.usable()
        if look is None:
            sent_at = self._looks.now()
            look = self._looks.note(tx.fence.look(), sent_at)
        publications = [self._publication(session_id, session) for session_id, session in changes.after.items()]
        publications += [Publication(session_id, None) for session_id in sorted(changes.touched - changes.after.keys())]
        return Plan(look, publications, changes.is_final)

    def _publication(self, session_id: str, session: Session | None) -> Publication:
        token = self._random.token_bytes(_TOKEN_BYTES)
        if session is None:
            return Publication(session_id, token, b"", ABSENT_TTL_S)
        return Publication(session_id, token, pack_session(session), ENTRY_TTL_S)

    async def mark(self, plans: Sequence[Plan]) -> None:
        """Before the commit, while the rows are locked: so the marks of a session come in the order of its commits."""
        by_place: dict[CachePlace, list[Plan]] = {}
        for plan in plans:
            if plan.place is not None and _tokens(plan):
                by_place.setdefault(plan.place, []).append(plan)
        for place, of_place in by_place.items():
            try:
                await self._cache.mark(place, [token for plan in of_place for token in _tokens(plan)])
            except CacheUnavailable:
                continue
            for plan in of_place:
                plan.is_marked = True

    def within(self, tx: Transaction, plan: Plan) -> None:
        """Without a mark the commit itself raises the fence, so that there is no moment between them."""
        if plan.look is not None and plan.place is not None and _tokens(plan) and not plan.is_marked:
            held_s = HOLD_PERIODS * self._looks.period_s
            plan.raised = tx.fence.raise_(self._looks.nonce(), expected=plan.look.fence.number, held_s=held_s)

    async def settle(self, plan: Plan) -> None:
        """After the commit. Raises StoreUnavailable when it cannot be known what the others believe: then a repetition of the call mends it."""
        if plan.raised is not None and not plan.raised.is_open:
            # An open one is another's, seen inside the transaction: it is looked at anew, for its age does not begin now.
            self._looks.note(plan.raised, self._looks.now())
        if not _tokens(plan) and not plan.is_final:
            await self._settle_touches(plan)
            return
        if plan.is_marked and plan.look is not None and plan.place is not None:
            try:
                await self._cache.publish(plan.place, plan.publications)
            except CacheUnavailable:
                plan.is_marked = False
                await self._looks.raise_(plan.look.fence.number, held_s=HOLD_PERIODS * self._looks.period_s)
            else:
                if self._looks.is_usable(plan.look):
                    return
        await self._settle_late(plan)

    async def doubt(self, plan: Plan) -> None:
        """The commit's outcome is unknown: what could be older than it is removed. Raises nothing; whoever asked gets the error of the commit."""
        plan.is_marked = plan.is_final = False
        try:
            await self._settle_late(plan)
        except StoreUnavailable:
            return  # nobody can be told; the mark stands for a while, and a repetition of the call mends the rest

    async def _settle_touches(self, plan: Plan) -> None:
        """A touch moves nothing that anybody is refused for without a look at the truth, so it is told once, and not again."""
        if plan.place is not None and plan.look is not None and self._looks.is_usable(plan.look):
            try:
                await self._cache.publish(plan.place, plan.publications)
            except CacheUnavailable:
                return

    async def _settle_late(self, plan: Plan) -> None:
        """The commit was not marked, or its look grew too old: what counts is the fence as it is after the commit."""
        before = None if plan.look is None else plan.look.fence
        for _ in range(_TURNS_MAX):
            look = await self._looks.look()
            place = look.fence.place
            if place is None:
                await self._settle_closed(plan, look.fence)
                return
            if plan.is_marked and before is not None and before.place == place:
                return  # nothing opened meanwhile; it was published there
            if not plan.publications:
                return
            try:
                await self._cache.publish(place, [Publication(p.session_id, None) for p in plan.publications])
            except CacheUnavailable:
                await self._looks.raise_(look.fence.number, held_s=HOLD_PERIODS * self._looks.period_s)
            else:
                return
        raise StoreUnavailable

    async def _settle_closed(self, plan: Plan, fence: Fence) -> None:
        if not plan.is_marked and plan.publications and fence.held_for_s < HOLD_PERIODS / 2 * self._looks.period_s:
            try:
                await self._cache.server()
            except CacheUnavailable:
                await self._looks.hold(fence.number, HOLD_PERIODS * self._looks.period_s)
        while plan.is_final and (left_s := self._looks.left_s(fence)) > 0:
            await self._pause.sleep(left_s)

    # -- between requests -----------------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the cache is believed just now."""
        return self._looks.usable() is not None

    def status(self) -> CacheStatus:
        """For those who watch."""
        return CacheStatus(self.is_open, self.hits, self.misses, self._cache.status())

    @property
    def is_due(self) -> bool:
        """Whether `keep` should be called: somebody read since the last time, and the look has grown older than a third of its life or shows a
        closed fence. That one does not grow old where much is written, because each write looks; but only `keep` opens it."""
        if not self._is_wanted:
            return False
        look = self._looks.last
        return (look is not None and not look.fence.is_open) or self._looks.is_older(self._keep_after_s)

    async def _keep_now(self) -> None:
        now = self._looks.now()
        if now - self._kept_at > self._keep_after_s:
            self._kept_at = now
            try:
                await self.keep()
            except StoreUnavailable:
                return  # the look lasts a while longer; after that the read says so

    async def keep(self) -> None:
        """Looks at the fence, opens it when it is time, binds it to the server that is there now. Raises StoreUnavailable."""
        self._is_wanted = False
        look = await self._looks.look()
        fence = look.fence
        try:
            server = await self._cache.server()
        except CacheUnavailable:
            return
        if fence.server != server:
            await self._bind(fence, server)
        elif not fence.is_open and fence.held_for_s <= 0 and self._looks.left_s(fence) <= 0:
            opened = await self._looks.open(fence.number)
            if opened.fence.is_open:
                logger.info("The cache is used: epoch %d", opened.fence.number, extra={"event_name": "cache_used"})

    async def _bind(self, fence: Fence, server: str) -> None:
        """Another server than the one of the epoch answers: nothing of what it holds is believed. Two processes that reach two servers would take
        turns; so each waits longer from time to time."""
        now = self._looks.now()
        if now - self._bound_at < self._bind_pause_s:
            return
        is_again = now - self._bound_at < 2 * BIND_PAUSE_MAX_S
        self._bind_pause_s = min(BIND_PAUSE_MAX_S, 2 * self._bind_pause_s if is_again else self._looks.period_s)
        self._bound_at = now
        await self._looks.raise_(fence.number, server=server)
        logger.info(
            "The cache is another server than before; its entries are not believed",
            extra={"event_name": "cache_other_server"},
        )


def _tokens(plan: Plan) -> list[tuple[str, bytes]]:
    return [(p.session_id, p.token) for p in plan.publications if p.token is not None]
