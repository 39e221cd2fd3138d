"""Operators: their credentials, what they find among everybody's sessions and devices, and what they end. Times stand still unless a test moves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, Final

import pytest

from sessile.engine.keys import KeyRing
from sessile.engine.operator_access import AccessRules, OperatorAccessEngine
from sessile.engine.operators import Act
from sessile.engine.oversight import AuditFilter, OversightEngine
from sessile.model.audit import AuditEvent, AuditPlace
from sessile.model.errors import AuthenticationRequired, InvalidValue, TooManyTries
from sessile.model.operator_access import OperatorEnd, Role
from sessile.model.platform import PlatformEntry
from sessile.model.presence import PresenceLease
from sessile.model.session import EndReason
from sessile.model.session_query import SessionState
from sessile.ports import Transaction
from sessile.testing.fakes import SeededRandom
from sessile.testing.lab import LEASE_S, Bench, Lab
from sessile.testing.store_contract.base import Contract

ACCESS: Final = AccessRules(
    idle=timedelta(seconds=100), absolute=timedelta(seconds=1000), tries_max=3, window=timedelta(seconds=60)
)
LABELS: Final = {"device:PHONE": "online degraded offline quiet", 'device:"100%_p" user:bob': "offline"}
ACT: Final = Act(subject="", action="end", reason="asked by phone", by="ada")


class OversightContract(Contract):
    """The rows behind the operators' console."""

    finds_labels: ClassVar[bool] = True
    """Whether sessions without a connection are found by their device's label; where that is encrypted they cannot be."""

    # -- credentials ------------------------------------------------------------------------------------------------------------------

    def _access(self, bench: Bench) -> OperatorAccessEngine:
        random = SeededRandom()
        return OperatorAccessEngine(bench.store, bench.clock, random, KeyRing([b"k" * 32], bench.store, random), ACCESS)

    async def test_a_token_is_good_once_for_two_who_come_at_once(self, lab: Lab) -> None:
        first = await lab.open()
        second = await lab.open() if self.is_shared else first
        mine, theirs = self._access(first), self._access(second)
        issued = await mine.issue("ada", Role.OPERATOR, timedelta(seconds=60), "root")
        session = await mine.sign_in(issued.token, "192.0.2.1")
        with pytest.raises(AuthenticationRequired) as refused:
            await theirs.sign_in(issued.token, "192.0.2.2")
        assert refused.value.reason == "ended:used"
        known = await theirs.authenticate(session.token, is_active=False)
        assert (known.operator, known.role, known.made_by) == ("ada", Role.OPERATOR, issued.credential.credential_id)
        assert [one.credential_id for one in await theirs.credentials()] == [known.credential_id]
        assert known.secret_hash not in (session.token.encode(), b"")
        with pytest.raises(AuthenticationRequired, match="Log in"):
            await theirs.authenticate(issued.token, is_active=False)

    async def test_a_session_ends_idle_absolutely_and_by_hand(self, lab: Lab) -> None:
        bench = await lab.open()
        access = self._access(bench)

        async def signed_in() -> str:
            issued = await access.issue("ada", Role.ADMIN, timedelta(seconds=60), "root")
            return (await access.sign_in(issued.token, "")).token

        async def refusal(token: str, *, is_active: bool = False) -> str:
            try:
                await access.authenticate(token, is_active=is_active)
            except AuthenticationRequired as error:
                return error.reason
            return ""

        token = await signed_in()
        lab.clock.advance(99)
        assert await refusal(token) == "", "looked at, and not moved"
        lab.clock.advance(1)
        assert await refusal(token, is_active=True) == "expired:idle"
        token = await signed_in()
        for _ in range(10):
            lab.clock.advance(99)
            assert await refusal(token, is_active=True) == ""
        lab.clock.advance(10)
        assert await refusal(token, is_active=True) == "expired:absolute"
        token = await signed_in()
        credential_id = token.partition(".")[0]
        assert await access.end(credential_id, OperatorEnd.REVOKED, "root", "left")
        assert not await access.end(credential_id, OperatorEnd.SIGNED_OUT, "root")
        assert await refusal(token) == await access.look(credential_id) == "ended:revoked"
        kinds = [event.type for event in await bench.audit("system")]
        assert kinds.count("operator_ended") == 1
        assert kinds.count("operator_signed_in") == 3

    async def test_tries_are_counted_by_address_and_stay_counted(self, lab: Lab) -> None:
        bench = await lab.open()
        access = self._access(bench)
        for _ in range(3):
            with pytest.raises(AuthenticationRequired):
                await access.sign_in("x", "192.0.2.1")
        issued = await access.issue("ada", Role.ADMIN, timedelta(seconds=600), "root")
        for _ in range(2):
            with pytest.raises(TooManyTries):
                await access.sign_in(issued.token, "192.0.2.1")
        assert (await access.sign_in(issued.token, "192.0.2.9")).credential.operator == "ada"
        lab.clock.advance(61)
        with pytest.raises(AuthenticationRequired):
            await access.sign_in("x", "192.0.2.1")
        kinds = [event.type for event in await bench.audit("system")]
        assert kinds.count("excess_rate_limit_exceeded") == 1
        assert kinds.count("operator_sign_in_refused") == 4

    async def test_old_credentials_are_forgotten(self, lab: Lab) -> None:
        bench = await lab.open()
        access = self._access(bench)
        issued = await access.issue("ada", Role.ADMIN, timedelta(seconds=60), "root")
        lab.clock.advance(86400 + 60)
        assert await bench.retention.forget_passing() == 0
        lab.clock.advance(1)
        assert await bench.retention.forget_passing() == 1
        assert await bench.store.read(lambda tx: tx.console.credential(issued.credential.credential_id)) is None

    # -- sessions ---------------------------------------------------------------------------------------------------------------------

    async def _people(self, bench: Bench) -> dict[str, str]:
        """One session in each state, by its name."""
        made: dict[str, str] = {}
        await bench.platforms.sync(
            "ada", [PlatformEntry(platform_id=f"p{n}", name=f"Shop {n}", kind="shop") for n in (1, 2)]
        )
        for name, user in (
            ("online", "ada"),
            ("degraded", "ada"),
            ("offline", "bob"),
            ("quiet", None),
            ("ended", "ada%"),
        ):
            label = {"label": f"{name} 100%_phone"}
            made[name] = (await bench.sessions.create(user, device=label)).session.session_id
            if name != "ended":
                bench.clock.advance(1)  # type: ignore[attr-defined]
        await bench.sessions.end(made["ended"], EndReason.LOGOUT)
        for name, node in (("online", "a"), ("degraded", "b"), ("offline", "a")):
            await bench.presence.connected([_lease(bench, made[name], node)])
        document = await bench.document()
        behind = replace(
            _lease(bench, made["degraded"], "b"), document_id=document.document.document_id, is_following=False
        )
        await bench.presence.connected([behind])
        await bench.presence.disconnected([_lease(bench, made["offline"], "a")])
        return made

    async def test_what_operators_find(self, lab: Lab) -> None:
        bench = await lab.open()
        made = await self._people(bench)
        names = {handle: name for name, handle in made.items()}
        oversight = OversightEngine(bench.store, bench.clock)

        async def found(query: str, **more: Any) -> list[str]:
            given = {"after": None, "limit": 10, "newest_first": False, **more}
            page = await oversight.find(query, **given)
            assert page.total == len(page.sessions) or more, query
            assert all(names[one.session.session_id] == one.state for one in page.sessions)
            return [names[one.session.session_id] for one in page.sessions]

        for query, expected in {
            "": "online degraded offline quiet",
            "state:live,ended": "online degraded offline quiet ended",
            "state:online": "online",
            "state:degraded": "degraded",
            "state:offline,quiet": "offline quiet",
            "state:expired": "",
            "user:ada": "online degraded",
            "user:a* state:live,ended": "online degraded ended",
            'user:"ada%" state:ended': "ended",
            "ada": "online degraded",
            "user:none": "quiet",
            "platform:p1": "online degraded",
            "platform:p2": "",
            "platform:none": "offline quiet",
            "node:a": "online",
            "node:b user:ada": "degraded",
            "device:LAPT": "online degraded",
            **(LABELS if self.finds_labels else {}),
            "device:100x": "",
            "age:>2s": "online degraded",
            "age:<3s": "offline quiet",
            "idle:<1d idle:>0s": "online degraded offline quiet",
            f"id:{made['quiet']}": "quiet",
            f"{made['quiet'][:30]}": "quiet",
        }.items():
            assert " ".join(await found(query)) == expected, query
        page = await oversight.find("", after=None, limit=3, newest_first=True)
        assert [names[one.session.session_id] for one in page.sessions] == ["quiet", "offline", "degraded"]
        assert page.total == 4
        assert await found("", after=page.after, newest_first=True) == ["online"]
        states = await oversight.states()
        assert states == {SessionState(name): 1 for name in ("online", "degraded", "offline", "quiet")}
        assert await oversight.ids("user:ada", 1) == ([made["online"]], 2)
        lab.clock.advance(LEASE_S + 1)
        assert (await oversight.find("state:online", after=None, limit=9, newest_first=True)).total == 0
        lab.clock.advance(1000)
        assert await oversight.states() == {}
        assert (await oversight.find("state:expired", after=None, limit=9, newest_first=True)).total == 4

    async def test_what_is_not_understood_is_said(self, lab: Lab) -> None:
        oversight = OversightEngine((await lab.open()).store, lab.clock)
        for query in ("colour:red", "state:green", "age:5m", "age:>5y", 'user:"x', "user:", "id:x", "x" * 501, "a\nb"):
            with pytest.raises(InvalidValue) as refused:
                await oversight.find(query, after=None, limit=1, newest_first=True)
            assert refused.value.path == "/q"

    async def test_devices_and_nodes(self, lab: Lab) -> None:
        bench = await lab.open()
        made = await self._people(bench)
        oversight = OversightEngine(bench.store, bench.clock)
        assert await oversight.nodes() == [("a", 1, 1, 2), ("b", 1, 1, 2)]
        first = await oversight.devices("", after=(), limit=1)
        assert [lease.session_id for lease in first.leases] == [made["online"]]
        assert (first.total, first.users) == (2, {made["online"]: "ada"})
        assert first.after is not None
        second = await oversight.devices("", after=first.after.split("."), limit=1)
        assert [lease.session_id for lease in second.leases] == [made["degraded"]]
        for query, total in {
            "node:a": 1,
            "device:LAP": 2,
            "lap node:b": 1,
            "device:phone": 0,
            f"session:{made['online']}": 1,
        }.items():
            assert (await oversight.devices(query, after=(), limit=9)).total == total, query

    async def test_many_end_with_who_did_it_and_why(self, lab: Lab) -> None:
        bench = await lab.open()
        made = await self._people(bench)
        oversight = OversightEngine(bench.store, bench.clock)
        bench.told.clear()
        ended = await oversight.end_sessions([*made.values(), "01900000-0000-7000-8000-0000000000ff"], ACT)
        assert (ended.ended, ended.already_over, ended.sockets) == (4, 2, 4)
        again = await oversight.end_sessions(list(made.values()), ACT)
        assert (again.ended, again.already_over) == (0, 5)
        for name, handle in made.items():
            acted = [e for e in await bench.audit(f"session:{handle}") if e.type == "operator_acted"]
            if name == "ended":
                assert acted == []
                continue
            (event,) = acted
            assert event.data == {
                "action": "end", "reason": "asked by phone", "by": "ada", "before": {"state": name}, "after": {"state": "ended"},
            }  # fmt: skip
            assert event.session_id == handle
        assert sorted(e.key for e in bench.told if e.kind == "session_ended") == sorted(
            handle for name, handle in made.items() if name != "ended"
        )
        with pytest.raises(InvalidValue):
            await oversight.end_sessions(list(made.values()), replace(ACT, reason="a\nb"))

    async def test_the_audit_log_backwards(self, lab: Lab) -> None:
        bench = await lab.open()
        oversight = OversightEngine(bench.store, bench.clock)
        start = lab.clock.now()
        for number in range(6):
            stream = "ab"[number % 2]
            at = start + timedelta(seconds=number // 2)
            await bench.store.write(
                _note, AuditEvent(stream=stream, type=f"t{number % 3}", at=at, data={"by": f"o{number}"})
            )
        every = await bench.store.read(_before, None, 10)
        assert every == sorted(every, key=AuditPlace.of, reverse=True)
        assert len(every) == 6
        page = await oversight.audit(AuditFilter(), None, 4)
        rest = await oversight.audit(AuditFilter(), page.before, 4)
        assert [*page.events, *rest.events] == every
        assert rest.before is None
        for meant, positions in (
            (AuditFilter(stream="a"), [5 - 1, 2, 0]),
            (AuditFilter(type="t1"), [4, 1]),
            (AuditFilter(by="o3"), [3]),
            (AuditFilter(since=start + timedelta(seconds=2)), [5, 4]),
            (AuditFilter(until=start + timedelta(seconds=1)), [1, 0]),
            (AuditFilter(stream="b", until=start + timedelta(seconds=2)), [3, 1]),
        ):
            found = (await oversight.audit(meant, None, 10)).events
            assert [int(e.data["by"][1:]) for e in found] == positions, meant
        with pytest.raises(InvalidValue):
            await oversight.audit(AuditFilter(), "nonsense", 1)


def _lease(bench: Bench, session_id: str, node_id: str) -> PresenceLease:
    now = bench.clock.now()
    return PresenceLease(
        node_id=node_id,
        session_id=session_id,
        device_id=f"01900000-0000-7000-8000-00000000000{node_id}",
        label="Laptop",
        tabs=2,
        seen_at=now,
        lease_until=now + timedelta(seconds=LEASE_S),
    )


def _note(tx: Transaction, event: AuditEvent) -> None:
    tx.audit([event])


def _before(tx: Transaction, place: AuditPlace | None, limit: int) -> Sequence[AuditEvent]:
    return tx.console.audit_before(place, limit)
