"""Document kinds as applications write them: three ways of saying what a state is, and what is refused at start."""

from __future__ import annotations

import builtins
import logging
import sys
from collections.abc import Iterator
from datetime import date
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, Field

from sessile import Actor, ConfigurationError, DocumentKind, InvalidChange, InvalidValue, SessionManager, Settings
from sessile.model.errors import SchemaUpgradeFailed
from sessile.model.limits import STATE_BYTES_MAX
from sessile.runtime.kinds import kinds_of

ADA = Actor(user_id="ada")


class Address(BaseModel):
    street: str


class Intake(BaseModel):
    step: int = Field(ge=1)
    born: date | None = None
    addresses: list[Address] = []


JSON_SCHEMA = {
    "type": "object",
    "required": ["step"],
    "properties": {
        "step": {"type": "integer", "minimum": 1},
        "addresses": {"items": {"required": ["street"], "properties": {"street": {"type": "string"}}}},
    },
}


def function(state: dict[str, Any]) -> None:
    if not isinstance(state.get("step"), int):
        raise InvalidValue("/step", "a number is needed")
    for index, address in enumerate(state.get("addresses", ())):
        if not isinstance(address.get("street"), str):
            raise InvalidValue(f"/addresses/{index}/street", "text is needed")
    state.clear()  # what it gets is its own


def check_of(schema: Any) -> Any:
    return kinds_of([DocumentKind(name="k", schema=schema)]).named("k").check


@pytest.mark.parametrize("schema", [Intake, JSON_SCHEMA, function], ids=["pydantic", "json-schema", "function"])
def test_a_fault_names_its_place(schema: Any) -> None:
    check = check_of(schema)
    good = {"step": 1, "addresses": [{"street": "a"}]}
    assert check(good) is None
    assert good == {"step": 1, "addresses": [{"street": "a"}]}
    for bad, path in (
        ({"step": "1"}, "/step"),
        ({"step": 1, "addresses": [{"street": "a"}, {"street": 2}]}, "/addresses/1/street"),
    ):
        fault = check(bad)
        assert (fault.code, fault.path) == ("schema", path)
        assert fault.message


def test_a_model_reads_a_state_as_json() -> None:
    check = check_of(Intake)
    assert check({"step": 1, "born": "2000-02-29"}) is None
    assert check({"step": 1, "born": "2001-02-29"}).path == "/born"
    assert check({"step": 1.5}).path == "/step"


def test_a_message_has_a_bound() -> None:
    fault = check_of({"properties": {"text": {"maxLength": 3}}})({"text": "x" * 10_000})
    assert len(fault.message) == 200


def test_a_schema_that_fails_is_a_fault_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_state: dict[str, Any]) -> None:
        raise ZeroDivisionError("secret of the application")

    with caplog.at_level(logging.ERROR, "sessile.kinds"):
        fault = check_of(broken)({})
    assert fault.code == "validator_failed"
    assert "secret" not in fault.message
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(("taken_s", "code"), [(0.0499, None), (0.0501, "validator_failed")])
def test_a_schema_that_takes_too_long_is_a_fault(taken_s: float, code: str | None) -> None:
    times: Iterator[float] = iter([0.0, taken_s])
    kinds = kinds_of([DocumentKind(name="k", schema=Intake)], timer=lambda: next(times))
    fault = kinds.named("k").check({"step": 1})
    assert (None if fault is None else fault.code) == code


def test_upgrades_are_chained_on_a_copy(caplog: pytest.LogCaptureFixture) -> None:
    def second(state: dict[str, Any]) -> dict[str, Any]:
        state["list"].append(2)
        return state

    def third(state: dict[str, Any]) -> dict[str, Any]:
        return {**state, "n": len(state["list"]) // state["by"]}

    upgrade = kinds_of([DocumentKind(name="k", version=3, upgrades={1: second, 2: third})]).named("k").upgrade
    stored = {"list": [1], "by": 1}
    assert upgrade(stored, 1) == {"list": [1, 2], "by": 1, "n": 2}
    assert upgrade({"list": [], "by": 1}, 2) == {"list": [], "by": 1, "n": 0}
    assert stored == {"list": [1], "by": 1}
    with pytest.raises(SchemaUpgradeFailed) as failed:
        upgrade({"list": [], "by": 0}, 1)
    assert (failed.value.schema_name, failed.value.from_version) == ("k", 1)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("kinds", "problem"),
    [
        ([DocumentKind(name="k"), DocumentKind(name="k")], "two document kinds"),
        ([DocumentKind(name="")], "a name has"),
        ([DocumentKind(name="k", version=0)], "versions begin at 1"),
        ([DocumentKind(name="k", version=3, upgrades={1: dict})], "from the oldest to 2"),
        ([DocumentKind(name="k", version=2, upgrades={1: dict, 2: dict})], "from the oldest to 1"),
        ([DocumentKind(name="k", state_bytes_max=STATE_BYTES_MAX + 1)], "state_bytes_max"),
        ([DocumentKind(name="k", schema=int)], "a schema is"),  # type: ignore[arg-type]
        ([DocumentKind(name="k", schema={"type": "nothing"})], "not a JSON Schema"),
        ([DocumentKind(name="k", default={"n": float("nan")})], "/default/n"),
        ([DocumentKind(name="k", policies={"/a": "perhaps"})], "perhaps"),
        ([DocumentKind(name="k", policies={"a": "reject"})], "'k'"),
    ],
)
def test_kinds_that_cannot_be_are_refused_at_start(kinds: list[DocumentKind], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        SessionManager(Settings(database_url="memory://"), kinds=kinds)


def test_without_the_package_a_json_schema_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "jsonschema":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigurationError, match=r"sessile\[jsonschema\]"):
        check_of(JSON_SCHEMA)


def test_a_module_declares_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("declared_kinds")
    intake = DocumentKind(name="intake", schema=Intake, names=["intake"], default={"step": 1})
    vars(module).update(intake=intake, other=DocumentKind(name="other"), number=7)
    monkeypatch.setitem(sys.modules, "declared_kinds", module)
    settings = Settings(database_url="memory://", documents="declared_kinds")
    with SessionManager(settings, kinds=[intake]) as manager:  # named twice is declared once
        document = manager.documents.open(ADA, "intake").document
        assert (document.schema_name, document.state) == ("intake", {"step": 1})
        assert manager.documents.open(ADA, "x", kind="other").document.schema_name == "other"
        with pytest.raises(InvalidChange):
            manager.documents.open(Actor(user_id="eve"), "intake", default={"step": 0})


@pytest.mark.parametrize(("name", "problem"), [("no_such_module_here", "cannot be imported"), ("json", "declares no")])
def test_a_module_without_kinds_is_refused(name: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        SessionManager(Settings(database_url="memory://", documents=name))
