"""Everything at the same moment: threads in the blocking lane, tasks in the asyncio lane, started at a barrier.

Each of these went wrong in somebody's session store: a save after a delete, a create over an existing id, a blob over another blob.
Where two stores can be on the same rows, half of the callers use the second one.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from sessile.model.document import CheckpointKind, Outcome, Verdict
from sessile.model.errors import SessionCreationError, SessionEnded, SessionNotFound, VersionConflict
from sessile.model.session import EndReason, Issued, Session
from sessile.model.values import decode
from sessile.ports import Transaction
from sessile.testing.lab import ADA, PHONE, Bench, Lab, change, failed, put, succeeded
from sessile.testing.shows import shows, shows_security
from sessile.testing.store_contract.base import Contract

RACERS = 6
ROUNDS = 5
Calls = list[Callable[[], Coroutine[Any, Any, Any]]]


class RaceContract(Contract):
    """The race list."""

    async def _benches(self, lab: Lab) -> tuple[Bench, Bench]:
        first = await lab.open()
        return first, await lab.open() if self.is_shared else first

    @shows_security("V-13", "V15.4.2")
    async def test_changes_of_different_values_all_survive(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        session = (await benches[0].sessions.create("ada")).session

        def write(number: int) -> Callable[[], Coroutine[Any, Any, Session]]:
            operation = ("merge", ("basket",), {f"item {number}": number})
            return lambda: benches[number % 2].sessions.change_data(session.session_id, [operation], "ada")

        outcomes = await lab.together(*(write(number) for number in range(RACERS)))
        assert failed(outcomes) == []
        now = await benches[0].sessions.get(session.session_id)
        assert decode(now.data) == {"basket": {f"item {number}": number for number in range(RACERS)}}
        assert now.version == session.version + RACERS
        assert sorted(changed.version for changed in succeeded(outcomes)) == list(range(2, RACERS + 2))

    @shows_security("V7.4.1", "V-14")
    async def test_a_write_does_not_bring_an_ended_session_back(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        for _ in range(ROUNDS):
            handle = (await benches[0].sessions.create("ada")).session.session_id
            seen = benches[0].sessions.touched(await benches[0].sessions.get(handle))
            assert seen is not None
            touch = [seen]
            calls: Calls = [
                partial(benches[0].sessions.change_data, handle, [("set", ("a",), 1)], "ada"),
                partial(benches[1].sessions.end, handle, EndReason.LOGOUT),
                partial(benches[0].sessions.touch, touch),
                partial(benches[1].sessions.rotate, handle),
            ]
            outcomes = await lab.together(*calls)
            assert outcomes[1] is True
            assert {type(error) for error in failed(outcomes)} <= {SessionEnded}
            row = await benches[0].store.read(_session, handle)
            assert row is not None
            assert row.end_reason is EndReason.LOGOUT

    @shows("A03")
    async def test_a_session_ends_once(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        handle = (await benches[0].sessions.create("ada")).session.session_id
        outcomes = await lab.together(
            *(partial(benches[n % 2].sessions.end, handle, EndReason.LOGOUT) for n in range(RACERS))
        )
        assert sorted(outcomes, key=bool) == [False] * (RACERS - 1) + [True]
        audited = [event.type for event in await benches[0].audit(f"session:{handle}")]
        assert audited == ["session_created", "session_ended"]

    @shows_security("V-3")
    async def test_of_colliding_creates_one_succeeds(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        template = (await benches[0].sessions.create("ada")).session
        for round_number in range(ROUNDS):
            handle = f"01900000-0000-7000-8000-00000000000{round_number}"
            outcomes = await lab.together(*(partial(_insert, benches[n % 2], template, handle, n) for n in range(4)))
            assert len(succeeded(outcomes)) == 1
            assert {type(error) for error in failed(outcomes)} == {SessionCreationError}
            row = await benches[0].store.read(_session, handle)
            assert row is not None
            assert row.user_id == succeeded(outcomes)[0]

    async def test_parallel_logins_leave_one_current_token(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        for _ in range(ROUNDS):
            first = await benches[0].sessions.create(None)
            handle = first.session.session_id
            outcomes = await lab.together(*(partial(benches[n % 2].sessions.login, handle, "ada") for n in range(4)))
            issued: list[Issued] = succeeded(outcomes)
            assert len(issued) == 4
            assert {one.session.session_id for one in issued} == {handle}
            standing = [(await benches[0].sessions.authenticate(one.token)).standing for one in issued]
            assert sorted(standing) == ["current", "rotated", "rotated", "rotated"]

    @shows_security("V-14", "V15.4.2")
    async def test_rotations_and_a_logout_leave_no_token_that_works(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        for _ in range(ROUNDS):
            first = await benches[0].sessions.create("ada")
            handle = first.session.session_id
            calls: Calls = [partial(benches[n % 2].sessions.rotate, handle) for n in range(3)]
            calls.append(partial(benches[1].sessions.end, handle, EndReason.LOGOUT))
            outcomes = await lab.together(*calls)
            assert outcomes[-1] is True
            for token in (first.token, *(one.token for one in succeeded(outcomes) if isinstance(one, Issued))):
                try:
                    await benches[0].sessions.authenticate(token)
                except (SessionEnded, SessionNotFound):
                    continue
                raise AssertionError("a token of an ended session was accepted")

    @shows("A05")
    @shows_security("V-14")
    async def test_end_all_and_logins_leave_only_what_came_after(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        for _ in range(ROUNDS):
            await benches[0].sessions.create("ada")
            calls: Calls = [partial(benches[n % 2].sessions.login, None, "ada") for n in range(3)]
            calls.append(partial(benches[1].sessions.end_of_user, "ada", None, EndReason.REVOKED))
            outcomes = await lab.together(*calls)
            assert failed(outcomes) == []
            live = {session.session_id for session in await benches[0].sessions.of_user("ada")}
            made = {one.session.session_id for one in outcomes if isinstance(one, Issued)}
            assert live <= made
            assert outcomes[-1] == 1 + len(made - live), "it counted exactly those it ended"
            await benches[0].sessions.end_of_user("ada", None, EndReason.REVOKED)

    async def test_opening_a_document_at_once_makes_one(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        outcomes = await lab.together(
            *(partial(benches[n % 2].document, {"by": n}, ADA if n % 3 else PHONE) for n in range(RACERS))
        )
        opened = succeeded(outcomes)
        assert failed(outcomes) == []
        assert len({one.document.document_id for one in opened}) == 1
        assert [one.created for one in opened].count(True) == 1
        assert {one.device_no for one in opened} == {1, 2}
        assert len({one.document.state["by"] for one in opened}) == 1

    async def test_appends_at_once_get_one_version_each(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        opened = await benches[0].document()
        document_id = opened.document.document_id

        def add(number: int) -> Callable[[], Coroutine[Any, Any, Any]]:
            operations: list[Mapping[str, Any]] = [
                {"op": "append", "path": "/l", "item": {"id": number}},
                {"op": "increment", "path": "/n", "by": 1},
            ]
            return lambda: benches[number % 2].changes.change(ADA, document_id, operations, None, None)

        outcomes = await lab.together(*(add(number) for number in range(RACERS * 2)))
        assert failed(outcomes) == []
        document = await benches[1].documents.get(ADA, document_id)
        assert (document.version, document.state["n"]) == (RACERS * 2, RACERS * 2)
        order = [item["id"] for item in document.state["l"]]
        by_version = sorted(succeeded(outcomes), key=lambda logged: logged.version)
        assert order == [logged.operations[0]["item"]["id"] for logged in by_version]
        log = await benches[0].store.read(lambda tx: tx.documents.changes(document_id, after=0))
        assert [logged.version for logged in log] == list(range(1, RACERS * 2 + 1))

    async def test_a_change_sent_over_and_over_is_taken_once(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        document_id = (await benches[0].document()).document.document_id
        count = {"op": "increment", "path": "/n", "by": 1}
        for seq in range(1, ROUNDS + 1):
            one = change(ADA, seq, seq - 1, count)
            outcomes: list[Outcome | BaseException] = await lab.together(
                *(partial(benches[n % 2].send, ADA, document_id, one) for n in range(4))
            )
            assert {outcome.logged[0].version for outcome in succeeded(outcomes)} == {seq}
        document = await benches[0].documents.get(ADA, document_id)
        assert (document.version, document.state) == (ROUNDS, {"n": ROUNDS})

    async def test_two_devices_keep_their_own_order(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        document_id = (await benches[0].document()).document.document_id

        async def write(bench: Bench, number: int) -> None:
            actor = (ADA, PHONE)[number]
            for seq in range(1, 11):
                await bench.take(actor, document_id, seq, 0, put(f"/{number}/{seq}", seq))

        outcomes = await lab.together(lambda: write(benches[0], 0), lambda: write(benches[1], 1))
        assert failed(outcomes) == []
        log = await benches[0].store.read(lambda tx: tx.documents.changes(document_id, after=0))
        assert [logged.version for logged in log] == list(range(1, 21))
        for actor in (ADA, PHONE):
            assert [logged.seq for logged in log if logged.device_id == actor.device_id] == list(range(1, 11))
        assert {logged.verdict for logged in log} == {Verdict.APPLIED}

    async def test_a_restore_among_changes_loses_none_of_them(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        document_id = (await benches[0].document({"a": 0})).document.document_id
        made = await benches[0].checkpoints.create(ADA, document_id, "", CheckpointKind.MANUAL, None, None)

        async def write() -> None:
            for seq in range(1, 11):
                await benches[0].take(PHONE, document_id, seq, 0, put(f"/p{seq}", seq))

        async def restore() -> int:
            restored = await benches[1].checkpoints.restore(
                ADA, document_id, made.checkpoint_id, None, None, dry_run=False
            )
            assert restored.before is not None
            assert restored.before.version == restored.document.version - 1
            return restored.document.version

        outcomes = await lab.together(write, restore)
        assert failed(outcomes) == []
        restored_at = outcomes[1]
        log = await benches[0].store.read(lambda tx: tx.documents.changes(document_id, after=0))
        for logged in log:
            before = logged.version < (restored_at or 0)
            expected = Verdict.APPLIED if before or logged.version == restored_at else Verdict.CONFLICT
            assert logged.verdict is expected
        conflicts = await benches[0].documents.conflicts(ADA, document_id)
        applied = {logged.seq for logged in log if logged.verdict is Verdict.APPLIED and logged.seq}
        assert {conflict.loser for conflict in conflicts} == set(range(1, 11)) - applied
        assert (await benches[0].documents.get(ADA, document_id)).state == {"a": 0}

    async def test_of_renames_to_one_name_one_succeeds(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        ids = [(await benches[0].documents.open(ADA, f"form {n}", {})).document.document_id for n in range(4)]
        outcomes = await lab.together(
            *(partial(benches[n % 2].documents.rename, ADA, ids[n], "the one") for n in range(4))
        )
        assert len(succeeded(outcomes)) == 1
        assert {type(error) for error in failed(outcomes)} == {VersionConflict}

    async def test_a_lease_is_given_to_one(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        for round_number in range(ROUNDS):
            name = f"sweep {round_number}"
            outcomes = await lab.together(
                *(partial(benches[n % 2].store.write, _lease, lab, name, str(n)) for n in range(RACERS))
            )
            assert sorted(outcomes, key=bool) == [False] * (RACERS - 1) + [True]

    @shows("A04")
    @shows_security("V-14")
    async def test_sweepers_end_each_session_once(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        for _ in range(20):
            await benches[0].sessions.create("ada")
        lab.clock.advance(10_000)
        outcomes = await lab.together(*(partial(benches[n % 2].sessions.sweep, 15) for n in range(4)))
        assert sum(succeeded(outcomes)) == 20


async def _insert(bench: Bench, template: Session, handle: str, number: int) -> str:
    session = replace(template, session_id=handle, user_id=f"user {number}")
    await bench.store.write(lambda tx: tx.sessions.insert(session))
    return f"user {number}"


def _lease(tx: Transaction, lab: Lab, name: str, holder: str) -> bool:
    return tx.lease(name, holder, lab.clock.now(), lab.clock.now() + timedelta(seconds=60))


def _session(tx: Transaction, handle: str) -> Session | None:
    return tx.sessions.get(handle)
