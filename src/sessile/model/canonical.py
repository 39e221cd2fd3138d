"""One text for one JSON value (RFC 8785), the hash of a state, and strict equality.

The same bytes come out of the browser client; `protocol/vectors/canonical.json` holds both to it. Python's own `==` will not do:
it takes True for 1.
"""

from __future__ import annotations

import hashlib
import math
from json.encoder import encode_basestring
from typing import Any, Final

_HASH_HEX_DIGITS: Final = 16


def canonical(value: Any) -> bytes:
    """UTF-8 of the RFC 8785 form. Raises TypeError for what is not JSON."""
    return _text(value).encode()


def state_hash(state: Any) -> str:
    """First 16 hex digits of SHA-256 over the canonical form: enough to notice divergence, not a signature."""
    return hashlib.sha256(canonical(state)).hexdigest()[:_HASH_HEX_DIGITS]


def digest(value: Any) -> bytes:
    """The whole SHA-256 of the canonical form: the identity of a change's operations."""
    return hashlib.sha256(canonical(value)).digest()


def json_equal(left: Any, right: Any) -> bool:
    """Equality of JSON values: True is not 1, key order does not matter."""
    if left is right:
        return True
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(json_equal(value, right[key]) for key, value in left.items())
        )
    if isinstance(left, list | tuple):
        return (
            isinstance(right, list | tuple)
            and len(left) == len(right)
            and all(json_equal(a, b) for a, b in zip(left, right, strict=True))
        )
    if isinstance(left, bool) or isinstance(right, bool):
        return False  # identical booleans were caught above
    return bool(left == right)


def _text(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if kind is int:
        return str(value)
    if kind is dict:
        keys = sorted(value) if all(map(str.isascii, value)) else sorted(value, key=_utf16)
        return "{" + ",".join([f"{encode_basestring(key)}:{_text(value[key])}" for key in keys]) + "}"
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return _number(value)
    if kind is list or kind is tuple:
        return "[" + ",".join([_text(item) for item in value]) + "]"
    return _text(_plain(value))


def _plain(value: Any) -> Any:
    """An instance of a subclass as what it is to JSON."""
    kinds: tuple[type[Any], ...] = (str, int, float, dict, list, tuple)
    for kind in kinds:
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")


def _number(value: float) -> str:
    """ECMA-262 Number::toString: shortest digits that round-trip, exponent form from 1e21 and below 1e-6."""
    if not math.isfinite(value):
        raise TypeError("NaN and infinity are not JSON values")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent_text = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent_text or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    exponent = point - 1
    tail = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
