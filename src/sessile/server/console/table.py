"""What a route of the console is: its address, the right that it needs, and what answers. `routes` collects them from the resources."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sessile.engine.operators import Act
from sessile.model.errors import InvalidValue
from sessile.model.limits import LABEL_LENGTH_MAX
from sessile.model.operator_access import OperatorCredential, Right
from sessile.server.bodies import body_of

if TYPE_CHECKING:
    from sessile.server.console.console import Console

BodyT = TypeVar("BodyT", bound=msgspec.Struct)
_HANDLE: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may be answered: its operator is known, has the right, and proved where it comes from."""

    console: Console
    request: Request
    operator: OperatorCredential

    def path(self, name: str) -> str:
        """A part of the address."""
        return str(self.request.path_params[name])

    def text(self, name: str) -> str | None:
        """A query parameter; None where it is missing or empty. Raises InvalidValue."""
        value = self.request.query_params.get(name) or None
        if value is not None and (len(value) > 1000 or not value.isprintable()):
            raise InvalidValue(f"/{name}", "is a printable text of at most 1000 characters")
        return value

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds. Raises InvalidValue."""
        value = self.text(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit() and len(value) < 10 and low <= int(value) <= high):
            raise InvalidValue(f"/{name}", f"is a whole number from {low} to {high}")
        return int(value)

    def moment(self, name: str) -> datetime | None:
        """A time with its zone. Raises InvalidValue."""
        value = self.text(name)
        if value is None:
            return None
        try:
            found = datetime.fromisoformat(value.replace(" ", "+"))
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            raise InvalidValue(f"/{name}", "is a time as 2026-01-31T12:00:00Z")
        return found

    def one_of(self, name: str, default: str, choices: Mapping[str, object] | frozenset[str]) -> str:
        """One of some words. Raises InvalidValue."""
        value = self.text(name) or default
        if value not in choices:
            raise InvalidValue(f"/{name}", f"is one of {', '.join(sorted(choices))}")
        return value

    async def body(self, kind: type[BodyT]) -> BodyT:
        """The decoded body. Raises MalformedFrame, InvalidRequest."""
        return await body_of(kind)(self.request)

    def act(self, subject: str, action: str, reason: str) -> Act:
        """What is about to be done, with who and why. Raises InvalidValue without a reason."""
        if not reason.strip() or len(reason) > LABEL_LENGTH_MAX or not reason.isprintable():
            raise InvalidValue("/reason", f"says why, in 1 to {LABEL_LENGTH_MAX} printable characters")
        return Act(subject=subject, action=action, reason=reason.strip(), by=self.operator.operator)


Answer = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is below `/api/console`."""

    method: str
    path: str
    right: Right
    answer: Answer
    is_stream: bool = False


def is_handle(text: str) -> bool:
    """Whether it can be the id of a session or document at all."""
    return _HANDLE.fullmatch(text) is not None
