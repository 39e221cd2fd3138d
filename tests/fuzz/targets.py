"""What is fuzzed: a parser, the errors that it may raise, and a corpus to begin with. Everything else that it raises is a fault."""

from __future__ import annotations

import base64
import functools
import json
import pickle
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import itsdangerous
import msgspec

from sessile import Settings
from sessile.model import token, values
from sessile.model.activity import Cursor
from sessile.model.audit import AuditPlace
from sessile.model.change_format import parse_changes, parse_operations
from sessile.model.errors import InvalidChange, InvalidValue, SessileError, SessionNotFound
from sessile.model.legacy import LegacyKind
from sessile.model.session_format import UnknownForm, unpack_session
from sessile.model.transfer import imported
from sessile.moving.payload import PayloadRefused, content_of, decoded, untagged
from sessile.moving.signed import SignedCookies
from sessile.server import bodies
from sessile.server.realtime.frames import parse_frame
from sessile.server.refusals import MalformedFrame, UnknownFrameType
from sessile.web.cookies import CookiePolicy

DEVICE: Final = "01900000-0000-7000-8000-00000000000a"
KEY: Final = "N1-9fQmXo2Tz7LrVb4Ks8HwYc3Jd6Gp0Ae5Ui"
NOW: Final = datetime(2026, 1, 2, tzinfo=UTC)
VECTORS: Final = Path(__file__).parents[2] / "protocol" / "vectors"
_JSON = msgspec.json.Decoder()


@dataclass(frozen=True)
class Target:
    """`read` gets bytes that a stranger sent."""

    read: Callable[[bytes], object]
    refusals: tuple[type[BaseException], ...]
    corpus: Sequence[bytes]


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def _json(read: Callable[[Any], object]) -> Callable[[bytes], object]:
    """Bodies and frames are JSON before they are anything else; what is none is refused there."""

    def parsed(data: bytes) -> object:
        try:
            raw = _JSON.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        return read(raw)

    return parsed


class Canary:
    """Unpickled, it would say so."""

    alive = True

    def __reduce__(self) -> Any:
        return (setattr, (Canary, "alive", False))


def _corpus(name: str) -> list[bytes]:
    loaded = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    found: list[bytes] = []

    def walk(item: Any) -> None:
        if isinstance(item, dict):
            if "type" in item or "op" in item:
                found.append(json.dumps(item).encode())
            for value in item.values():
                walk(value)
        elif isinstance(item, list):
            for value in item:
                walk(value)

    walk(loaded)
    return found[:300]


def _operations() -> list[bytes]:
    return [b"[" + item + b"]" for item in _corpus("operations") if b'"op"' in item] or [
        b'[{"op":"set","path":"/a","value":1}]'
    ]


def _taken_over(data: bytes) -> object:
    loaded = decoded(data)
    content_of(LegacyKind.FLASK_SESSION, loaded)
    values = untagged(dict(loaded))
    return content_of(LegacyKind.DJANGO, values) if isinstance(values, dict) else None


def _payloads() -> list[bytes]:
    session = {
        "_user_id": "ada",
        "n": [1, 2.5, None, {"t": "x"}],
        " t": [1],
        "d": {" d": "Fri, 02 Jan 2026 00:00:00 GMT"},
    }
    packed = msgspec.msgpack.encode(session)
    return [
        packed,
        json.dumps(session).encode(),
        pickle.dumps(Canary()),
        pickle.dumps(session, 0),
        zlib.compress(packed),
        b"\x80\x04",
        b"\xde\x00\x01",
    ]


def _cookie() -> Callable[[bytes], object]:
    cookie = CookiePolicy(Settings(database_url="memory://"))
    return lambda data: (
        cookie.token_in("https", "a.example", [data.decode("latin-1")]),
        cookie.token_in("http", "127.0.0.1:8000", data.decode("latin-1").split("\n")),
    )


def _signed(kind: LegacyKind) -> Callable[[bytes], object]:
    reader = SignedCookies(kind, [KEY])
    return _text(lambda text: reader.read(text, NOW))


def _signed_corpus() -> list[bytes]:
    body = base64.urlsafe_b64encode(b'{"_user_id":"1"}').rstrip(b"=")
    packed = b"." + base64.urlsafe_b64encode(zlib.compress(b'{"a":' + b"1" * 100 + b"}")).rstrip(b"=")
    by_starlette = itsdangerous.TimestampSigner(KEY).sign(base64.b64encode(b'{"user":"x"}'))
    signer = itsdangerous.TimestampSigner(KEY, salt="cookie-session", key_derivation="hmac")
    return [signer.sign(body), signer.sign(packed), by_starlette, body + b":1abc:sig", b"..", b":::"]


def _bodies() -> Callable[[bytes], object]:
    kinds = [kind for kind in vars(bodies).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    decoders = [
        msgspec.json.Decoder(kind)
        for kind in kinds
        if kind is not msgspec.Struct and kind.__module__ == bodies.__name__
    ]

    def read(data: bytes) -> None:
        for decoder in decoders:
            try:
                decoder.decode(data)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                continue

    return read


def _sealed() -> Callable[[bytes], object]:
    from sessile.stores.encrypted import ContentCipher

    return functools.partial(ContentCipher({"k1": bytes(range(32))}).open, "document\x001\x001")


def _sealed_corpus() -> list[bytes]:
    from sessile.stores.encrypted import ContentCipher

    return [ContentCipher({"k1": bytes(range(32))}).seal("document\x001\x001", b'{"a":1}'), b"\x00sessile1"]


TOKEN: Final = token.make(DEVICE, bytes(32)).encode()
CHANGES: Final = [
    b'[{"seq":1,"base_version":0,"generation":0,"operations":[{"op":"set","path":"/a","value":[1,{"b":null}]}]}]'
]


def targets() -> dict[str, Target]:
    """By name; made anew, so that no target's state outlives a run."""
    frames = [*_corpus("frames"), b'{"type":"hello","protocol":[1],"token":"x"}', b"[" * 2000, b'{"type":"ping"}']
    signed = (PayloadRefused,)
    return {
        "token": Target(_text(token.parse), (SessionNotFound,), [TOKEN, TOKEN[:-1], b"", TOKEN.upper()]),
        "cookies": Target(
            _cookie(),
            (),
            [
                b"__Host-Http-sessile=" + TOKEN,
                b"sessile=" + TOKEN + b"; a=b\nsessile=x",
                b"=__Host-Http-sessile=" + TOKEN,
                b'a="b;c"; ;;=;',
            ],
        ),
        "frames": Target(_text(parse_frame), (MalformedFrame, UnknownFrameType), frames),
        "operations": Target(_json(parse_operations), (InvalidChange,), _operations()),
        "changes": Target(_json(lambda raw: parse_changes(raw, device_id=DEVICE)), (InvalidChange,), CHANGES),
        "bodies": Target(
            _bodies(),
            (InvalidValue, InvalidChange, ValueError),
            [b'{"user_id":"ada","public":{},"code":"ABCD"}', b"{}", *CHANGES],
        ),
        "document import": Target(
            _json(_import), (SessileError,), [b'{"format":"sessile.document","version":1}', b"{}", b"[]"]
        ),
        "session import": Target(_taken_over, (PayloadRefused, InvalidValue), _payloads()),
        "Flask cookie": Target(_signed(LegacyKind.FLASK_COOKIE), signed, _signed_corpus()),
        "Starlette cookie": Target(_signed(LegacyKind.STARLETTE_COOKIE), signed, _signed_corpus()),
        "Django cookie": Target(_signed(LegacyKind.DJANGO_COOKIE), signed, _signed_corpus()),
        "session data": Target(
            values.decode, (InvalidValue,), [values.encode({"a": (1, b"x"), "t": NOW}), b"{}", b'{"!":1}']
        ),
        "cache entry": Target(
            unpack_session, (UnknownForm,), [b"\x01\x80", b"\x01" + msgspec.msgpack.encode({"session_id": "x"})]
        ),
        "sealed content": Target(_sealed(), (SessileError,), _sealed_corpus()),
        "cursors": Target(
            _text(lambda text: (Cursor.parse(text), AuditPlace.parse(text))),
            (ValueError, OverflowError),
            [b"1.2.~", b"1.2.user:ada"],
        ),
    }


def _import(raw: Any) -> object:
    return imported(raw, DEVICE, lambda: DEVICE) if isinstance(raw, dict) else None
