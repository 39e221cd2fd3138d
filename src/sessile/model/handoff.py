"""A hand-off: a logged-in device lends its log-in to another one, by a code that is shown as a picture or typed.

The code is good once and for two minutes. Whoever has it asks (`redeemed`), the first device says yes or no, and only then does the second
one get a session of its own. Codes are kept as keyed hashes, so a stolen database gives none away.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

CODE_BYTES: Final = 5
SECRET_BYTES: Final = 16
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O and U, so nothing that is typed can be taken for something else."""
_STANDARD: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_OURS: Final = str.maketrans(_STANDARD, _ALPHABET)
_MEANT: Final = str.maketrans("OIL", "011")
_CODE: Final = re.compile(rf"[{_ALPHABET}]{{8}}", re.ASCII)
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)


class HandoffStatus(StrEnum):
    OFFERED = "offered"
    REDEEMED = "redeemed"
    """Another device has shown the code and waits for the first one to agree."""
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """`session_id` and `user_id` are of the device that offers; `device` are the facts of the one that asks. Times are UTC."""

    handoff_id: str
    session_id: str
    user_id: str
    code_hash: bytes = field(repr=False)
    secret_hash: bytes = field(repr=False)
    claim_hash: bytes | None = field(default=None, repr=False)
    path: str = ""
    """Where the other device is to go on: a path of the application."""
    status: HandoffStatus = HandoffStatus.OFFERED
    device: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime
    expires_at: datetime
    new_session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Offered:
    """A hand-off with its two ways in: `code` to be typed, `secret` for a picture. The only time that they are known."""

    handoff: Handoff
    code: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What the asking device keeps: `claim` is its proof, for `complete`. `public` is what it may see of whose account it is."""

    handoff: Handoff
    claim: str = field(repr=False)
    public: Mapping[str, Any]


def code_text(random_bytes: bytes) -> str:
    """40 bits as `XXXX-XXXX`."""
    text = base64.b32encode(random_bytes).decode().translate(_TO_OURS)
    return f"{text[:4]}-{text[4:]}"


def secret_text(random_bytes: bytes) -> str:
    """128 bits as 22 characters that a URL takes."""
    return base64.urlsafe_b64encode(random_bytes).rstrip(b"=").decode()


def normalized(typed: str) -> str | None:
    """The code or secret that was meant, whatever a person made of case, spaces and dashes; None for what is neither."""
    if _SECRET.fullmatch(typed):
        return typed
    code = re.sub(r"[\s-]", "", typed[:40]).upper().translate(_MEANT)
    return code if _CODE.fullmatch(code) else None
