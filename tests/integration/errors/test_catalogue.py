"""Every error there is: it really happens, it says what the reference says of it, and it tells no secret."""

from __future__ import annotations

import ast
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.write_reference import ERROR_SECTIONS, errors_of
from sessile.model.errors import SessileError, SessionError
from sessile.server.refusals import Refusal
from tests.architecture.python_source import python_files
from tests.architecture.tree import PACKAGE, ROOT
from tests.integration.errors import by_client, by_facade, by_web
from tests.integration.errors.provoked import PROVOCATIONS, Stage

ALL = [error for module, _ in ERROR_SECTIONS for error in errors_of(module)]
FAMILIES = (SessionError, Refusal)
"""Names for several errors together: caught, never raised."""
CODES = json.loads((ROOT / "protocol" / "codes.json").read_text(encoding="utf-8"))
RFC_9457 = {"type", "title", "status", "detail", "instance"}
TABLES = (by_facade, by_web, by_client)
"""Imported, so that what they provoke is in the table."""


@pytest.mark.parametrize("kind", PROVOCATIONS, ids=lambda kind: kind.__name__)
async def test_it_happens_and_says_what_it_is(kind: type[SessileError], tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    try:
        told: Any = await PROVOCATIONS[kind](stage)
    except SessileError as error:
        told = error
    finally:
        stage.close()
    assert told is not None, "nothing happened"
    if isinstance(told, SessileError):
        assert type(told) is kind
        shown = _of_an_error(told)
    elif isinstance(told, httpx.Response):
        shown = _of_an_answer(told, kind)
    else:
        assert (told["code"], told["retryable"]) == (kind.code, kind.retryable)
        assert told["message"]
        shown = json.dumps(told)
    for secret in stage.secrets:
        assert secret not in shown


def _of_an_error(error: SessileError) -> str:
    """Everything that can be seen of it."""
    wire = error.as_dict()
    assert (wire["code"], wire["message"], wire["retryable"]) == (
        type(error).code,
        error.message,
        type(error).retryable,
    )
    assert RFC_9457.isdisjoint(wire), "a problem document has members of these names already"
    assert error.message.strip()
    return f"{error} {error!r} {json.dumps(wire, default=str)}"


def _of_an_answer(answer: httpx.Response, kind: type[SessileError]) -> str:
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, body["status"]) == (kind.http_status, kind.http_status)
    assert (body["code"], body["retryable"]) == (kind.code, kind.retryable)
    assert body["detail"] == body["message"] != ""
    assert answer.headers.get("retry-after") == (str(kind.retry_after_s) if kind.retry_after_s else None)
    return answer.text + str(answer.headers)


def test_the_contract_says_of_each_code_what_its_class_says() -> None:
    said = {(error.code, error.retryable, error.http_status) for error in ALL}
    listed = {(entry["code"], entry["retryable"], entry["http_status"]) for entry in CODES["errors"]}
    assert listed - said == set()


def test_every_error_is_provoked() -> None:
    assert {error.__name__ for error in ALL} - {error.__name__ for error in FAMILIES} == {
        kind.__name__ for kind in PROVOCATIONS
    }


def test_a_family_is_never_raised_itself() -> None:
    names = {family.__name__ for family in FAMILIES}
    raised = [
        (path.name, node.lineno)
        for path in python_files(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise | ast.Return | ast.Call) and _named(node) in names
    ]
    assert raised == []


def _named(node: ast.Raise | ast.Return | ast.Call) -> str:
    """The class that is raised, returned or made."""
    named: ast.AST | None = (
        node.func if isinstance(node, ast.Call) else node.exc if isinstance(node, ast.Raise) else node.value
    )
    return named.id if isinstance(named, ast.Name) else ""


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_it_is_described_with_cause_and_cure(kind: type[SessileError]) -> None:
    own = vars(kind)
    assert kind in FAMILIES or "code" in own, "its own code"
    assert 400 <= HTTPStatus(kind.http_status) < 600
    assert "default_message" in own or (kind.__doc__ or "").strip()
    for name in ("cause", "cure"):
        assert name in own, f"its own {name}, not its parent's"
        text = own[name]
        assert text.strip() == text
        assert 20 < len(text) < 200, "short and concrete"
        assert text.endswith(".")
    assert kind.default_message not in (kind.cause, kind.cure)
