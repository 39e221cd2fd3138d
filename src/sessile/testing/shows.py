"""Which capability, or which line of the security lists, a test shows, written above it."""

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


def shows_security(*lines: str) -> Callable[[F], F]:
    """`@shows_security("V7.2.4", "K-3")`: this test shows these lines of docs/security/asvs.md. The names are kept as its `shows_security`."""

    def mark(test: F) -> F:
        vars(test)["shows_security"] = lines
        return test

    return mark
