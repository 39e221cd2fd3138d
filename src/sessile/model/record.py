"""Immutable records of which a batch of changes makes many.

A frozen dataclass sets each field through `object.__setattr__`; with sixteen of them that took more time than the judging of a change.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any, ClassVar, cast

import msgspec


class _Fields:
    def __get__(self, _record: Any, owner: type[msgspec.Struct]) -> dict[str, dataclasses.Field[Any]]:
        return _fields_of(owner)


@lru_cache(maxsize=64)
def _fields_of(owner: type[msgspec.Struct]) -> dict[str, dataclasses.Field[Any]]:
    made: Any = dataclasses.make_dataclass(owner.__name__, owner.__struct_fields__)
    fields: dict[str, dataclasses.Field[Any]] = made.__dataclass_fields__
    return fields


class Record(msgspec.Struct, frozen=True):
    """`dataclasses.replace` and `fields` take it like a frozen dataclass; `msgspec.structs.replace` is the fast one. `_unshown` names fields that
    `repr` leaves out: what people wrote must not get into a log."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]] = cast(
        "dict[str, dataclasses.Field[Any]]", _Fields()
    )
    _unshown: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in self._unshown)
        return f"{type(self).__name__}({', '.join(shown)})"
