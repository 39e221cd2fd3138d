# Classes without bodies that differ from their base on purpose: they are what the comparison is tried on.
# mypy: disable-error-code="empty-body, override"
"""The blocking facade and the asynchronous one are the same thing to learn."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

import pytest

from tests.architecture.facades import differences

TWINS = [
    ("sessile.runtime.manager:AsyncSessionManager", "sessile.runtime.blocking:SessionManager"),
    ("sessile.runtime.documents:AsyncDocuments", "sessile.runtime.blocking_documents:Documents"),
    ("sessile.runtime.presence:AsyncPresence", "sessile.runtime.blocking_presence:Presence"),
    ("sessile.runtime.groups:AsyncHandoffs", "sessile.runtime.blocking_groups:Handoffs"),
    ("sessile.runtime.groups:AsyncLegacySessions", "sessile.runtime.blocking_groups:LegacySessions"),
    ("sessile.runtime.groups:AsyncAudit", "sessile.runtime.blocking_groups:Audit"),
    ("sessile.runtime.groups:AsyncMaintenanceMode", "sessile.runtime.blocking_groups:MaintenanceMode"),
    ("sessile.runtime.configuration:AsyncConfiguration", "sessile.runtime.configuration:Configuration"),
    ("sessile.runtime.operators:AsyncOperators", "sessile.runtime.operators:Operators"),
    ("sessile.runtime.oversight:AsyncOperatorAccess", "sessile.runtime.oversight:OperatorAccess"),
    ("sessile.runtime.oversight:AsyncOversight", "sessile.runtime.oversight:Oversight"),
    ("sessile.runtime.personal_data:AsyncPersonalData", "sessile.runtime.personal_data:PersonalData"),
]


def load(name: str) -> type:
    module, _, attribute = name.partition(":")
    loaded: type = getattr(importlib.import_module(module), attribute)
    return loaded


@pytest.mark.parametrize(("asynchronous", "blocking"), TWINS)
def test_they_are_twins(asynchronous: str, blocking: str) -> None:
    assert differences(load(asynchronous), load(blocking)) == []


class AsyncThing:
    """What the planted faults below are compared with."""

    def __init__(self, settings: str) -> None: ...

    @property
    def documents(self) -> AsyncThing: ...

    async def get(self, handle: str, *, fresh: bool = False) -> int: ...

    def each(self) -> AsyncIterator[int]: ...

    def subscribe(self, handle: str) -> AsyncIterator[int]: ...

    async def __aenter__(self) -> Self: ...


class Thing:
    def __init__(self, settings: str) -> None: ...

    @property
    def documents(self) -> Thing: ...

    def get(self, handle: str, *, fresh: bool = False) -> int: ...

    def each(self) -> Iterator[int]: ...

    def __enter__(self) -> Self: ...


class Renamed(Thing):
    def get(self, session: str, *, fresh: bool = False) -> int: ...


class OtherDefault(Thing):
    def get(self, handle: str, *, fresh: bool = True) -> int: ...


class OtherKind(Thing):
    def get(self, handle: str, fresh: bool = False) -> int: ...


class OtherAnnotation(Thing):
    def get(self, handle: str, *, fresh: bool = False) -> bool: ...


class Awaited(Thing):
    async def get(self, handle: str, *, fresh: bool = False) -> int: ...


class NoProperty(Thing):
    def documents(self) -> Thing: ...


class More(Thing):
    def extra(self) -> None: ...


class OtherSettings(Thing):
    def __init__(self, settings: str, debug: bool) -> None: ...


def test_twins_pass() -> None:
    assert differences(AsyncThing, Thing) == []


@pytest.mark.parametrize(
    ("blocking", "fault"),
    [
        (Renamed, "get: (self, handle"),
        (OtherDefault, "get: "),
        (OtherKind, "get: "),
        (OtherAnnotation, "get: "),
        (Awaited, "get: must not be awaited"),
        (NoProperty, "documents: a property there, a method here"),
        (More, "extra: only in More"),
        (OtherSettings, "__init__: "),
    ],
)
def test_a_planted_difference_is_found(blocking: type, fault: str) -> None:
    (found,) = differences(AsyncThing, blocking)
    assert found.startswith(fault)


def test_a_missing_method_is_found() -> None:
    namespace: dict[str, Any] = {
        name: value for name, value in vars(Thing).items() if name not in {"each", "__enter__"}
    }
    assert differences(AsyncThing, type("Poor", (), namespace)) == [
        "__aenter__ and __enter__: only one of the two is there",
        "each: only in AsyncThing",
    ]
