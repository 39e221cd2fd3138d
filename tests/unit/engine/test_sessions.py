"""What the engine of sessions does besides the contract of stores: what it writes to the audit log, what it never shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sessile.model.audit import fault_of
from sessile.model.document import Actor
from sessile.model.errors import InvalidValue, SessionEnded
from sessile.model.session import EndReason
from sessile.runtime.lane import drive
from sessile.stores.memory import MemoryStore
from sessile.testing.fakes import FakeClock, SeededRandom
from sessile.testing.lab import RULES, Bench


@pytest.fixture
def bench() -> Bench:
    return Bench(MemoryStore(), FakeClock(), SeededRandom())


def test_every_transition_leaves_one_event_and_a_read_leaves_none(bench: Bench) -> None:
    first = drive(bench.sessions.create(None))
    handle = first.session.session_id
    for _ in range(3):
        drive(bench.sessions.authenticate(first.token))
        drive(bench.sessions.get(handle))
    drive(bench.sessions.login(handle, "ada"))
    drive(bench.sessions.login(handle, "ada"))
    drive(bench.sessions.rotate(handle))
    drive(bench.sessions.end(handle, EndReason.LOGOUT))
    events = drive(bench.audit(f"session:{handle}"))
    assert [event.type for event in events] == [
        "session_created", "session_login", "session_renewed", "session_renewed", "session_ended",
    ]  # fmt: skip
    assert [event.user_id for event in events] == [None, "ada", "ada", "ada", "ada"]
    assert events[-1].data == {"reason": "logout"}
    assert all(fault_of(event, event.position, event.previous_hash) is None for event in events)


def test_no_secret_is_in_a_record_an_event_or_a_repr(bench: Bench) -> None:
    issued = drive(bench.sessions.create("ada", data=b'{"pin":"swordfish"}'))
    rotated = drive(bench.sessions.rotate(issued.session.session_id))
    secrets = [issued.token.partition(".")[2], rotated.token.partition(".")[2]]
    session = drive(bench.sessions.authenticate(rotated.token))
    shown = [repr(issued), repr(rotated), repr(session), repr(drive(bench.audit(f"session:{session.session_id}")))]
    for secret in (*secrets, "swordfish", session.token_hash.hex(), repr(session.token_hash)):
        assert all(secret not in text for text in shown)
    assert all(secret.encode() not in session.token_hash for secret in secrets)


def test_tokens_and_handles_do_not_repeat(bench: Bench) -> None:
    issued = [drive(bench.sessions.create("ada")) for _ in range(200)]
    assert len({one.token for one in issued}) == len({one.session.session_id for one in issued}) == 200


def test_the_public_facts_of_a_user_are_the_latest_ones(bench: Bench) -> None:
    drive(bench.sessions.create("ada", public={"name": "Ada"}))
    assert drive(bench.sessions.login(None, "ada")).session.public == {"name": "Ada"}
    assert drive(bench.sessions.login(None, "ada", public={"name": "A. L."})).session.public == {"name": "A. L."}
    assert drive(bench.sessions.create("ada")).session.public == {"name": "A. L."}


def test_a_session_keeps_its_device_when_a_login_names_none(bench: Bench) -> None:
    first = drive(bench.sessions.create(None, device={"label": "phone"}))
    assert drive(bench.sessions.login(first.session.session_id, "ada")).session.device == {"label": "phone"}
    again = drive(bench.sessions.login(first.session.session_id, "ada", device={"label": "tablet"}))
    assert again.session.device == {"label": "tablet"}


@pytest.mark.parametrize("user_id", [7, b"ada", ["ada"]])
def test_a_user_id_is_text(bench: Bench, user_id: object) -> None:
    with pytest.raises(InvalidValue):
        drive(bench.sessions.create(user_id))  # type: ignore[arg-type]


def test_an_ended_session_cannot_own_a_new_document(bench: Bench) -> None:
    session = drive(bench.sessions.create(None)).session
    drive(bench.sessions.end(session.session_id, EndReason.LOGOUT))
    with pytest.raises(SessionEnded):
        drive(bench.documents.open(Actor(session_id=session.session_id), "form", {}))


def test_claiming_finds_a_free_name_within_the_limit() -> None:
    bench = Bench(MemoryStore(), FakeClock(), SeededRandom(), replace(RULES, claim_on_login=True))
    user, name = Actor(user_id="ada"), "n" * 200
    drive(bench.documents.open(user, name, {}))
    for number in (2, 3):
        session = drive(bench.sessions.create(None)).session
        drive(bench.documents.open(Actor(session_id=session.session_id), name, {"number": number}))
        drive(bench.sessions.login(session.session_id, "ada"))
    names = {document.name: document.state for document in drive(bench.documents.list(user))}
    assert names == {name: {}, "n" * 196 + " (2)": {"number": 2}, "n" * 196 + " (3)": {"number": 3}}
