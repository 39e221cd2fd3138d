"""What the service refuses comes out as the error of its code, with its fields and its words."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessile.client.errors import (
    ForeignSession,
    MalformedRequest,
    NoSuchAddress,
    ServerFault,
    ServerRefused,
    is_retryable,
)
from sessile.client.problems import error_from, error_of_status
from sessile.model import errors as model
from sessile.model.errors import SessileError
from sessile.server import refusals
from sessile.web.problems import problem_body

CODES = json.loads((Path(__file__).parents[3] / "protocol" / "codes.json").read_text(encoding="utf-8"))["errors"]
SAMPLES: list[SessileError] = [
    model.StoreUnavailable(),
    model.SessionError(),
    model.SessionNotFound(),
    model.SessionExpired("absolute"),
    model.SessionEnded("revoked"),
    model.SessionDamaged("01987c2e-0000-7000-8000-000000000000"),
    model.BindingRequired(),
    model.BindingRefused("proof"),
    model.ContentUnreadable(),
    model.SessionClosed(),
    model.SessionReadOnly(),
    model.SessionCreationError(),
    model.SessionLimitReached(3),
    model.MaintenanceUnderway("Back at noon.", datetime(2026, 4, 1, 12, tzinfo=UTC)),
    model.MaintenanceUnderway(None, None),
    model.SessionUpdateError(),
    model.AuthenticationRequired("expired:idle"),
    model.FreshnessRequired(600),
    model.OriginRefused(),
    model.CsrfFailed(),
    model.InvalidValue("/a", "is not JSON"),
    model.InvalidChange("/changes/0", "has no path"),
    model.DocumentNotFound(),
    model.CheckpointNotFound(),
    model.ConflictNotFound("rejected", {"code": "conflict_not_found", "message": "none"}),
    model.HandoffRefused("refused"),
    model.TooManyTries(),
    model.PlatformRefused("inactive"),
    model.DocumentTooLarge(),
    model.VersionConflict({"platform_id": "p"}, "Somebody was faster."),
    model.ChangeRejected("conflict", {"code": "test_failed", "message": "no"}),
    model.SchemaUnknown("intake", 2),
    model.SchemaUnknown("intake", None),
    model.SchemaUpgradeFailed("intake", 1, "no such step"),
    model.VersionNotKept(12),
    model.ExportDamaged("the hash differs"),
    model.SequenceGap(4),
    model.IdentityReused(4),
]
NEVER_ON_THE_WIRE = {model.ConfigurationError}
"""Ends the server before it answers anybody."""
OF_REFUSALS: dict[type[SessileError], tuple[SessileError, type[SessileError]]] = {
    refusals.MalformedFrame: (refusals.MalformedFrame(), MalformedRequest),
    refusals.UnknownFrameType: (refusals.UnknownFrameType(), MalformedRequest),
    refusals.FrameTooLarge: (refusals.FrameTooLarge(), model.DocumentTooLarge),
    refusals.TooMany: (refusals.TooMany(), model.TooManyTries),
    refusals.InvalidRequest: (
        refusals.InvalidRequest([{"place": "query/to", "problem": "is no point"}]),
        MalformedRequest,
    ),
    refusals.JsonRequired: (refusals.JsonRequired(), MalformedRequest),
    refusals.NoSuchPage: (refusals.NoSuchPage(), NoSuchAddress),
    refusals.Draining: (refusals.Draining(), model.StoreUnavailable),
    refusals.LivePushUnavailable: (refusals.LivePushUnavailable(), NoSuchAddress),
    refusals.MethodRefused: (refusals.MethodRefused(), MalformedRequest),
    refusals.ForeignSession: (refusals.ForeignSession(), ForeignSession),
    refusals.PreconditionRequired: (refusals.PreconditionRequired(), MalformedRequest),
    refusals.PreconditionFailed: (refusals.PreconditionFailed('"e.4"'), model.VersionConflict),
}


def classes_of(module: Any, base: type[SessileError]) -> Iterator[type[SessileError]]:
    for _name, kind in inspect.getmembers(module, inspect.isclass):
        if f"{kind.__module__}.".startswith(f"{module.__name__}.") and issubclass(kind, base) and kind is not base:
            yield kind


def over_the_wire(error: SessileError) -> SessileError:
    body = msgspec.json.decode(msgspec.json.encode(problem_body(error)))
    return error_from(body, error.http_status)


def test_no_error_of_the_model_is_forgotten() -> None:
    assert set(classes_of(model, SessileError)) - {type(error) for error in SAMPLES} == NEVER_ON_THE_WIRE


def test_no_refusal_of_the_server_is_forgotten() -> None:
    assert set(classes_of(refusals, refusals.Refusal)) == set(OF_REFUSALS)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_of_the_model_is_the_same_on_this_side(error: SessileError) -> None:
    found = over_the_wire(error)
    assert type(found) is type(error)
    assert found.as_dict() == error.as_dict()
    assert str(found) == str(error)
    assert is_retryable(found) == error.retryable


@pytest.mark.parametrize("kind", OF_REFUSALS, ids=lambda kind: kind.__name__)
def test_a_refusal_of_the_server_is_a_typed_error(kind: type[SessileError]) -> None:
    error, expected = OF_REFUSALS[kind]
    found = over_the_wire(error)
    assert type(found) is expected
    assert error.message in str(found)
    assert is_retryable(found) == error.retryable


@pytest.mark.parametrize("listed", CODES, ids=lambda listed: str(listed["code"]))
def test_every_listed_code_is_known_from_a_frame_that_says_no_more(listed: dict[str, Any]) -> None:
    frame = {"type": "error", "code": listed["code"], "message": "As said.", "retryable": listed["retryable"]}
    found = error_from(frame)
    assert type(found) is not ServerRefused
    assert "As said." in str(found)
    assert is_retryable(found) == listed["retryable"]


def test_a_foreign_session_is_not_taken_for_a_logout() -> None:
    found = over_the_wire(refusals.ForeignSession())
    assert not isinstance(found, model.SessionError)
    assert isinstance(error_from({"code": "session_not_found"}, 401), model.SessionNotFound)


def test_faults_of_a_request_are_named() -> None:
    found = over_the_wire(refusals.InvalidRequest([{"place": "body", "problem": "a name is missing"}]))
    assert isinstance(found, MalformedRequest)
    assert found.errors == ({"place": "body", "problem": "a name is missing"},)
    assert "body: a name is missing" in str(found)


def test_the_state_that_stands_there_is_told() -> None:
    found = over_the_wire(refusals.PreconditionFailed('"e.4"'))
    assert isinstance(found, model.VersionConflict)
    assert found.current == '"e.4"'


def test_a_fault_of_the_server_is_retryable_when_it_says_so() -> None:
    assert isinstance(over_the_wire(SessileError()), ServerFault)
    assert not is_retryable(error_from({"code": "internal", "message": ""}))
    assert is_retryable(error_from({"code": "internal", "message": "", "retryable": True}))


@pytest.mark.parametrize(
    "raw",
    [
        {"code": "brand_new", "message": "What is it?", "retryable": True},
        {"code": "maintenance", "message": "What is it?", "retryable": True, "until": "soon"},
        {"code": "gap", "message": "What is it?", "retryable": True, "expected_seq": "x"},
        {"code": "malformed_frame", "message": "What is it?", "retryable": True, "errors": ["x"]},
    ],
    ids=lambda raw: str(raw["code"]),
)
def test_what_cannot_be_read_is_said_as_it_came(raw: dict[str, Any]) -> None:
    found = error_from(raw)
    assert type(found) is ServerRefused
    assert (found.server_code, found.is_retryable) == (raw["code"], True)
    assert "What is it?" in str(found)


def test_the_answer_of_a_proxy_is_retryable_where_waiting_helps() -> None:
    assert [status for status in (301, 404, 429, 500, 502, 503, 504) if error_of_status(status).is_retryable] == [
        429,
        502,
        503,
        504,
    ]
