"""What another library kept of a session: from its bytes to values of ours, without running anything that is in them.

Pickles are never read: whoever can write one into the store runs code in whoever reads it (CWE-502).
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from sessile.model.errors import InvalidValue
from sessile.model.legacy import LegacyKind
from sessile.model.limits import DEPTH_MAX, SESSION_DATA_BYTES_MAX, USER_ID_LENGTH_MAX
from sessile.model.values import Markup, encode

PAYLOAD_BYTES_MAX: Final = 1024 * 1024
"""Of one session, after decompression."""
INTERNAL_KEYS: Final[Mapping[LegacyKind, tuple[str, ...]]] = {LegacyKind.STARSESSIONS: ("__metadata__",)}
"""What a library keeps about a session, not for the application."""
USER_KEYS: Final[Mapping[LegacyKind, tuple[str, ...]]] = {
    LegacyKind.FLASK_SESSION: ("_user_id", "user_id"),
    LegacyKind.FLASK_COOKIE: ("_user_id", "user_id"),
    LegacyKind.DJANGO: ("_auth_user_id",),
    LegacyKind.DJANGO_COOKIE: ("_auth_user_id",),
}
"""Where the user's id stands unless it is said: Flask-Login's key, Django's. The first that is there counts."""
_USER_KEYS: Final = ("user_id",)
_PICKLE_PROTOCOLS: Final = frozenset({2, 3, 4, 5})


class PayloadRefused(Exception):
    """A payload that is not taken over. `reason` is one word: `pickle`, `unreadable`, `too_large`, `signature`, `user`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Loss:
    """A value that cannot be kept, and where it was (JSON Pointer, RFC 6901)."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Content:
    """What is taken over of a payload: whose it is, the encoded data, and what could not be kept."""

    user_id: str | None
    data: bytes
    losses: tuple[Loss, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nobody's, and nothing in it: there is nothing to lose."""
        return self.user_id is None and self.data == b"{}"


def content_of(kind: LegacyKind, values: Mapping[Any, Any], user_keys: Sequence[str] = ()) -> Content:
    """Raises PayloadRefused when there is a user's id that cannot be one."""
    user_id = user_of(values, user_keys or USER_KEYS.get(kind, _USER_KEYS))
    internal = INTERNAL_KEYS.get(kind, ())
    kept = {key: value for key, value in values.items() if key not in internal}
    losses: list[Loss] = []
    try:
        data = encode(kept)
    except InvalidValue:
        data = encode(_kept(kept, "", 0, losses))
    if len(data) > SESSION_DATA_BYTES_MAX:
        losses.append(Loss("", f"{len(data)} bytes; a session keeps at most {SESSION_DATA_BYTES_MAX}, so none of them"))
        data = b"{}"
    return Content(user_id, data, tuple(losses))


def user_of(values: Mapping[Any, Any], keys: Sequence[str]) -> str | None:
    """The user's id under the first of the keys that is there; one that begins with / is a path (RFC 6901). Raises PayloadRefused."""
    for key in keys:
        found = _at(values, key)
        if found is None:
            continue
        if isinstance(found, str | int | UUID) and not isinstance(found, bool):
            text = str(found)
            if text and len(text) <= USER_ID_LENGTH_MAX and text.isprintable():
                return text
        raise PayloadRefused("user", f"what stands under {key} is no user's id")
    return None


def _at(values: Any, key: str) -> Any:
    if not key.startswith("/"):
        return values.get(key)
    for part in key[1:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _kept(value: Any, path: str, level: int, losses: list[Loss]) -> Any:
    """The value without what cannot be kept. In a list its place stays, with nothing in it, so that the others keep theirs."""
    if isinstance(value, Mapping):
        if level >= DEPTH_MAX:
            losses.append(Loss(path, f"deeper than {DEPTH_MAX} levels"))
            return None
        kept = {}
        for key, item in value.items():
            below = f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if not isinstance(key, str) or not _is_text(key):
                losses.append(Loss(ascii(below)[1:-1], "its key is not a text"))
            elif (sure := _kept(item, below, level + 1, losses)) is not _LOST:
                kept[key] = sure
        return kept
    if isinstance(value, list):
        if level >= DEPTH_MAX:
            losses.append(Loss(path, f"deeper than {DEPTH_MAX} levels"))
            return None
        items = [_kept(item, f"{path}/{index}", level + 1, losses) for index, item in enumerate(value)]
        return [None if item is _LOST else item for item in items]
    try:
        encode(value)
    except InvalidValue as error:
        losses.append(Loss(path, error.message.removeprefix("(top level): ")))
        return _LOST
    return value


_LOST: Final = object()


def _is_text(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def decoded(payload: bytes) -> Mapping[Any, Any]:
    """The values of a payload that is JSON or MessagePack. Raises PayloadRefused."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise PayloadRefused("too_large", f"more than {PAYLOAD_BYTES_MAX} bytes")
    check_no_pickle(payload)
    try:
        # In MessagePack, { is a number and not a map.
        values = json.loads(payload) if payload[:1] == b"{" else msgspec.msgpack.decode(payload)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise PayloadRefused("unreadable", "neither JSON nor MessagePack") from error
    if not isinstance(values, Mapping):
        raise PayloadRefused("unreadable", "no mapping of names to values")
    return values


def check_no_pickle(payload: bytes) -> None:
    """Raises PayloadRefused for what looks like a pickle, of any protocol."""
    is_binary = len(payload) > 2 and payload[0] == 0x80 and payload[1] in _PICKLE_PROTOCOLS
    is_old = payload[-1:] == b"." and payload[:1] in {b"(", b"}", b"c", b"]"}
    if (is_binary and payload[-1:] == b".") or is_old:
        raise PayloadRefused("pickle", "a pickle; it could run code, so it is never read")


def inflated(compressed: bytes) -> bytes:
    """Decompressed (zlib), at most PAYLOAD_BYTES_MAX bytes. Raises PayloadRefused."""
    inflater = zlib.decompressobj()
    try:
        payload = inflater.decompress(compressed, PAYLOAD_BYTES_MAX + 1)
    except zlib.error as error:
        raise PayloadRefused("unreadable", "it cannot be decompressed") from error
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise PayloadRefused("too_large", f"more than {PAYLOAD_BYTES_MAX} bytes when decompressed")
    if not inflater.eof:
        raise PayloadRefused("unreadable", "its compressed form is cut off")
    return payload


def from_base64(text: bytes, *, urlsafe: bool) -> bytes:
    """Padding may be missing. Raises PayloadRefused."""
    try:
        padded = text + b"=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_" if urlsafe else None, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PayloadRefused("unreadable", "it is no base64") from error


def untagged(value: Any) -> Any:
    """Flask writes what JSON does not have as an object with one key that begins with a space (`flask.json.tag`); the value that is meant.
    Raises PayloadRefused."""
    try:
        return _untagged(value)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise PayloadRefused("unreadable", "a tagged value of Flask that is damaged") from error


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((tag, content),) = value.items()
        if tag in _FLASK_TAGS:
            return _FLASK_TAGS[tag](_untagged(content))
    return {key: _untagged(item) for key, item in value.items()}


def _escaped_dict(content: dict[str, Any]) -> dict[str, Any]:
    ((key, item),) = content.items()
    return {key.removesuffix("__"): item}


def _http_date(text: str) -> datetime:
    return parsedate_to_datetime(text)


_FLASK_TAGS: Final[Mapping[str, Any]] = {
    " di": _escaped_dict,
    " t": tuple,
    " b": base64.b64decode,
    " m": Markup,
    " u": UUID,
    " d": _http_date,
}
