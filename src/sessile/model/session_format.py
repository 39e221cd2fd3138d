"""A session as bytes, for the cache. The first byte is the form, so that two versions of the program beside each other do not misread one another."""

from __future__ import annotations

from typing import Final

import msgspec

from sessile.model.session import Session

_FORM: Final = b"\x01"
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Session)


class UnknownForm(ValueError):
    """Damaged, or written by another version of the program."""


def pack_session(session: Session) -> bytes:
    """The whole record, with its data and the hashes of its tokens."""
    return _FORM + _ENCODER.encode(session)


def unpack_session(packed: bytes) -> Session:
    """The record. Raises UnknownForm."""
    if not packed.startswith(_FORM):
        raise UnknownForm
    try:
        return _DECODER.decode(packed[1:])  # a view of it would take longer than this copy
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnknownForm from error
