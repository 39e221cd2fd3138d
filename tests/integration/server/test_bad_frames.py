"""Whatever a socket sends: a typed error or a close code, and everything stands as it stood."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from sessile.model.document import Actor
from sessile.model.wire import checkpoint_to_wire, document_to_wire, logged_to_wire
from sessile.testing.shows import shows_security
from tests.integration.server.peer import connected, device, hello, setting
from tests.integration.server.running import Running, served

INTAKE = {"name": "intake", "default": {"step": 1, "list": [{"id": "a"}], "text": "x"}}
MINE, THEIRS, NOBODY = "MINE", "THEIRS", device()
"""MINE and THEIRS stand for the ids of a document of the caller and of somebody else."""


def ops(*operations: dict[str, Any], document: str = MINE, **more: Any) -> dict[str, Any]:
    change = {"seq": 1, "base_version": 0, "generation": 0, "operations": list(operations), **more}
    return {"type": "change", "document_id": document, "changes": [change]}


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@dataclass
class Case:
    name: str
    frame: Any
    code: str

    def text(self, ids: dict[str, str]) -> str:
        text = self.frame if isinstance(self.frame, str) else json.dumps(self.frame)
        for name, value in ids.items():
            text = text.replace(f'"{name}"', f'"{value}"')
        return text


SET = {"op": "set", "path": "/a", "value": 1}
CASES = [
    Case("not json", "{", "malformed_frame"),
    Case("a list", "[]", "malformed_frame"),
    Case("no type", {"document_id": MINE}, "malformed_frame"),
    Case("unknown type", {"type": "drop_table"}, "unknown_type"),
    Case("a frame of the server", {"type": "ack", "document_id": MINE, "seq": 1, "verdicts": []}, "unknown_type"),
    Case("hello again", hello(), "malformed_frame"),
    Case("very deep json", '{"type":"pong","at":' + "[" * 20_000, "malformed_frame"),
    Case("a lone surrogate", '{"type":"checkpoint","request_id":"\\ud800","document_id":"MINE"}', "malformed_frame"),
    Case("a key twice, the last one wrong", '{"type":"presence","visible":true,"visible":3}', "malformed_frame"),
    Case("wrong types", {"type": "change", "document_id": 5, "changes": [setting(1, "/a", 1)]}, "malformed_frame"),
    Case("changes is no list", {"type": "change", "document_id": MINE, "changes": {"0": 1}}, "malformed_frame"),
    Case("another session", {**ops(SET), "session_id": NOBODY}, "session_not_found"),
    Case("another session in camel case", {**ops(SET), "sessionId": NOBODY}, "session_not_found"),
    Case("unknown document", ops(SET, document=NOBODY), "document_not_found"),
    Case("somebody else's document", ops(SET, document=THEIRS), "document_not_found"),
    Case("too deep a value", ops({**SET, "value": deep(33)}), "invalid_change"),
    Case("too deep a path", ops({**SET, "path": "/a" * 33}), "invalid_change"),
    Case("too large a change", ops({**SET, "value": "x" * 70_000}), "invalid_change"),
    Case("too many operations", ops(*[SET] * 201), "invalid_change"),
    Case("a pointer without slash", ops({**SET, "path": "a"}), "invalid_change"),
    Case("a protected key", ops({**SET, "path": "/__proto__/polluted"}), "invalid_change"),
    Case("a protected key inside", ops({**SET, "value": {"__proto__": {"polluted": True}}}), "invalid_change"),
    Case("an operation of the server", ops({"op": "replace", "value": {}}), "invalid_change"),
    Case("the state is no object", ops({**SET, "path": "", "value": 7}), "invalid_change"),
    Case("a number too large", ops({**SET, "value": 2**53}), "invalid_change"),
    Case("infinity by exponent", '{"type":"change","document_id":"MINE","changes":[{"seq":1,"base_version":0,'
         '"generation":0,"operations":[{"op":"set","path":"/a","value":1e999}]}]}', "malformed_frame"),
    Case("seq as text", ops(SET, seq="1"), "invalid_change"),
    Case("a version nobody has", ops(SET, base_version=2**60), "invalid_change"),
    Case("unknown document to sync", {"type": "request_sync", "document_id": NOBODY, "reason": "user"}, "document_not_found"),
    Case("foreign document to sync", {"type": "request_sync", "document_id": THEIRS, "reason": "user"}, "document_not_found"),
    Case("checkpoint of a foreign document", {"type": "checkpoint", "request_id": "r", "document_id": THEIRS}, "document_not_found"),
    Case("an automatic checkpoint", {"type": "checkpoint", "request_id": "r", "document_id": MINE, "kind": "automatic"}, "malformed_frame"),
    Case("unknown checkpoint", {"type": "restore", "request_id": "r", "document_id": MINE, "checkpoint_id": NOBODY}, "checkpoint_not_found"),
    Case("restore of a foreign document", {"type": "restore", "request_id": "r", "document_id": THEIRS, "checkpoint_id": NOBODY}, "document_not_found"),
    Case("restore of no path", {"type": "restore", "request_id": "r", "document_id": MINE, "checkpoint_id": NOBODY, "paths": ["a"]}, "invalid_change"),
    Case("presence of nothing", {"type": "presence"}, "malformed_frame"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_bad_frame_gets_its_code_and_changes_nothing(case: Case) -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        theirs = await server.manager.documents.open(Actor(user_id="grace"), "private", default={"secret": 1})
        await peer.open(INTAKE)
        before = await everything(server)
        ids = {MINE: peer.document_id, THEIRS: theirs.document.document_id}
        await peer.socket.send(case.text(ids))
        error = await peer.expect("error")
        assert error["code"] == case.code
        assert error["retryable"] is False
        await peer.barrier()
        assert await everything(server) == before
        await peer.change(setting(1, "/a", "still works"))
        assert (await peer.expect("ack"))["verdicts"][0]["verdict"] == "applied"


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "set", "path": "/text/a", "value": 1}, "not_an_object"),
        ({"op": "set", "path": "/list/0", "value": 1}, "path_in_list"),
        ({"op": "increment", "path": "/text", "by": 1}, "not_a_number"),
        ({"op": "append", "path": "/text", "item": {"id": 1}}, "not_a_list"),
        ({"op": "resolve", "conflict_id": NOBODY, "choice": "mine"}, "conflict_not_found"),
    ],
)
async def test_a_change_that_does_not_fit_the_state_is_rejected_with_a_verdict(
    operation: dict[str, Any], code: str
) -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        await peer.change({"seq": 1, "base_version": 0, "generation": 0, "operations": [SET, operation]})
        verdict = (await peer.expect("ack"))["verdicts"][0]
        assert (verdict["verdict"], verdict["detail"]["code"]) == ("rejected", code)
        document = await server.manager.documents.get(Actor.system(), peer.document_id)
        assert dict(document.state) == INTAKE["default"]


async def test_a_state_that_would_be_too_large_is_rejected() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        opened = await server.manager.documents.open(Actor(user_id="ada"), "full", default={"a": "x" * 1_000_000})
        await peer.open({"document_id": opened.document.document_id})
        await peer.change(setting(1, "/b", "y" * 60_000))
        verdict = (await peer.expect("ack"))["verdicts"][0]
        assert (verdict["verdict"], verdict["detail"]["code"]) == ("rejected", "state_too_large")


@shows_security("C-11", "V-20")
async def test_a_frame_over_the_limit_closes_with_1009_and_says_why() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        before = await everything(server)
        await peer.change(setting(1, "/a", "x" * 100_000))
        assert await peer.expect_close() == 1009
        assert peer.frames[-1]["code"] == "too_large"
        assert await everything(server) == before


@shows_security("C-11", "V-20")
async def test_a_message_beyond_any_measure_closes_with_1009() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012 - sending may fail already, reading fails at last
            await peer.change(setting(1, "/a", "x" * 3_000_000))
            while True:
                await peer.receive()
        # The server hangs up with data unread, so the peer's TCP may lose the close frame.
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009


async def test_binary_and_malformed_frames_are_borne_ten_times() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        for _ in range(5):
            await peer.socket.send(b"\x00\x01")
            await peer.socket.send("nonsense")
        await peer.barrier()
        assert peer.kinds().count("error") == 10
        await peer.socket.send("nonsense")
        assert await peer.expect_close() == 4500


async def test_more_documents_than_a_socket_may_have_are_refused_one_by_one() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(*({"name": f"document {number}"} for number in range(50)))
        await peer.send({"type": "subscribe", "request_id": "r", "documents": [{"name": "one more"}]})
        answer = await peer.expect("subscribed")
        assert answer["documents"][0]["error"]["code"] == "too_many"


@pytest.mark.parametrize(
    ("first", "code", "error"),
    [
        ("nonsense", 4500, "malformed_frame"),
        (b"\x00", 4500, "malformed_frame"),
        (json.dumps({"type": "pong", "at": "x"}), 4500, "malformed_frame"),
        (json.dumps({**hello(), "protocol": 2}), 4500, "malformed_frame"),
        (json.dumps({"type": "nonsense"}), 4500, "unknown_type"),
        (json.dumps(hello()), 4504, "session_not_found"),
        (json.dumps(hello(token="nonsense")), 4504, "session_not_found"),
        (json.dumps(hello(token=f"{NOBODY}.{'a' * 43}")), 4504, "session_not_found"),
        (json.dumps(hello(padding="x" * 5000)), 1009, "too_large"),
    ],
)
async def test_a_bad_first_frame_without_a_cookie_closes_the_socket(first: str | bytes, code: int, error: str) -> None:
    async with served() as server, connected(server.socket_url) as peer:
        await peer.socket.send(first)
        assert await peer.expect_close() == code
        assert peer.frames[-1]["code"] == error
        assert server.service.hub.connections == set()


@shows_security("V7.2.1")
async def test_somebody_else_s_device_id_gives_nothing_of_theirs() -> None:
    """A device id is no credential: with it alone nothing of the other account can be seen."""
    async with served() as server:
        device_id = device()
        async with connected(server.socket_url, cookie=await server.token("ada")) as peer:
            await peer.open(INTAKE, device_id=device_id)
            await peer.change(setting(1, "/a", 1))
            await peer.expect("ack")
        async with connected(server.socket_url, cookie=await server.token("eve")) as eve:
            await eve.send(hello({"document_id": peer.document_id}, INTAKE, device_id=device_id))
            theirs, own = (await eve.expect("welcome"))["documents"]
            assert theirs["error"]["code"] == "document_not_found"
            assert (await eve.expect("initial_state"))["state"] == INTAKE["default"]
            assert own["last_seq"] == 0


async def everything(server: Running) -> Any:
    """All that a client could have changed."""
    documents = server.manager.documents
    found = []
    for owner in (Actor(user_id="ada"), Actor(user_id="grace")):
        for document in await documents.list(owner):
            log = await documents.log(owner, document.document_id)
            checkpoints = await documents.checkpoints(owner, document.document_id)
            found.append(
                (document_to_wire(document), [*map(logged_to_wire, log)], [*map(checkpoint_to_wire, checkpoints)])
            )
    sessions = await server.manager.list_sessions("ada")
    return found, [(session.session_id, session.data, session.version) for session in sessions]
