"""Request bodies: typed, strict, decoded once. Unknown fields are ignored, as in frames; protected ones simply do not exist here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request

from sessile.model.limits import CHANGES_PER_FRAME_MAX, PATH_LENGTH_MAX, USER_ID_LENGTH_MAX
from sessile.server.realtime.frames import RESTORE_PATHS_MAX, Count, DeviceFacts, Id, Label, Name, Pointer, Uuid
from sessile.server.refusals import InvalidRequest, MalformedFrame

BodyT = TypeVar("BodyT", bound=msgspec.Struct)


class HeartbeatBody(msgspec.Struct, frozen=True, kw_only=True):
    device_id: Uuid | None = None
    device: DeviceFacts | None = None


class NewSessionBody(msgspec.Struct, frozen=True, kw_only=True):
    user_id: Annotated[str, Meta(min_length=1, max_length=USER_ID_LENGTH_MAX)] | None = None
    public: dict[str, Any] | None = None
    platform_id: Id | None = None


class OpenBody(msgspec.Struct, frozen=True, kw_only=True):
    default: dict[str, Any] | None = None
    device_id: Uuid | None = None


class ChangesBody(msgspec.Struct, frozen=True, kw_only=True):
    """`changes` as in the frame `change`; checked further by sessile.model.change_format."""

    device_id: Uuid
    changes: Annotated[list[Any], Meta(min_length=1, max_length=CHANGES_PER_FRAME_MAX)]


class CheckpointBody(msgspec.Struct, frozen=True, kw_only=True):
    label: Label = ""
    kind: Literal["manual", "step"] = "manual"
    step: Count | None = None
    request_id: Id | None = None
    device_id: Uuid | None = None


class RestoreBody(msgspec.Struct, frozen=True, kw_only=True):
    checkpoint_id: Uuid
    paths: Annotated[list[Pointer], Meta(min_length=1, max_length=RESTORE_PATHS_MAX)] | None = None
    dry_run: bool = False
    version: Count | None = None
    device_id: Uuid | None = None


class PlatformBody(msgspec.Struct, frozen=True, kw_only=True):
    platform_id: Id
    expected_platform_id: Id | UnsetType | None = UNSET
    """The platform that the caller believes the session to be on; null: none. Absent: it does not care."""


class ForkBody(msgspec.Struct, frozen=True, kw_only=True):
    """Of now, or of one of the two points."""

    name: Name
    at_version: Count | None = None
    checkpoint_id: Uuid | None = None


class ActivityBody(msgspec.Struct, frozen=True, kw_only=True):
    type: Annotated[str, Meta(pattern="^app[.][a-z0-9_.-]{1,60}$")]
    data: dict[str, Any] = {}


class ImportBody(msgspec.Struct, frozen=True, kw_only=True):
    """`exported` as `export` gave it; checked further by sessile.model.transfer."""

    exported: dict[str, Any]
    name: Name | None = None


class OfferBody(msgspec.Struct, frozen=True, kw_only=True):
    path: Annotated[str, Meta(max_length=PATH_LENGTH_MAX)] = ""
    """Where the other device goes on."""


class RedeemBody(msgspec.Struct, frozen=True, kw_only=True):
    """`code` as it was typed, or the longer secret of the picture."""

    code: Annotated[str, Meta(min_length=1, max_length=64)]
    device: DeviceFacts | None = None

    def __repr__(self) -> str:
        return "RedeemBody()"


class ConfirmBody(msgspec.Struct, frozen=True, kw_only=True):
    handoff_id: Uuid
    accept: bool


class CompleteBody(msgspec.Struct, frozen=True, kw_only=True):
    """`bearer`: the token goes into the answer, for a client that is no browser."""

    handoff_id: Uuid
    claim: Annotated[str, Meta(min_length=1, max_length=64)]
    bearer: bool = False

    def __repr__(self) -> str:
        return f"CompleteBody(handoff_id={self.handoff_id!r})"


BODIES: Final = (
    OfferBody,
    RedeemBody,
    ConfirmBody,
    CompleteBody,
    HeartbeatBody,
    PlatformBody,
    NewSessionBody,
    OpenBody,
    ChangesBody,
    CheckpointBody,
    RestoreBody,
    ForkBody,
    ActivityBody,
    ImportBody,
)
_REF: Final = "#/components/schemas/{name}"


def body_of(kind: type[BodyT], *, may_be_empty: bool = False) -> Callable[[Request], Awaitable[BodyT]]:
    """A dependency that gives the decoded body. Raises MalformedFrame when there is none, InvalidRequest when it does not fit."""
    decoder = msgspec.json.Decoder(kind)

    async def read(request: Request) -> BodyT:
        raw = await request.body()
        if not raw:
            if may_be_empty:
                return kind()
            raise MalformedFrame("A JSON body is needed.")
        try:
            return decoder.decode(raw)
        except msgspec.ValidationError as error:
            raise InvalidRequest([{"place": "body", "problem": str(error)}]) from None
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            raise MalformedFrame("The body is not JSON that can be read.") from None

    return read


async def patch_body(request: Request) -> dict[str, Any]:
    """A JSON Merge Patch (RFC 7396) of an object. Raises like `body_of`."""
    raw = await request.body()
    if not raw:
        raise MalformedFrame("A JSON body is needed.")
    try:
        patch = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise MalformedFrame("The body is not JSON that can be read.") from None
    if not isinstance(patch, dict):
        raise InvalidRequest([{"place": "body", "problem": "a document's state is an object, so its patch is one too"}])
    return patch


def described(kind: type[msgspec.Struct], *, may_be_empty: bool = False) -> dict[str, Any]:
    """The OpenAPI description of a body, for `openapi_extra`."""
    schema = {"$ref": _REF.format(name=kind.__name__)}
    return {"requestBody": {"required": not may_be_empty, "content": {"application/json": {"schema": schema}}}}


def described_patch() -> dict[str, Any]:
    content = {"application/merge-patch+json": {"schema": {"type": "object"}}}
    return {"requestBody": {"required": True, "content": content}}


def components() -> dict[str, Any]:
    """The schemas that `described` refers to."""
    _, schemas = msgspec.json.schema_components(BODIES, ref_template=_REF)
    return schemas
