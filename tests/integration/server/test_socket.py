"""The socket's ordinary life: hello, changes, resume, sync, checkpoints, restore, presence, fan-out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from sessile.model.document import Actor
from sessile.testing import shows
from tests.integration.server.peer import Peer, connected, device, setting
from tests.integration.server.running import served

INTAKE = {"name": "intake", "default": {"step": 1}}


@shows("G01", "I01", "socket")
async def test_hello_gives_welcome_then_the_state_then_who_is_there() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        welcome = await peer.open(INTAKE)
        state = await peer.expect("initial_state")
        presence = await peer.expect("presence_state")
        assert peer.socket.subprotocol == "sessile.v1"
        assert peer.kinds()[:3] == ["welcome", "initial_state", "presence_state"]
        assert welcome["session"]["user"] == {"id": "ada"}
        assert welcome["lost_after_ms"] == 1000 * (1.1 * 20 + 10 + 3)
        assert (state["state"], state["version"], state["last_seq"]) == ({"step": 1}, 0, 0)
        assert [entry["device_no"] for entry in presence["devices"]] == [welcome["documents"][0]["device_no"]]


async def test_a_token_in_hello_serves_instead_of_a_cookie() -> None:
    async with served() as server, connected(server.socket_url) as peer:
        welcome = await peer.open(INTAKE, token=await server.token("grace"))
        assert welcome["session"]["user"] == {"id": "grace"}


@shows("G02", "G03", "I02", "socket")
async def test_changes_are_acknowledged_in_order_and_reach_everybody_with_the_sender() -> None:
    async with served() as server:
        token = await server.token()
        async with connected(server.socket_url, cookie=token) as one, connected(server.socket_url, cookie=token) as two:
            await one.open(INTAKE)
            await two.open(INTAKE)
            await two.expect("presence_state")
            for seq in range(1, 6):
                await one.change(setting(seq, f"/answers/{seq}", seq))
            acknowledged: list[int] = []
            while acknowledged[-1:] != [5]:
                ack = await one.expect("ack")
                acknowledged += [verdict["seq"] for verdict in ack["verdicts"]]
                assert ack["seq"] == acknowledged[-1]
            assert acknowledged == [1, 2, 3, 4, 5]
            for peer in (one, two):
                assert await versions(peer, 5) == [1, 2, 3, 4, 5]


async def test_what_is_acknowledged_can_be_read_back() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        await peer.change(setting(1, "/a", 1))
        await peer.expect("ack")
        document = await server.manager.documents.get(Actor.system(), peer.document_id)
        assert dict(document.state) == {"step": 1, "a": 1}


async def test_both_old_names_are_taken() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        welcome = await peer.open(INTAKE)
        session_id = welcome["session"]["session_id"]
        await peer.request("state_update", sessionId=session_id, changes=[setting(1, "/a", 1)])
        assert (await peer.expect("ack"))["verdicts"][0]["verdict"] == "applied"


async def test_a_gap_is_answered_with_the_seq_to_go_on_from() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        await peer.change(setting(2, "/a", 1))
        nack = await peer.expect("nack")
        assert (nack["reason"], nack["expected_seq"]) == ("gap", 1)
        await peer.change(setting(1, "/a", 1), setting(3, "/a", 3))
        assert (await peer.expect("ack"))["seq"] == 1
        assert (await peer.expect("nack"))["expected_seq"] == 2


async def test_a_replay_gets_the_stored_verdict_and_a_reused_identity_a_nack() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        await peer.change(setting(1, "/a", 1))
        first = await peer.expect("ack")
        await peer.change(setting(1, "/a", 1))
        assert (await peer.expect("ack"))["verdicts"] == first["verdicts"]
        await peer.change(setting(1, "/a", "another"))
        assert (await peer.expect("nack"))["reason"] == "identity_reused"
        await peer.barrier()
        assert await versions(peer, 1) == [1]


async def test_a_resume_gets_what_was_missed_or_a_snapshot() -> None:
    async with served() as server:
        token, device_id = await server.token(), device()
        async with connected(server.socket_url, cookie=token) as peer:
            await peer.open(INTAKE, device_id=device_id)
            epoch = (await peer.expect("initial_state"))["epoch"]
            await peer.change(*(setting(seq, "/a", seq) for seq in range(1, 4)))
            await peer.expect("ack")
        wanted = {"document_id": peer.document_id, "epoch": epoch}
        async with connected(server.socket_url, cookie=token) as peer:
            welcome = await peer.open({**wanted, "version": 1}, device_id=device_id)
            assert welcome["documents"][0]["last_seq"] == 3
            update = await peer.expect("state_update")
            assert (update["from"], update["to"], len(update["changes"])) == (1, 3, 2)
        async with connected(server.socket_url, cookie=token) as peer:
            await peer.open({**wanted, "version": 3})
            update = await peer.expect("state_update")
            assert (update["from"], update["to"], update["changes"]) == (3, 3, [])
        for position in ({"epoch": epoch, "version": 9}, {"epoch": "another", "version": 1}):
            async with connected(server.socket_url, cookie=token) as peer:
                await peer.open({"document_id": peer.document_id or wanted["document_id"], **position})
                assert (await peer.expect("initial_state"))["version"] == 3


@shows("G03", "socket")
async def test_request_sync_answers_with_a_delta_or_a_snapshot_and_full_ones_are_limited() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        epoch = (await peer.expect("initial_state"))["epoch"]
        await peer.change(setting(1, "/a", 1))
        await peer.expect("state_update")
        await peer.request("request_sync", reason="gap", epoch=epoch, version=0)
        assert (await peer.expect("state_update"))["to"] == 1
        for _ in range(10):
            await peer.request("request_sync", reason="user")
            assert (await peer.expect("initial_state"))["version"] == 1
        await peer.request("request_sync", reason="user")
        refusal = await peer.expect("error")
        assert (refusal["code"], refusal["retryable"], refusal["ref"]) == ("too_many", True, peer.document_id)


async def test_subscribe_and_unsubscribe_on_an_open_socket() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open()
        await peer.send({"type": "subscribe", "request_id": "r", "documents": [INTAKE, {"document_id": device()}]})
        opened, refused = (await peer.expect("subscribed"))["documents"]
        assert opened["name"] == "intake"
        assert refused["error"]["code"] == "document_not_found"
        await peer.expect("initial_state")
        peer.document_id = opened["document_id"]
        await peer.request("unsubscribe")
        await peer.change(setting(1, "/a", 1))
        await peer.expect("ack")
        await peer.barrier()
        assert "state_update" not in peer.kinds()


@shows("G04", "I03", "I05", "socket")
async def test_a_checkpoint_holds_what_was_sent_before_it_and_a_restore_goes_back() -> None:
    async with served() as server:
        token = await server.token()
        async with connected(server.socket_url, cookie=token) as one, connected(server.socket_url, cookie=token) as two:
            await one.open(INTAKE)
            await two.open(INTAKE)
            await two.expect("presence_state")
            await one.change(setting(1, "/a", "kept"))
            await one.request("checkpoint", request_id="c1", label="before", kind="step", step=1)
            saved = await one.expect("checkpoint_saved")
            assert (saved["request_id"], saved["version"], saved["checkpoint"]["label"]) == ("c1", 1, "before")
            assert "request_id" not in await two.expect("checkpoint_saved")
            await one.change(setting(2, "/a", "lost"))
            checkpoint_id = saved["checkpoint"]["checkpoint_id"]
            await one.request("restore", request_id="r1", checkpoint_id=checkpoint_id, dry_run=True)
            preview = await one.expect("restore_preview")
            assert preview["differences"] == [{"path": "/a", "current": "lost", "restored": "kept"}]
            await one.request("restore", request_id="r2", checkpoint_id=checkpoint_id, version=99)
            assert (await one.expect("error"))["code"] == "version_conflict"
            await one.request("restore", request_id="r3", checkpoint_id=checkpoint_id, version=2)
            restored = await one.expect("session_restored")
            assert (restored["request_id"], restored["version"], restored["generation"]) == ("r3", 3, 1)
            assert "request_id" not in await two.expect("session_restored")
            await two.expect("checkpoint_saved")
            assert await versions(two, 3) == [1, 2, 3]
            await one.barrier()
            assert one.kinds().count("session_restored") == 1


async def test_a_large_state_comes_in_parts() -> None:
    async with served() as server:
        state = {"text": "äöü😀" * 40_000}
        opened = await server.manager.documents.open(Actor(user_id="ada"), "large", default=state)
        async with connected(server.socket_url, cookie=await server.token()) as peer:
            await peer.open({"document_id": opened.document.document_id})
            assert (await peer.expect("initial_state"))["state"] == state


@shows("G06", "H05", "socket")
async def test_presence_shows_devices_tabs_and_leaving() -> None:
    async with served(presence_linger_s=0.1) as server:
        token = await server.token()
        async with connected(server.socket_url, cookie=token, user_agent_header=None) as one:
            await one.open(INTAKE, device={"label": "Kitchen tablet"})
            async with connected(server.socket_url, cookie=token) as two:
                await two.open(INTAKE, device={"label": "Phone"})
                await one.expect("presence_diff", lambda frame: "Phone" in labels(frame))
                state = await two.expect("presence_state")
                assert labels(state) == {"Kitchen tablet", "Phone"}
                await two.send({"type": "presence", "visible": False})
                await one.expect("presence_diff", lambda f: any(not d["visible"] for d in f["devices"]))
                await two.change(setting(1, "/a", 1))
                await one.expect("presence_diff", lambda f: any(d["is_primary"] for d in f["devices"]))
            await one.expect("presence_diff", lambda frame: frame["left"] == [2])


async def test_changes_of_server_code_arrive_too() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        await peer.expect("initial_state")
        operations = [{"op": "set", "path": "/gap", "value": "who?"}]
        await server.manager.documents.change(Actor.system(), peer.document_id, operations)
        change = (await peer.expect("state_update"))["changes"][0]
        assert (change["device_no"], change["seq"], change["operations"]) == (0, None, operations)


async def test_nothing_is_missed_by_readers_that_join_while_others_write() -> None:
    """Late subscribe is the classic hole: a commit between the read and the registration."""
    async with served() as server:
        token = await server.token()
        async with connected(server.socket_url, cookie=token) as writer:
            await writer.open(INTAKE)

            async def write() -> None:
                for seq in range(1, 61):
                    await writer.change(setting(seq, "/n", seq))

            async def follow() -> list[int]:
                async with connected(server.socket_url, cookie=token) as reader:
                    await reader.open(INTAKE)
                    version = (await reader.expect("initial_state"))["version"]
                    return [version, *(await versions(reader, 60, after=version))]

            writing = asyncio.create_task(write())
            followed = await asyncio.gather(*(follow() for _ in range(12)))
            await writing
            for seen in followed:
                assert seen == list(range(seen[0], 61))


@pytest.mark.parametrize("database", ["memory", "sqlite"])
async def test_many_frames_in_flight_are_all_answered(database: str, tmp_path: Path) -> None:
    url = "memory://" if database == "memory" else f"sqlite:///{tmp_path / 'a.db'}"
    async with served(database_url=url) as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        for seq in range(1, 301):
            await peer.change(setting(seq, f"/answers/{seq % 7}", seq))
        seqs: list[int] = []
        while len(seqs) < 300:
            seqs += [verdict["seq"] for verdict in (await peer.expect("ack"))["verdicts"]]
        assert seqs == list(range(1, 301))


async def test_a_frame_is_encoded_once_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    from sessile.server.realtime import messages

    encoded: list[str] = []
    original = messages.encode

    def counting(frame: dict[str, object]) -> str:
        if frame["type"] == "state_update":
            encoded.append(json.dumps(frame["to"]))
        return original(frame)

    monkeypatch.setattr(messages, "encode", counting)
    async with served() as server:
        token = await server.token()
        async with connected(server.socket_url, cookie=token) as one, connected(server.socket_url, cookie=token) as two:
            for peer in (one, two):
                await peer.open(INTAKE)
                await peer.expect("presence_state")
            await one.change(setting(1, "/a", 1))
            for peer in (one, two):
                await peer.expect("state_update")
            assert encoded == ["1"]


async def versions(peer: Peer, last: int, *, after: int = 0) -> list[int]:
    """Versions of the changes as they come, each update starting where the one before ended, up to `last`."""
    seen: list[int] = []
    position = after
    while position < last:
        update = await peer.expect("state_update")
        assert update["from"] == position
        seen += [change["version"] for change in update["changes"]]
        position = update["to"]
    return seen


def labels(frame: dict[str, list[dict[str, str]]]) -> set[str]:
    return {entry["label"] for entry in frame["devices"]}
