"""Webhooks as the Standard Webhooks specification (1.0.0) signs them, HMAC-SHA-256: for us who send and for those who receive."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from sessile.model.errors import InvalidValue
from sessile.model.secret import MAKE_ONE, SECRET_BYTES_MIN, check_secret

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"
TOLERANCE_S: Final = 300.0
"""How far a timestamp may be from the receiver's time, in both directions: what the specification's own libraries allow."""
ALERT_KINDS: Final = ("alert.fired", "alert.resolved")
_PREFIX: Final = "whsec_"
_SIGNATURES_MAX: Final = 20
_TIMESTAMP: Final = re.compile(r"\d{1,12}", re.ASCII)


def webhook_key(secret: str) -> bytes:
    """The key that a secret stands for: what `whsec_` and base64 hold, else the text itself. Raises ValueError, without the secret, for a weak one."""
    if not secret.startswith(_PREFIX):
        check_secret(secret)
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("begins with whsec_, and what follows is not base64") from None
    if len(key) < SECRET_BYTES_MIN or len(set(key)) < SECRET_BYTES_MIN // 4:
        raise ValueError(f"holds no {SECRET_BYTES_MIN} random bytes; {MAKE_ONE}")
    return key


def signature_of(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 of the HMAC over id, timestamp and body, with dots between them."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def read_webhook(
    secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime, tolerance_s: float
) -> list[dict[str, Any]]:
    """The events of a message, after its signature and time were checked. Raises InvalidValue, ValueError for a weak secret."""
    check_signature(secrets, headers, body, now, tolerance_s)
    return _events(body)


def read_alert(
    secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime, tolerance_s: float
) -> dict[str, Any]:
    """The alert of a message. Raises like `read_webhook`."""
    check_signature(secrets, headers, body, now, tolerance_s)
    try:
        message = msgspec.json.decode(body)
        if message["type"] not in ALERT_KINDS:
            raise InvalidValue("/type", "signed, and not an alert")
        return msgspec.convert(message["data"], dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError):
        raise InvalidValue("", "signed, and not an alert") from None


def check_signature(
    secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime, tolerance_s: float
) -> None:
    """Raises InvalidValue, which names the header; ValueError for a weak secret."""
    lowered = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = _header(lowered, ID_HEADER), _header(lowered, TIMESTAMP_HEADER)
    signatures = _header(lowered, SIGNATURE_HEADER).split(" ")[:_SIGNATURES_MAX]
    if _TIMESTAMP.fullmatch(timestamp) is None:
        raise InvalidValue(f"/{TIMESTAMP_HEADER}", "seconds since 1970")
    age_s = now.timestamp() - int(timestamp)
    if abs(age_s) > tolerance_s:
        raise InvalidValue(f"/{TIMESTAMP_HEADER}", f"more than {tolerance_s:g} s away from this machine's time")
    right = [signature_of(webhook_key(one), message_id, int(timestamp), body).encode() for one in secrets]
    # Each with each, so that the time does not tell which one fits.
    if not any([hmac.compare_digest(sent.encode("utf-8", "replace"), one) for sent in signatures for one in right]):  # noqa: C419
        raise InvalidValue(f"/{SIGNATURE_HEADER}", "not signed with this secret")


def _header(headers: Mapping[str, str], name: str) -> str:
    if name not in headers:
        raise InvalidValue(f"/{name}", "this header is missing")
    return headers[name]


def _events(body: bytes) -> list[dict[str, Any]]:
    try:
        events = msgspec.json.decode(body)["data"]["events"]
        return msgspec.convert(events, list[dict[str, Any]])
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError):
        raise InvalidValue("", "signed, and not audit events") from None
