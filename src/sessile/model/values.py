"""The one codec for session data: plain JSON plus a few tagged Python values, never pickle.

A tagged value is `{"~t": "<kind>", "v": <text or list>}`; a user's own dict that has the key `~t` is wrapped with kind `dict`, so nothing a
user stores can turn into something else. NaN, infinity and unknown types raise InvalidValue with the path.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from sessile.model.errors import InvalidValue
from sessile.model.limits import DEPTH_MAX

_TAG: Final = "~t"
_TAG_WRITTEN: Final = b'"~t"'
"""How a tag looks in the bytes that `encode` makes. Where there is none, there is nothing to turn back."""
_INTEGER_BITS_MAX: Final = 4096
"""Python refuses to read much longer ones back from text (`sys.set_int_max_str_digits`)."""
_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder()


class Markup(str):
    """Text that is already safe HTML. Stands in for `markupsafe.Markup` when that is not installed."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def encode(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys: equal values give equal bytes. Raises InvalidValue."""
    return _encoder.encode(_plain(value, (), 0))


def decode(data: bytes) -> Any:
    """The value that was encoded. Raises InvalidValue for bytes that no `encode` made."""
    try:
        plain = _decoder.decode(data)
        return _rich(plain) if _TAG_WRITTEN in data else plain
    except (msgspec.DecodeError, ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        raise InvalidValue("", "the stored session data cannot be read") from error


def _plain(value: Any, path: tuple[str, ...], level: int) -> Any:
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        if value.bit_length() > _INTEGER_BITS_MAX:
            raise InvalidValue(_at(path), f"an integer of more than {_INTEGER_BITS_MAX} bits cannot be stored")
        return value
    if kind is str:
        _check_text(value, path)
        return value
    if kind is float:
        if not math.isfinite(value):
            raise InvalidValue(_at(path), "NaN and infinity cannot be stored")
        return value
    if level >= DEPTH_MAX:
        raise InvalidValue(_at(path), f"deeper than {DEPTH_MAX} levels")
    if isinstance(value, list):
        return [_plain(item, (*path, str(index)), level + 1) for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return _plain_mapping(value, path, level)
    return _tagged(value, path, level)


def _tagged(value: Any, path: tuple[str, ...], level: int) -> Any:
    for name, python_type, dump in _DUMPERS:
        if isinstance(value, python_type):
            content = dump(value)
            if isinstance(content, list):
                content = _plain(content, path, level + 1)
                if (
                    python_type is not tuple
                ):  # the order of a set differs from process to process; that of the bytes must not
                    content.sort(key=_encoder.encode)
            else:
                _check_text(content, path)
            return {_TAG: name, "v": content}
    if hasattr(value, "__html__"):
        safe = str(value.__html__())
        _check_text(safe, path)
        return {_TAG: "markup", "v": safe}
    for base in (str, int, float):
        if isinstance(value, base):  # subclasses such as StrEnum or IntEnum are stored as what they are worth
            return _plain(base(value), path, level)
    raise InvalidValue(_at(path), f"a value of type {type(value).__qualname__} cannot be stored in a session")


def _plain_mapping(value: Mapping[Any, Any], path: tuple[str, ...], level: int) -> Any:
    plain: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidValue(_at(path), f"the key {key!r} is not a string")
        _check_text(key, path)
        plain[str(key)] = _plain(item, (*path, key), level + 1)
    return {_TAG: "dict", "v": plain} if _TAG in plain else plain


def _check_text(text: str, path: tuple[str, ...]) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidValue(_at(path), "text with lone surrogates cannot be stored") from None


def _at(path: tuple[str, ...]) -> str:
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def _rich(value: Any) -> Any:
    if isinstance(value, list):
        return [_rich(item) for item in value]
    if isinstance(value, dict):
        if _TAG in value:
            return _LOADERS[value[_TAG]](value["v"])
        return {key: _rich(item) for key, item in value.items()}
    return value


def _load_markup(text: str) -> Any:
    try:
        from markupsafe import Markup as Safe
    except ImportError:
        return Markup(text)
    return Safe(text)  # noqa: S704 - it was safe when the application put it in


_DUMPERS: Final[tuple[tuple[str, type, Callable[[Any], Any]], ...]] = (
    ("markup", Markup, str),
    ("tuple", tuple, list),
    ("set", set, list),
    ("frozenset", frozenset, list),
    ("bytes", bytes, lambda raw: base64.b64encode(raw).decode()),
    ("uuid", UUID, str),
    ("datetime", datetime, datetime.isoformat),
    ("date", date, date.isoformat),
    ("decimal", Decimal, str),
)
_LOADERS: Final[dict[str, Callable[[Any], Any]]] = {
    "dict": lambda value: {key: _rich(item) for key, item in value.items()},
    "tuple": lambda items: tuple(_rich(item) for item in items),
    "set": lambda items: {_rich(item) for item in items},
    "frozenset": lambda items: frozenset(_rich(item) for item in items),
    "bytes": lambda text: base64.b64decode(text, validate=True),
    "uuid": UUID,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "decimal": Decimal,
    "markup": _load_markup,
}
