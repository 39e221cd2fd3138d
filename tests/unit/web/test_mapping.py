"""The dict in the session, without a framework around it."""

from __future__ import annotations

from typing import Any

import pytest

from sessile.model.errors import SessionClosed, SessionReadOnly, StoreUnavailable
from sessile.model.session import Session, Standing
from sessile.runtime.assemble import SystemClock
from sessile.web.mapping import Phase, SessionMapping


def record(data: bytes = b"{}", standing: Standing = Standing.CURRENT) -> Session:
    now = SystemClock().now()
    return Session(
        session_id="s", data=data, created_at=now, last_seen_at=now, idle_expires_at=now, absolute_expires_at=now,
        standing=standing,
    )  # fmt: skip


def mapping(data: bytes = b"{}", **facts: Any) -> SessionMapping:
    return SessionMapping(record(data, **facts), None, None)


def test_it_is_a_dict() -> None:
    session = mapping(b'{"a":1}')
    session["b"] = {"c": 2}
    session.update(d=3)
    assert session == {"a": 1, "b": {"c": 2}, "d": 3}
    assert mapping(b'{"a":1}') == mapping(b'{"a":1}')
    assert session != {"a": 1}
    del session["a"]
    assert session.pop("d") == 3
    assert list(session) == ["b"]
    session.clear()
    assert not session
    with pytest.raises(KeyError):
        session["a"]
    with pytest.raises(TypeError):
        hash(session)


def test_it_joins_with_dicts_and_can_be_copied() -> None:
    session = mapping(b'{"a":1}')
    assert session | {"b": 2} == {"a": 1, "b": 2}
    assert {"a": 0, "b": 2} | session == {"a": 1, "b": 2}
    assert isinstance(session.copy(), dict)
    before = session.modified
    session |= {"a": 3}
    assert (before, session.modified) == (False, True)
    assert session == {"a": 3}
    assert session.get("a") == 3
    assert session.get("z") is None
    assert session.get("z", 5) == 5


def test_a_repr_shows_nothing_and_is_no_read() -> None:
    session = mapping(b'{"card":"4111"}')
    assert repr(session) == "<SessionMapping>"
    assert not session.accessed
    assert len(session) == 1
    assert "4111" not in repr(session)


def test_modified_compares_what_is_there_with_what_was_loaded() -> None:
    session = mapping(b'{"a":{"b":[1]}}')
    states = [session.modified]
    session["a"]["b"].append(2)
    states.append(session.modified)
    session["a"]["b"].pop()
    states.append(session.modified)
    session["a"] = {"b": [1]}
    states.append(session.modified)
    assert states == [False, True, False, False]


def test_a_superseded_view_is_empty_and_read_only() -> None:
    session = mapping(standing=Standing.SUPERSEDED)
    assert dict(session) == {}
    for write in (lambda: session.update(a=1), lambda: session.setdefault("a", {}), lambda: session.__delitem__("a")):
        with pytest.raises(SessionReadOnly):
            write()


def test_an_outage_comes_out_wherever_the_session_is_used() -> None:
    session = SessionMapping(None, None, StoreUnavailable())
    uses = [
        lambda: session.get("a"),
        lambda: "a" in session,
        lambda: list(session),
        lambda: len(session),
        lambda: session == {},
        lambda: session.update(a=1),
        lambda: session.pop("a", None),
        session.clear,
    ]
    for use in uses:
        with pytest.raises(StoreUnavailable):
            use()
    assert session.accessed


def test_phases() -> None:
    read_before, read_late = mapping(b'{"a":1}'), mapping(b'{"a":1}')
    assert read_before["a"] == 1
    for session in (read_before, read_late):
        session._phase = Phase.STARTED
        with pytest.raises(SessionClosed):
            session["b"] = 1
    assert read_before["a"] == 1
    with pytest.raises(SessionClosed, match="private"):
        read_late.get("a")
    assert not read_late.accessed
    read_late._phase = Phase.DONE
    assert read_late["a"] == 1
