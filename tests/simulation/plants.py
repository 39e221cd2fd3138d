"""Errors that are planted into the real code, or into the steps that the cache promises; each must be found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final
from unittest.mock import patch

from sessile.engine.caching import ABSENT_TTL_S, Plan, SessionCache
from sessile.engine.looks import Look, Looks
from sessile.model.fence import ENTRY_TTL_S, CachePlace, CacheUnavailable, Fence, Publication, SessionChanges
from sessile.model.session import Session
from sessile.model.session_format import pack_session
from sessile.ports import Transaction
from sessile.testing.fake_cache import FakeCache
from tests.simulation import world

Plant = Callable[[], AbstractContextManager[Any]]


def _no_raise_in_the_commit() -> AbstractContextManager[Any]:
    return patch.object(SessionCache, "within", lambda _self, _tx, _plan: None)


def _no_wait() -> AbstractContextManager[Any]:
    return patch.object(Looks, "left_s", lambda _self, _fence: 0.0)


def _ends_without_wait() -> AbstractContextManager[Any]:
    async def settle_closed(_self: SessionCache, _plan: Plan, _fence: Fence) -> None:
        return

    return patch.object(SessionCache, "_settle_closed", settle_closed)


def _failed_publication_is_ignored() -> AbstractContextManager[Any]:
    settle = SessionCache.settle

    async def ignoring(self: SessionCache, plan: Plan) -> None:
        if plan.is_marked and plan.place is not None:
            try:
                await self._cache.publish(plan.place, plan.publications)
            except CacheUnavailable:
                return
        await settle(self, plan)

    return patch.object(SessionCache, "settle", ignoring)


def _no_second_look() -> AbstractContextManager[Any]:
    async def settle_late(self: SessionCache, plan: Plan) -> None:
        if not plan.is_marked and self._looks.last is not None and not self._looks.last.fence.is_open:
            await self._settle_closed(plan, self._looks.last.fence)

    return patch.object(SessionCache, "_settle_late", settle_late)


def _old_look_is_good_enough() -> AbstractContextManager[Any]:
    async def settle_late(self: SessionCache, plan: Plan, late: Any = SessionCache._settle_late) -> None:
        if not plan.is_marked:
            await late(self, plan)

    return patch.object(SessionCache, "_settle_late", settle_late)


def _look_never_grows_old() -> AbstractContextManager[Any]:
    return patch.object(Looks, "is_usable", lambda _self, look: look.fence.is_open)


def _look_aged_from_its_answer() -> AbstractContextManager[Any]:
    note = Looks.note

    def noted(self: Looks, fence: Fence, _sent_at: float) -> Look:
        return note(self, fence, self.now())

    return patch.object(Looks, "note", noted)


def _read_before_the_lease() -> AbstractContextManager[Any]:
    async def fill(self: SessionCache, place: CachePlace, session_id: str) -> Session | None:
        session = await self._truth.get(session_id)
        token = self._random.token_bytes(12)
        if await self._cache.lease(place, session_id, token):
            entry, ttl_s = (pack_session(session), ENTRY_TTL_S) if session else (b"", ABSENT_TTL_S)
            await self._cache.fill(place, session_id, token, entry, ttl_s)
        return session

    return patch.object(SessionCache, "_fill", fill)


def _filled_without_the_lease() -> AbstractContextManager[Any]:
    async def fill(
        self: FakeCache, place: CachePlace, session_id: str, _token: bytes, entry: bytes, _ttl_s: float
    ) -> None:
        self._ask("fill", place)
        found = self.at.entries.get((place.epoch, session_id), b"L")
        if found[:1] == b"L":
            self.at.entries[place.epoch, session_id] = b"V" + entry

    return patch.object(FakeCache, "fill", fill)


def _publishes(rule: Callable[[bytes | None, Publication], bytes | None]) -> Plant:
    """`rule` says what the key holds afterwards."""

    def publish_one(self: FakeCache, key: tuple[str, str], publication: Publication) -> None:
        kept = rule(self.at.entries.get(key), publication)
        if kept is None:
            self.at.entries.pop(key, None)
        else:
            self.at.entries[key] = kept

    return lambda: patch.object(FakeCache, "_publish_one", publish_one)


def _without_compare(found: bytes | None, publication: Publication) -> bytes | None:
    return b"V" + publication.entry if publication.token is not None else None


def _keeps_a_lease(found: bytes | None, publication: Publication) -> bytes | None:
    if publication.token is not None and found == b"M" + publication.token:
        return b"V" + publication.entry
    return found if found is not None and found[:1] in {b"M", b"L"} else None


def _keeps_a_value(found: bytes | None, publication: Publication) -> bytes | None:
    if publication.token is not None and found == b"M" + publication.token:
        return b"V" + publication.entry
    return found if found is not None and found[:1] in {b"M", b"V"} else None


def _puts_into_an_absent_key(found: bytes | None, publication: Publication) -> bytes | None:
    if publication.token is not None and (found is None or found == b"M" + publication.token):
        return b"V" + publication.entry
    return found if found is not None and found[:1] == b"M" else None


def _opened_at_once() -> AbstractContextManager[Any]:
    async def keep(self: SessionCache) -> None:
        fence = (await self._looks.look()).fence
        try:
            server = await self._cache.server()
        except CacheUnavailable:
            return
        if fence.server != server:
            await self._bind(fence, server)
        elif not fence.is_open:
            await self._looks.open(fence.number)

    return patch.object(SessionCache, "keep", keep)


def _any_server_is_believed() -> AbstractContextManager[Any]:
    call = world.SimCache._call

    async def called(self: world.SimCache, name: str, place: CachePlace, act: Callable[[], Any]) -> Any:
        return await call(self, name, CachePlace(self.at.identity, place.epoch), act)

    def ask(self: FakeCache, name: str, _place: CachePlace | None = None) -> None:
        self.calls.append(name)

    patched = patch.object(world.SimCache, "_call", called)
    also = patch.object(FakeCache, "_ask", ask)
    return _both(patched, also)


def _no_epoch_in_the_key() -> AbstractContextManager[Any]:
    def made(self: Fence) -> None:
        object.__setattr__(self, "place", CachePlace(self.server, "") if self.is_open and self.server else None)

    return patch.object(Fence, "__post_init__", made)


def _over_already_is_answered_at_once() -> AbstractContextManager[Any]:
    return patch.object(SessionChanges, "confirmed", lambda _self, _sessions: None)


def _published_before_the_commit() -> AbstractContextManager[Any]:
    mark = SessionCache.mark

    async def marked(self: SessionCache, plans: Sequence[Plan]) -> None:
        await mark(self, plans)
        for plan in plans:
            if plan.is_marked and plan.place is not None:
                try:
                    await self._cache.publish(plan.place, plan.publications)
                except CacheUnavailable:
                    continue

    return patch.object(SessionCache, "mark", marked)


def _touch_puts_what_it_read() -> AbstractContextManager[Any]:
    plan = SessionCache.plan

    def planned(self: SessionCache, tx: Transaction, changes: SessionChanges) -> Plan | None:
        made = plan(self, tx, changes)
        if made is not None and changes.touched:
            session = tx.sessions.get(next(iter(changes.touched)))
            assert session is not None
            made.publications = [Publication(session.session_id, b"", pack_session(session), ENTRY_TTL_S)]
        return made

    def publish_one(self: FakeCache, key: tuple[str, str], publication: Publication) -> None:
        if publication.token == b"":
            self.at.entries[key] = b"V" + publication.entry
        else:
            self.at.entries.update(_after(self, key, publication))

    def _after(self: FakeCache, key: tuple[str, str], publication: Publication) -> dict[tuple[str, str], bytes]:
        kept = _right(self.at.entries.pop(key, None), publication)
        return {} if kept is None else {key: kept}

    patched = patch.object(SessionCache, "plan", planned)
    tokens = patch("sessile.engine.caching._tokens", _no_empty_tokens)
    return _both(_both(patched, tokens), patch.object(FakeCache, "_publish_one", publish_one))


def _no_empty_tokens(plan: Plan) -> list[tuple[str, bytes]]:
    return [(p.session_id, p.token) for p in plan.publications if p.token]


def _right(found: bytes | None, publication: Publication) -> bytes | None:
    if publication.token is not None and found == b"M" + publication.token:
        return b"V" + publication.entry
    return found if found is not None and found[:1] == b"M" else None


class _both:  # noqa: N801 - reads as what it does
    def __init__(self, first: AbstractContextManager[Any], second: AbstractContextManager[Any]) -> None:
        self._both = (first, second)

    def __enter__(self) -> None:
        for one in self._both:
            one.__enter__()

    def __exit__(self, *error: object) -> None:
        for one in reversed(self._both):
            one.__exit__(*error)


PLANTS: Final[dict[str, Plant]] = {
    "the commit does not raise the fence": _no_raise_in_the_commit,
    "nobody waits": _no_wait,
    "an end does not wait": _ends_without_wait,
    "a failed publication is ignored": _failed_publication_is_ignored,
    "no second look after the commit": _no_second_look,
    "an old look is good enough for a writer": _old_look_is_good_enough,
    "a look never grows old": _look_never_grows_old,
    "a look ages from its answer": _look_aged_from_its_answer,
    "the truth is read before the lease": _read_before_the_lease,
    "filled without the lease": _filled_without_the_lease,
    "published without a compare": _publishes(_without_compare),
    "a publication keeps a lease": _publishes(_keeps_a_lease),
    "a publication keeps a value": _publishes(_keeps_a_value),
    "a publication fills an absent key": _publishes(_puts_into_an_absent_key),
    "opened at once": _opened_at_once,
    "any server is believed": _any_server_is_believed,
    "no epoch in the key": _no_epoch_in_the_key,
    "what is over is answered at once": _over_already_is_answered_at_once,
    "published before the commit": _published_before_the_commit,
    "a touch puts what it read": _touch_puts_what_it_read,
}
