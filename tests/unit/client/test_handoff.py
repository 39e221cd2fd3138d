"""The asking side of a hand-off: what is sent, how long it is asked, what ends it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from sessile.client import ConnectionLost, NotConnected
from sessile.client import handoff as handoff_module
from sessile.client.handoff import RedeemedHandoff, _redeem, redeem_handoff
from sessile.client.transport import Transport
from sessile.model.errors import ConfigurationError, HandoffRefused, SessileError, StoreUnavailable, TooManyTries
from tests.unit.client.fake_service import AT, URL, FakeService, problem, session, token

CLAIM = "c" * 22
REDEEMED = {"handoff_id": "h", "claim": CLAIM, "user": {"name": "Ann"}, "expires_at": AT}
WAITING = httpx.Response(202, json={"status": "redeemed"})
COMPLETED = {"status": "completed", "session": session(), "path": "/intake", "token": token()}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, without waiting."""
    waited: list[float] = []

    async def at_once(pause_s: float) -> None:
        waited.append(pause_s)
        await asyncio.sleep(0)

    monkeypatch.setattr(handoff_module, "_pause", at_once)
    return waited


def service_of(*answers: Any) -> FakeService:
    """`complete` answers these in turn, and the last one for ever; an exception is a fault of the network."""
    left = list(answers)

    def complete(_request: httpx.Request) -> httpx.Response:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    return FakeService({"POST handoff/redeem": REDEEMED, "POST handoff/complete": complete})


async def redeemed_at(service: FakeService) -> RedeemedHandoff:
    return await _redeem(Transport(URL, over=service.transport), "abcd efgh", "Agent")


async def test_a_code_becomes_a_token_when_the_first_device_agrees(pauses: list[float]) -> None:
    service = service_of(WAITING, WAITING, COMPLETED)
    redeemed = await redeemed_at(service)
    assert redeemed.user == {"name": "Ann"}
    assert service.body() == {"code": "abcd efgh", "device": {"label": "Agent"}}
    completed = await redeemed.completed()
    assert (completed.token, completed.path, completed.session["user"]) == (token(), "/intake", {"id": "ann"})
    assert service.body() == {"handoff_id": "h", "claim": CLAIM, "bearer": True}
    assert service.tokens == ["", "", "", ""], "nobody is logged in yet"
    assert len(pauses) == 2
    assert CLAIM not in repr(redeemed)
    assert token().split(".")[1] not in repr(completed)


async def test_the_pauses_grow_to_an_end(pauses: list[float]) -> None:
    await (await redeemed_at(service_of(*[WAITING] * 20, COMPLETED))).completed()
    assert len(pauses) == 20
    assert 0.4 <= pauses[0] <= 0.6
    assert all(2.4 <= pause_s <= 3.6 for pause_s in pauses[6:])


async def test_an_outage_is_not_a_refusal(pauses: list[float]) -> None:
    away = [
        httpx.ConnectError("refused"),
        httpx.ReadError("cut"),
        problem("store_unavailable", 503),
        problem("too_many", 429),
    ]
    completed = await (await redeemed_at(service_of(*away, COMPLETED))).completed()
    assert completed.token == token()
    assert len(pauses) == 4


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.ConnectError("refused"), NotConnected),
        (httpx.ReadError("cut"), ConnectionLost),
        (problem("store_unavailable", 503), StoreUnavailable),
        (problem("too_many", 429), TooManyTries),
    ],
)
async def test_an_outage_that_does_not_end_is_told(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch, answer: Any, expected: type[SessileError]
) -> None:
    monkeypatch.setattr(handoff_module, "HANDOFF_LIFETIME_S", 0)
    with pytest.raises(expected):
        await (await redeemed_at(service_of(answer))).completed()
    assert pauses


@pytest.mark.parametrize("reason", ["refused", "ended", "unknown"])
async def test_a_refusal_ends_it(pauses: list[float], reason: str) -> None:
    redeemed = await redeemed_at(service_of(WAITING, problem("handoff_refused", 404, reason=reason)))
    with pytest.raises(HandoffRefused) as refused:
        await redeemed.completed()
    assert refused.value.reason == reason
    assert len(pauses) == 1


async def test_whoever_was_cancelled_may_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pausing = asyncio.Event()

    async def long(_pause_s: float) -> None:
        pausing.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(handoff_module, "_pause", long)
    redeemed = await redeemed_at(service_of(WAITING, COMPLETED))
    waiting = asyncio.create_task(redeemed.completed())
    await pausing.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await redeemed.completed()).token == token()


async def test_a_wrong_code_is_refused() -> None:
    service = FakeService({"POST handoff/redeem": problem("handoff_refused", 404, reason="unknown")})
    with pytest.raises(HandoffRefused):
        await redeemed_at(service)


async def test_an_address_that_is_none() -> None:
    with pytest.raises(ConfigurationError):
        await redeem_handoff("https://example.com/#code", "abcd")
