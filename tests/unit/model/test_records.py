"""Small rules of the model: what goes over the wire, what differs between two states, what a clock policy says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from sessile.model import errors
from sessile.model.audit import AuditEvent, chained, fault_of
from sessile.model.canonical import canonical, json_equal, state_hash
from sessile.model.difference import differences, restored_state
from sessile.model.document import ABSENT, Actor, Conflict, ConflictReason, Difference, LoggedChange, Owner, Verdict
from sessile.model.expiry import ExpiryPolicy
from sessile.model.merge import Policies
from sessile.model.session import Session
from sessile.model.wire import (
    conflict_to_wire,
    difference_to_wire,
    iso,
    logged_to_wire,
    session_to_wire,
    verdict_to_wire,
)
from sessile.testing import shows

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
CODES = json.loads((Path(__file__).parents[3] / "protocol" / "codes.json").read_text())


@shows("A12", "http")
def test_times_on_the_wire_are_utc_with_milliseconds() -> None:
    assert iso(NOW) == iso(NOW.astimezone(timezone(timedelta(hours=5)))) == "2026-03-01T12:00:00.123Z"


def test_an_absent_value_is_left_out_and_null_is_not() -> None:
    conflict = Conflict(
        conflict_id="c", document_id="d", path="/p", reason=ConflictReason.CONCURRENT, base=ABSENT, winner=None, loser=1, opened_at=NOW
    )  # fmt: skip
    wire = conflict_to_wire(conflict)
    assert ("base" in wire, wire["winner"], wire["loser"]) == (False, None, 1)
    assert difference_to_wire(Difference("/p", None, ABSENT)) == {"path": "/p", "current": None}


def test_a_logged_change_tells_others_what_they_need_and_not_who_it_was() -> None:
    logged = LoggedChange(
        document_id="d", version=3, generation=1, base_version=2, operations=[{"op": "remove", "path": "/a"}], verdict=Verdict.APPLIED,
        device_id="secret device", device_no=2, seq=7, session_id="secret session", state_hash="00", created_at=NOW,
        idempotency_key="secret key", before=[("/a", "secret value")],
    )  # fmt: skip
    wire = logged_to_wire(logged)
    assert "secret" not in json.dumps(wire)
    assert wire == {
        "version": 3, "generation": 1, "device_no": 2, "seq": 7, "operations": [{"op": "remove", "path": "/a"}], "verdict": "applied",
        "at": iso(NOW), "hash": "00",
    }  # fmt: skip
    assert verdict_to_wire(logged) == {"seq": 7, "version": 3, "verdict": "applied"}


def test_a_page_sees_neither_data_nor_hash_of_its_session() -> None:
    session = Session(
        session_id="handle", user_id="ada", public={"name": "Ada", "id": "spoofed"}, data=b'{"secret":1}', token_hash=b"secret",
        created_at=NOW, last_seen_at=NOW, idle_expires_at=NOW, absolute_expires_at=NOW,
    )  # fmt: skip
    wire = session_to_wire(session, None)
    assert wire["user"] == {"name": "Ada", "id": "ada"}, (
        "the id is the session's, whatever the application calls public"
    )
    assert "secret" not in json.dumps(wire)


def test_every_error_has_a_code_that_is_its_own_and_a_message_to_show() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.SessileError)]
    codes = [c.code for c in classes]
    assert len(set(codes)) == len(codes) > 20
    for error in (
        errors.StoreUnavailable(),
        errors.SessionNotFound(),
        errors.SessionExpired("idle"),
        errors.SequenceGap(3),
    ):
        assert error.as_dict().keys() >= {"code", "message", "retryable"}
        assert str(error) == error.message != ""
    assert {"store_unavailable", "gap"} <= {c.code for c in classes if c.retryable}
    assert not {"session_not_found", "session_expired", "session_ended"} & {c.code for c in classes if c.retryable}


def test_the_judges_codes_are_in_the_contract() -> None:
    listed = json.dumps(CODES)
    for code in ("concurrent_change", "superseded", "parent_removed", "test_failed", "conflict_not_found", "state_too_large",
                 "not_an_object", "path_in_list", "not_a_number", "not_a_list", "number_out_of_range", "too_deep"):  # fmt: skip
        assert f'"{code}"' in listed


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [(1, True, False), (0, False, False), (1, 1.0, True), (None, 0, False), ({"a": 1}, {"a": True}, False), ([1], (1,), True), ("1", 1, False)],
    ids=str,
)  # fmt: skip
def test_equality_is_that_of_json(left: Any, right: Any, equal: bool) -> None:
    assert json_equal(left, right) is json_equal(right, left) is equal


def test_the_hash_of_a_state_does_not_depend_on_the_order_of_its_keys() -> None:
    assert state_hash({"a": 1, "b": [1.0]}) == state_hash({"b": [1], "a": 1.0})
    assert state_hash({"a": 1}) != state_hash({"a": "1"})
    assert len(state_hash({})) == 16
    with pytest.raises(TypeError):
        canonical({"a": object()})


def test_differences_walk_objects_and_take_lists_whole() -> None:
    found = differences({"a": 1, "o": {"x": 1, "y": [1]}, "same": None}, {"o": {"y": [2], "z": 0}, "same": None})
    assert [(d.path, d.current, d.restored) for d in found] == [
        ("/a", 1, ABSENT), ("/o/x", 1, ABSENT), ("/o/y", [1], [2]), ("/o/z", ABSENT, 0),
    ]  # fmt: skip
    assert restored_state({"a": 1, "b": 1}, {"a": 2}, ["/a", "/b"])[0] == {"a": 2}


def test_an_owner_is_one_of_two_and_opens_what_is_its_own() -> None:
    for arguments in ({}, {"user_id": "a", "session_id": "s"}):
        with pytest.raises(ValueError, match="exactly one"):
            Owner(**arguments)
    assert Actor("a", "s").owner == Owner(user_id="a")
    assert Actor("a", "s").may_open(Owner(session_id="s"))
    assert not Actor(None, None).may_open(Owner(session_id="s"))
    assert not Actor("b", "s").may_open(Owner(user_id="a"))
    with pytest.raises(ValueError, match="exactly one"):
        _ = Actor.system().owner


def test_policies_take_the_first_pattern_that_matches() -> None:
    policies = Policies.from_mapping({"/answers/*/note": "reject", "/answers/**": "last_write_wins"})
    found = [policies.of(path) for path in (("answers", "1", "note"), ("answers", "1"), ("answers",), ("other",))]
    assert found == ["reject", "last_write_wins", "last_write_wins", "keep_both"]
    for wrong in ({"answers": "reject"}, {"/a": "first_wins"}):
        with pytest.raises(ValueError):  # noqa: PT011 - two kinds of fault, one kind of error
            Policies.from_mapping(wrong)


def test_the_idle_deadline_never_lies_behind_the_absolute_one() -> None:
    policy = ExpiryPolicy(timedelta(hours=1), timedelta(hours=2), timedelta(seconds=30))
    absolute = NOW + timedelta(hours=2)
    assert policy.idle_deadline(NOW, absolute) == NOW + timedelta(hours=1)
    assert policy.idle_deadline(NOW + timedelta(minutes=90), absolute) == absolute


def test_a_changed_audit_event_breaks_its_chain() -> None:
    event = AuditEvent(stream="system", type="a", at=NOW, user_id="ada", session_id="s", document_id="d", data={"n": 1})
    written = chained(event, 1, b"before", b"salt")
    assert fault_of(written, 1, b"before") is None
    changes: list[dict[str, Any]] = [
        {"stream": "user:ada"}, {"type": "b"}, {"at": NOW + timedelta(microseconds=1)}, {"user_id": "eve"}, {"session_id": None},
        {"document_id": None}, {"data": {"n": True}}, {"salt": b"other"}, {"personal_hash": b""}, {"previous_hash": b""}, {"hash": b""},
    ]  # fmt: skip
    for change in changes:
        assert fault_of(replace(written, **change), 1, b"before") is not None, change
    assert fault_of(written, 2, b"before") == "position 2 is missing"
    assert fault_of(written, 1, b"other") == "it does not follow the event before it"


def test_personal_fields_can_be_erased_and_the_chain_still_verifies() -> None:
    written = chained(AuditEvent(stream="session:s", type="a", at=NOW, user_id="ada", data={"n": 1}), 1, b"", b"salt")
    assert fault_of(replace(written, user_id=None, data={}, salt=None), 1, b"") is None
