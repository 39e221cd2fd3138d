"""The asking side of a hand-off: from a code that another device shows to a token, without a session before."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sessile.client.addresses import addresses
from sessile.client.errors import ConnectionLost, NotConnected
from sessile.client.resources import SessionFacts
from sessile.client.transport import Transport
from sessile.model.errors import StoreUnavailable, TooManyTries
from sessile.model.limits import HANDOFF_LIFETIME_S

logger = logging.getLogger("sessile.client")

FIRST_PAUSE_S: Final = 0.5
PAUSE_MAX_S: Final = 3.0
"""A person is looking at both devices."""
_GROWTH: Final = 1.5
_AWAY: Final = (NotConnected, ConnectionLost, StoreUnavailable, TooManyTries)
"""Nothing is decided: the same question again, which the service answers as often as it is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """The log-in is here: `token` is for `Client`. `path` is where the other device wanted this one to go on."""

    token: str = field(repr=False)
    session: SessionFacts
    path: str


class RedeemedHandoff:
    """A code was good. `user` is whose account it is, as pages see them: show it, so that nobody logs in as somebody else. Until
    `expires_at` the first device can agree."""

    def __init__(self, transport: Transport, answer: Mapping[str, Any]) -> None:
        self.handoff_id: str = answer["handoff_id"]
        self.user: Mapping[str, Any] = answer["user"]
        self.expires_at = datetime.fromisoformat(answer["expires_at"])
        self._claim: str = answer["claim"]
        self._transport = transport

    def __repr__(self) -> str:
        return f"RedeemedHandoff({self.handoff_id!r})"

    async def completed(self) -> HandedOver:
        """Asks again and again, with growing pauses, until the first device has agreed. Outages are waited for, at most as long as a
        hand-off lasts. Raises HandoffRefused (its `reason`: `refused`, `ended`, or `unknown` when it is too late), MaintenanceUnderway,
        SessionLimitReached, and the outage's error when it does not end. Whoever is cancelled may call it again."""
        pause_s = FIRST_PAUSE_S
        gone_since_s: float | None = None
        body = {"handoff_id": self.handoff_id, "claim": self._claim, "bearer": True}
        try:
            while True:
                try:
                    answer = await self._transport.post("handoff/complete", body)
                except _AWAY as problem:
                    now_s = asyncio.get_running_loop().time()
                    gone_since_s = gone_since_s if gone_since_s is not None else now_s
                    if now_s - gone_since_s > HANDOFF_LIFETIME_S:
                        raise
                    logger.info(
                        "the hand-off is asked about again: %s",
                        problem.code,
                        extra={"event_name": "client_handoff_asked_again"},
                    )
                else:
                    gone_since_s = None
                    if answer["status"] == "completed":
                        return HandedOver(
                            token=answer["token"], session=answer["session"], path=answer.get("path") or ""
                        )
                await _pause(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - spreads requests, guards nothing
                pause_s = min(PAUSE_MAX_S, pause_s * _GROWTH)
        finally:
            await self._transport.rest()


async def redeem_handoff(url: str, code: str, *, device_label: str | None = None) -> RedeemedHandoff:
    """Shows a code, typed or out of a picture, to the service at `url`; `device_label` is what the first device is asked about.

    Raises HandoffRefused for a code that is wrong, used or too late, TooManyTries after wrong ones (wait `retry_after_s`), ConfigurationError
    for an address that is none, and like `client.api` when there is no answer."""
    return await _redeem(Transport(addresses(url)[0]), code, device_label)


async def _redeem(transport: Transport, code: str, device_label: str | None) -> RedeemedHandoff:
    body: dict[str, Any] = {"code": code}
    if device_label is not None:
        body["device"] = {"label": device_label}
    try:
        return RedeemedHandoff(transport, await transport.post("handoff/redeem", body))
    finally:
        await transport.rest()


async def _pause(pause_s: float) -> None:
    await asyncio.sleep(pause_s)
