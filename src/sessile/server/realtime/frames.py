"""Frames a client may send: decoding and every check that needs no state. What passes here has the right shape, nothing more.

protocol/schema/client.json says the same as a JSON Schema; protocol/vectors/frames.json holds both to it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from sessile.model.limits import (
    CHANGES_PER_FRAME_MAX,
    DOCUMENTS_PER_SOCKET_MAX,
    KEY_BYTES_MAX,
    LABEL_LENGTH_MAX,
    NAME_LENGTH_MAX,
    NUMBER_MAX,
    USER_ID_LENGTH_MAX,
)
from sessile.server.refusals import MalformedFrame, UnknownFrameType

PROTOCOL_VERSION: Final = 1
SUBPROTOCOL: Final = "sessile.v1"
UUID_PATTERN: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
RESTORE_PATHS_MAX: Final = 200
TABS_PER_SOCKET_MAX: Final = 10_000
_POINTER_LENGTH_MAX: Final = 4096

Uuid = Annotated[str, Meta(pattern=UUID_PATTERN, min_length=36, max_length=36)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH_MAX)]
Label = Annotated[str, Meta(max_length=LABEL_LENGTH_MAX)]
Count = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
Epoch = Annotated[str, Meta(min_length=1, max_length=64)]
Pointer = Annotated[str, Meta(max_length=_POINTER_LENGTH_MAX)]


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Unknown fields are ignored, so that a newer client can talk to an older server."""

    session_id: str | None = None
    session_id_camel: str | None = msgspec.field(default=None, name="sessionId")

    @property
    def named_session(self) -> str | None:
        """The session a frame names, in either spelling. It must be the socket's own."""
        return self.session_id if self.session_id is not None else self.session_id_camel

    @property
    def ref(self) -> str | None:
        """What an error about this frame refers to."""
        return getattr(self, "request_id", None) or getattr(self, "document_id", None)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A document to open, by id or by name, and the position that the client is at."""

    document_id: Uuid | None = None
    name: Name | None = None
    default: dict[str, Any] | None = None
    epoch: Epoch | None = None
    version: Count | None = None

    def __post_init__(self) -> None:
        if (self.document_id is None) == (self.name is None):
            raise ValueError("a wanted document has a document_id or a name, exactly one of them")
        if (self.epoch is None) != (self.version is None):
            raise ValueError("epoch and version are one value: both or none")


class DeviceFacts(msgspec.Struct, frozen=True, kw_only=True):
    label: Label | None = None
    screen: Label | None = None
    time_zone: Label | None = None
    language: Label | None = None
    platform: Label | None = None


TabCount = Annotated[int, Meta(ge=1, le=TABS_PER_SOCKET_MAX)]
"""How many tabs of the browser a socket serves."""
Documents = Annotated[list[Wanted], Meta(max_length=DOCUMENTS_PER_SOCKET_MAX)]


class Hello(Frame, frozen=True, kw_only=True, tag="hello"):
    protocol: Literal[1]
    device_id: Uuid
    tab_id: Id
    visible: bool = True
    tabs: TabCount = 1
    term: Annotated[int, Meta(ge=1, le=NUMBER_MAX)] | None = None
    """Of the tab that holds the browser's socket: of two sockets of one device the one with the higher term stays."""
    device: DeviceFacts | None = None
    token: Annotated[str, Meta(max_length=512)] | None = None
    user_id: Annotated[str, Meta(max_length=USER_ID_LENGTH_MAX)] | UnsetType | None = UNSET
    """The user the client believes to be. Absent: it does not care."""
    platform_id: Id | None = None
    """The tab's own platform, where it is another than the session's."""
    documents: Documents = msgspec.field(default_factory=list)

    def __repr__(self) -> str:
        return f"Hello(device_id={self.device_id!r}, documents={len(self.documents)})"


class Subscribe(Frame, frozen=True, kw_only=True, tag="subscribe"):
    request_id: Id
    documents: Annotated[list[Wanted], Meta(min_length=1, max_length=DOCUMENTS_PER_SOCKET_MAX)]


class Unsubscribe(Frame, frozen=True, kw_only=True, tag="unsubscribe"):
    document_id: Uuid


class Change(Frame, frozen=True, kw_only=True, tag="change"):
    """`changes` are checked by `sessile.model.change_format`, which names the faulty field."""

    document_id: Uuid
    changes: Annotated[list[Any], Meta(min_length=1, max_length=CHANGES_PER_FRAME_MAX)]


class StateUpdate(Change, frozen=True, kw_only=True, tag="state_update"):
    """The older name of `change`."""


class RequestSync(Frame, frozen=True, kw_only=True, tag="request_sync"):
    document_id: Uuid
    reason: Literal["gap", "hash", "epoch", "resume", "user"]
    epoch: Epoch | None = None
    version: Count | None = None

    def __post_init__(self) -> None:
        if (self.epoch is None) != (self.version is None):
            raise ValueError("epoch and version are one value: both or none")


class Checkpoint(Frame, frozen=True, kw_only=True, tag="checkpoint"):
    request_id: Id
    document_id: Uuid
    label: Label = ""
    kind: Literal["manual", "step"] = "manual"
    step: Count | None = None


class Restore(Frame, frozen=True, kw_only=True, tag="restore"):
    request_id: Id
    document_id: Uuid
    checkpoint_id: Uuid
    paths: Annotated[list[Pointer], Meta(min_length=1, max_length=RESTORE_PATHS_MAX)] | None = None
    dry_run: bool = False
    version: Count | None = None


class Presence(Frame, frozen=True, kw_only=True, tag="presence"):
    visible: bool
    tabs: TabCount = 1


class Pong(Frame, frozen=True, kw_only=True, tag="pong"):
    at: Annotated[str, Meta(max_length=40)]


ClientFrame = (
    Hello | Subscribe | Unsubscribe | Change | StateUpdate | RequestSync | Checkpoint | Restore | Presence | Pong
)

_DECODER: Final[msgspec.json.Decoder[ClientFrame]] = msgspec.json.Decoder(ClientFrame)
_TYPES: Final = frozenset({
    "hello", "subscribe", "unsubscribe", "change", "state_update", "request_sync", "checkpoint", "restore", "presence", "pong",
})  # fmt: skip


def parse_frame(text: str) -> ClientFrame:
    """The frame. Raises MalformedFrame or UnknownFrameType, with the request or document it was about when that can be told."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise MalformedFrame("The frame is nested too deeply.") from None
    except UnicodeError:
        raise MalformedFrame("The frame is not UTF-8 text.") from None
    except msgspec.ValidationError as error:
        raise _explained(text, str(error)) from None
    except msgspec.DecodeError:
        raise MalformedFrame("The frame is not JSON.") from None


def parse_hello(text: str | None) -> Hello:
    """The first frame (None: it was not text). Raises MalformedFrame or UnknownFrameType."""
    if text is None:
        raise MalformedFrame("Frames are JSON text.")
    frame = parse_frame(text)
    if not isinstance(frame, Hello):
        raise MalformedFrame("The first frame is hello.", ref=frame.ref)
    return frame


def _explained(text: str, problem: str) -> MalformedFrame | UnknownFrameType:
    """The frame is JSON; what is wrong with it?"""
    try:
        raw = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return MalformedFrame("The frame is not JSON that can be read.")
    if not isinstance(raw, dict):
        return MalformedFrame("A frame is a JSON object.")
    ref = next((raw[key] for key in ("request_id", "document_id") if _is_reference(raw.get(key))), None)
    kind = raw.get("type")
    if isinstance(kind, str) and kind not in _TYPES:
        return UnknownFrameType(ref=ref)
    return MalformedFrame(f"The frame does not fit its schema: {problem}", ref=ref)


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= KEY_BYTES_MAX
