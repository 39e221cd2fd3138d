"""Column types that behave alike on every dialect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, LargeBinary, TypeDecorator
from sqlalchemy.engine import Dialect

from sessile.model.document import ABSENT

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def to_micros(moment: datetime) -> int:
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    return EPOCH + micros * _MICROSECOND


def to_bytes(value: Any) -> bytes | None:
    return None if value is ABSENT else _encode(value)


def from_bytes(value: bytes | None) -> Any:
    return ABSENT if value is None else _decode(value)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time, kept as microseconds since 1970: exact, sortable, without a zone to get wrong."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(value)


class Json(TypeDecorator[Any]):
    """A JSON value as UTF-8 text in bytes. SQL null is "nothing there" (ABSENT), JSON null is the value None."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        return to_bytes(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:
        return from_bytes(value)
