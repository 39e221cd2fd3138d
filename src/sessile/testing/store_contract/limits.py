"""How often somebody may do something: exact over all processes, strict at the window, and told when it is too often."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from sessile.engine.documents import DocumentEngine
from sessile.engine.keys import KeyRing
from sessile.engine.limits import Quota, TryLimit
from sessile.engine.platforms import PlatformEngine
from sessile.model.document import Actor
from sessile.model.errors import InvalidValue, TooManyTries
from sessile.model.events import EventKind
from sessile.model.platform import PlatformEntry
from sessile.testing.lab import Bench, Lab, failed, succeeded
from sessile.testing.shows import shows_security
from sessile.testing.store_contract.base import Contract

TRIES = 3
WINDOW = timedelta(seconds=300)


def limit_of(bench: Bench, lab: Lab, tries_max: int = TRIES) -> TryLimit:
    return TryLimit(bench.store, lab.clock, KeyRing([b"the key of a test"], bench.store, lab.random), tries_max, WINDOW)


class LimitContract(Contract):
    """Rates."""

    @shows_security("C-9", "V16.5.3", "V15.4.2")
    async def test_no_more_tries_than_the_limit_however_they_come(self, lab: Lab) -> None:
        first = await lab.open()
        other = await lab.open() if self.is_shared else first
        limits = [limit_of(first, lab), limit_of(other, lab)]
        tries = [partial(limits[number % 2].spend, "ada", "192.0.2.1") for number in range(TRIES + 2)]
        outcomes = await lab.together(*tries)
        assert len(succeeded(outcomes)) == TRIES
        refused = failed(outcomes)
        assert [type(error) for error in refused] == [TooManyTries, TooManyTries]
        for error in refused:
            assert isinstance(error, TooManyTries)
            assert error.retry_after_s == 300

    @shows_security("C-9")
    async def test_a_name_from_elsewhere_and_another_name_have_tries_of_their_own(self, lab: Lab) -> None:
        bench = await lab.open()
        limit = limit_of(bench, lab)
        for _ in range(TRIES):
            await limit.spend("Ada ", "192.0.2.1")
        for name in ("ada", "ADA"):
            with pytest.raises(TooManyTries):
                await limit.spend(name, "192.0.2.1")
        await limit.spend("ada", "192.0.2.2")
        await limit.spend("eve", "192.0.2.1")
        lab.clock.advance(WINDOW.total_seconds())
        await limit.spend("ada", "192.0.2.1")
        await limit_of(bench, lab, 0).spend("ada", "192.0.2.1")
        with pytest.raises(InvalidValue):
            await limit.spend("a" * 300, "192.0.2.1")

    @shows_security("C-9")
    async def test_many_names_from_one_address_and_many_addresses_for_one_name_come_to_an_end(self, lab: Lab) -> None:
        for subject in ("address", "name"):
            bench = await lab.open()
            limit = limit_of(bench, lab, 1)
            for number in range(10):
                name, address = (
                    (f"n{number}", "198.51.100.7") if subject == "address" else ("bob", f"203.0.113.{number}")
                )
                await limit.spend(name, address)
            bench.told.clear()
            last = ("n10", "198.51.100.7") if subject == "address" else ("bob", "203.0.113.10")
            for _ in range(3):
                with pytest.raises(TooManyTries):
                    await limit.spend(*last)
                lab.clock.advance(2)
            told = [(event.key, event.detail) for event in bench.told if event.kind is EventKind.ANOMALY]
            assert told[0] == ("", "excess_rate_limit_exceeded")
            noted = [event.data for event in await bench.audit("system") if event.type == "excess_rate_limit_exceeded"]
            assert [data["limit"] for data in noted] == ["login"] * len(noted)
            assert [data["of"] for data in noted].count(subject) == 1, "once, not with each try"
            assert not [data for data in noted if "bob" in str(data) or "198.51" in str(data)], "nobody is named"

    @shows_security("V16.5.3")
    async def test_platforms_are_switched_so_often_and_no_more(self, lab: Lab) -> None:
        bench = await lab.open()
        platforms = PlatformEngine(bench.store, lab.clock, Quota("switches", 2))
        await platforms.sync(
            "ada", [PlatformEntry(platform_id="a", name="A", is_default=True), PlatformEntry(platform_id="b", name="B")]
        )
        session = (await bench.sessions.create("ada")).session.session_id
        await platforms.switch(session, "b")
        await platforms.switch(session, "b")  # it is there already
        await platforms.switch(session, "a")
        for _ in range(2):
            with pytest.raises(TooManyTries):
                await platforms.switch(session, "b")
        assert (await bench.sessions.get(session)).platform_id == "a"
        lab.clock.advance(900)
        await bench.sessions.extend(session)
        lab.clock.advance(900)
        await bench.sessions.extend(session)
        lab.clock.advance(900)
        await bench.sessions.extend(session)
        lab.clock.advance(900)
        assert (await platforms.switch(session, "b")).platform_id == "b"

    @shows_security("V16.5.3")
    async def test_so_many_documents_are_made_and_no_more(self, lab: Lab) -> None:
        bench = await lab.open()
        documents = DocumentEngine(bench.store, lab.clock, lab.random, quota=Quota("documents", 2))
        ada = Actor(user_id="ada", session_id=(await bench.sessions.create("ada")).session.session_id)
        eve = Actor(user_id="eve", session_id=(await bench.sessions.create("eve")).session.session_id)
        for name in ("a", "b", "a"):
            await documents.open(ada, name, {})
        for _ in range(2):
            with pytest.raises(TooManyTries):
                await documents.open(ada, "c", {})
        assert {document.name for document in await documents.list(ada)} == {"a", "b"}
        await documents.open(eve, "c", {})
        await documents.open(Actor(user_id="ada"), "made by the application", {})
