"""What empties the outbox, and what a second client on it says."""

from __future__ import annotations

from pathlib import Path

from sessile.client import Outbox
from sessile.client import events as told
from tests.unit.client.fake_server import Peer, fake_server, stay
from tests.unit.client.test_connection import client_of, until


async def test_what_was_confirmed_and_not_acknowledged_is_sent_again_by_the_next_client_and_told_once_by_each(
    tmp_path: Path,
) -> None:
    """The ack is what empties the outbox; the confirmed state may come before it, and the client may be closed in between."""

    async def without_ack(peer: Peer) -> None:
        await peer.welcome(last_seq=0)
        await peer.snapshot({})
        change = (await peer.heard("change"))["changes"][0]
        await peer.update(1, change["operations"], seq=1, device_no=1)
        await peer.update(1, change["operations"], seq=1, device_no=1)
        await stay(peer)

    async def with_ack(peer: Peer) -> None:
        await peer.welcome(last_seq=1, version=1)
        await peer.snapshot({"a": 1}, version=1, last_seq=1)
        assert [change["seq"] for change in (await peer.heard("change"))["changes"]] == [1]
        await peer.ack(1)
        await peer.ack(1)
        await stay(peer)

    versions: list[list[int | None]] = []

    def note(event: told.ChangeSettled) -> None:
        versions[-1].append(event.answer.version)

    async with fake_server(without_ack, with_ack) as server:
        for is_first in (True, False):
            versions.append([])
            client = client_of(server, outbox=Outbox(tmp_path / "box.sqlite3"))
            client.on(told.ChangeSettled, note)
            async with client:
                document = await client.document("intake")
                if is_first:
                    await document.set("/a", 1)
                await until(lambda: bool(versions[-1]), client)
                assert document.state == {"a": 1}
    assert versions == [[1], [1]]
