"""One client lends its log-in to another one, through the real service."""

from __future__ import annotations

import asyncio

import pytest

from sessile.client import Client, redeem_handoff
from sessile.client import events as told
from sessile.model.errors import HandoffRefused, TooManyTries
from sessile.model.handoff import HandoffStatus
from tests.integration.client.people import Told, client_of, within
from tests.integration.server.running import served


async def test_a_code_becomes_a_client_when_the_first_device_agrees() -> None:
    async with (
        served() as running,
        client_of(running, (await running.manager.create_session("ada", public={"name": "Ada"})).token) as first,
    ):
        changes = Told(first, told.HandoffChanged)
        offered = await first.api.handoff_offer("/intake")
        redeemed = await redeem_handoff(running.origin, offered.code.lower(), device_label="Printer")
        assert redeemed.user == {"name": "Ada"}
        asks = await changes.next(lambda event: event.status is HandoffStatus.REDEEMED)
        assert (asks.handoff_id, asks.device["label"]) == (offered.handoff_id, "Printer")
        waiting = asyncio.create_task(redeemed.completed())
        assert (await first.api.handoff_confirm(offered.handoff_id, accept=True)).status is HandoffStatus.CONFIRMED
        completed = await within(waiting)
        assert completed.path == "/intake"
        await changes.next(lambda event: event.status is HandoffStatus.COMPLETED)
        async with client_of(running, completed.token) as second:
            assert (second.session or {})["user"] == {"id": "ada", "name": "Ada"}
            assert (second.session or {})["session_id"] != (first.session or {})["session_id"]
        assert len(await first.api.sessions()) == 2


async def test_the_secret_of_the_picture_is_as_good_as_the_code() -> None:
    async with served() as running, client_of(running) as first:
        offered = await first.api.handoff_offer()
        assert offered.qr_svg.startswith("<")
        redeemed = await redeem_handoff(running.origin, offered.url.partition("#")[2])
        assert redeemed.handoff_id == offered.handoff_id
        with pytest.raises(HandoffRefused):
            await redeem_handoff(running.origin, offered.code)


async def test_a_no_is_told() -> None:
    async with served() as running, client_of(running) as first:
        offered = await first.api.handoff_offer()
        assert (await first.api.handoff_status(offered.handoff_id)).status is HandoffStatus.OFFERED
        redeemed = await redeem_handoff(running.origin, offered.code)
        await first.api.handoff_confirm(offered.handoff_id, accept=False)
        with pytest.raises(HandoffRefused) as refused:
            await within(redeemed.completed())
        assert refused.value.reason == "refused"


async def test_guessing_is_slowed_down() -> None:
    async with served() as running:
        for _ in range(5):
            with pytest.raises(HandoffRefused):
                await redeem_handoff(running.origin, "ABCD-EFGH")
        with pytest.raises(TooManyTries):
            await redeem_handoff(running.origin, "ABCD-EFGH")


async def test_a_hand_off_of_somebody_else_is_none() -> None:
    async with served() as running, client_of(running) as first:
        offered = await first.api.handoff_offer()
        other = Client(running.origin, token=await running.token())
        with pytest.raises(HandoffRefused):
            await other.api.handoff_status(offered.handoff_id)
        await other.close()
