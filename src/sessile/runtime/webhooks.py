"""For those who receive our webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sessile.model.webhook import TOLERANCE_S, read_alert, read_webhook


def verify_webhook(
    secret: str | Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> list[dict[str, Any]]:
    """The audit events of a webhook that we sent, after its signature and time were checked (Standard Webhooks 1.0.0). `body` is what came, byte for byte; `headers` may
    have any case. With several secrets one has to fit, so a secret can be replaced without losing anything.

    The same events can come again: `hash` says which they are. Raises InvalidValue, which names the header, for what is not signed with it, older
    or younger than `tolerance_s`, or not ours; ValueError for a weak secret.
    """
    secrets = [secret] if isinstance(secret, str) else secret
    return read_webhook(secrets, headers, body, now or datetime.now(UTC), tolerance_s)


def verify_alert(
    secret: str | Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> dict[str, Any]:
    """The alert of a message to `alert_webhook_url`: `rule`, `meaning`, `severity`, `state`, `value`, `threshold`, `unit`, `since`, `resolved_at`, `times`,
    `is_repeated`, `node`. Raises like `verify_webhook`."""
    secrets = [secret] if isinstance(secret, str) else secret
    return read_alert(secrets, headers, body, now or datetime.now(UTC), tolerance_s)
