"""Which capability a test shows, written above it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def shows(*names: str) -> Callable[[F], F]:
    """`@shows("A01", "http")`: this test shows these rows of docs/reference/capabilities.md on these lanes. A test of the store contract runs in
    both lanes of the facades and names none. Needs no plugin and changes nothing about the test: the names are kept as its `shows`."""

    def mark(test: F) -> F:
        vars(test)["shows"] = names
        return test

    return mark
