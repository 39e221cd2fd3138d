"""The demo's server side: signing in, whose report it is, gaps found by the server, sending it off, and refusals in words."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from sessile import Actor, ConfigurationError, Settings
from sessile.demo.app import PAGES, addresses, create_app, demo_settings, display_name, manager_of, run, told
from sessile.demo.insurers import INSURERS
from sessile.demo.report import COPIES, NAME
from sessile.demo.watcher import GapWatcher
from sessile.testing.shows import shows_security
from tests.unit.demo.test_gaps import COMPLETE

ORIGIN = "http://localhost"


@asynccontextmanager
async def demo() -> AsyncIterator[FastAPI]:
    app = create_app(Settings(database_url="memory://"))
    async with manager_of(app):
        yield app


def browser(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=ORIGIN, headers={"origin": ORIGIN}, follow_redirects=False
    )


async def signed_in(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.post("/sign-in", json={"name": name})
    assert answer.status_code == 200, answer.text
    assert (await client.get("/")).status_code == 200


async def report_of(app: FastAPI, name: str) -> Any:
    return (await manager_of(app).documents.open(Actor(user_id=f"demo:{name.casefold()}"), NAME)).document


async def filled_in(app: FastAPI, name: str, report: dict[str, Any]) -> None:
    document = await report_of(app, name)
    operations: list[dict[str, Any]] = [
        {"op": "set", "path": "/report", "value": report},
        {"op": "set", "path": "/context/reached", "value": 6},
    ]
    await manager_of(app).documents.change(Actor.system(), document.document_id, operations)


def test_a_person_signs_in_and_gets_the_report() -> None:
    async def story() -> None:
        async with demo() as app, browser(app) as ann:
            assert "sign-in-name" in (await ann.get("/")).text
            await signed_in(ann, "Ann")
            page = await ann.get("/")
            assert "step-panel-6" in page.text
            assert page.headers["content-security-policy"].startswith("default-src 'self'")
            assert page.headers["cache-control"] == "private, no-store"
            state = (await report_of(app, "Ann")).state
            assert (state["current_step"], state["total_steps"]) == (1, 6)
            assert (await ann.post("/sign-out")).json() == {"ended": True}
            assert "sign-in-name" in (await ann.get("/")).text

    asyncio.run(story())


def test_two_people_never_see_each_others_report() -> None:
    async def story() -> None:
        async with demo() as app, browser(app) as ann, browser(app) as bob:
            await signed_in(ann, "Ann")
            await signed_in(bob, "Bob")
            await filled_in(app, "Ann", {"title": "a secret"})
            mine = (await ann.get("/api/v0/documents")).json()["documents"]
            theirs = (await bob.get("/api/v0/documents")).json()["documents"]
            assert {document["document_id"] for document in mine}.isdisjoint({d["document_id"] for d in theirs})
            assert "a secret" not in str(theirs)
            stolen = await bob.get(f"/api/v0/documents/{mine[0]['document_id']}")
            assert stolen.status_code == 404

    asyncio.run(story())


def test_the_server_finds_gaps_and_writes_them_beside_the_report() -> None:
    async def story() -> None:
        async with demo() as app, browser(app) as ann:
            await signed_in(ann, "Ann")
            await filled_in(app, "Ann", {"kind": "theft"})
            document = await report_of(app, "Ann")
            await GapWatcher(manager_of(app)).look(document.document_id)
            state = (await report_of(app, "Ann")).state
            assert "police" in [gap["id"] for gap in state["gaps_detected"]]
            before = (await report_of(app, "Ann")).version
            await GapWatcher(manager_of(app)).look(document.document_id)
            assert (await report_of(app, "Ann")).version == before

    asyncio.run(story())


def test_the_watcher_looks_by_itself_when_a_device_has_changed_something() -> None:
    async def story() -> None:
        app = create_app(Settings(database_url="memory://"))
        async with app.router.lifespan_context(app), browser(app) as ann:
            await signed_in(ann, "Ann")
            document = await report_of(app, "Ann")
            found = asyncio.Event()

            def listen(events: Any) -> None:
                if any(change.device_no == 0 for event in events for change in event.changes):
                    found.set()

            manager_of(app).subscribe(listen)
            body = {
                "device_id": "01900000-0000-7000-8000-00000000000a",
                "changes": [
                    {
                        "seq": 1,
                        "base_version": document.version,
                        "generation": 0,
                        "operations": [{"op": "set", "path": "/context/reached", "value": 6}],
                    }
                ],
            }
            answer = await ann.post(f"/api/v0/documents/{document.document_id}/changes", json=body)
            assert answer.status_code == 200, answer.text
            await asyncio.wait_for(found.wait(), 10)
            assert (await report_of(app, "Ann")).state["gaps_detected"] != []

    asyncio.run(story())


def test_a_report_is_sent_once_and_only_when_it_is_complete() -> None:
    async def story() -> None:
        async with demo() as app, browser(app) as ann:
            assert (await ann.post("/report/submit")).status_code == 401
            await signed_in(ann, "Ann")
            refused = await ann.post("/report/submit")
            assert refused.status_code == 409
            assert refused.json()["code"] == "report_incomplete"
            await filled_in(app, "Ann", COMPLETE)
            sent = await ann.post("/report/submit")
            assert sent.status_code == 200, sent.text
            assert (await ann.post("/report/submit")).json() == sent.json()
            document = await report_of(app, "Ann")
            kept = await manager_of(app).documents.checkpoints(Actor.system(), document.document_id)
            assert [checkpoint.label for checkpoint in kept if str(checkpoint.kind) == "step"] == [
                f"Sent as {sent.json()['number']}"
            ]

    asyncio.run(story())


def test_everybody_has_three_insurers_and_a_report_goes_to_the_one_that_is_chosen() -> None:
    async def story() -> None:
        async with demo() as app, browser(app) as ann, browser(app) as bob:
            await signed_in(ann, "Ann")
            await signed_in(bob, "Bob")
            mine = (await ann.get("/api/v0/session/platforms")).json()["platforms"]
            theirs = (await bob.get("/api/v0/session/platforms")).json()["platforms"]
            ids = {platform["name"]: platform["id"] for platform in mine}
            north, harbour, city = (name for _, name in INSURERS)
            assert ids.keys() == {north, harbour, city}
            assert [platform["name"] for platform in mine if platform["is_default"]] == [north]
            assert {platform["id"] for platform in mine}.isdisjoint({platform["id"] for platform in theirs})
            await signed_in(ann, "Ann")  # again: they are the same ones
            assert (await ann.get("/api/v0/session/platforms")).json()["platforms"] == mine
            body = {"platform_id": ids[harbour], "expected_platform_id": ids[north]}
            assert (await ann.post("/api/v0/session/platform", json=body)).status_code == 200
            await filled_in(app, "Ann", COMPLETE)
            assert (await ann.post("/report/submit")).json()["to"] == harbour

    asyncio.run(story())


def test_a_copy_is_looked_at_and_sent_by_itself_and_is_nobody_elses() -> None:
    async def story() -> None:
        async with demo() as app, browser(app) as ann, browser(app) as bob:
            await signed_in(ann, "Ann")
            await signed_in(bob, "Bob")
            await filled_in(app, "Ann", COMPLETE)
            report = await report_of(app, "Ann")
            name = f"{COPIES}For the landlord"
            copy = await manager_of(app).documents.fork(Actor(user_id="demo:ann"), report.document_id, name)
            by_name = await ann.get("/", params={"document": name})
            assert by_name.status_code == 200
            by_id = await ann.get("/", params={"document": copy.document_id})
            assert (by_id.status_code, by_id.headers["location"]) == (303, f"/?document={quote(name, safe='')}")
            for foreign in (copy.document_id, name, "no such report"):
                answer = await bob.get("/", params={"document": foreign})
                assert (answer.status_code, answer.headers["location"]) == (303, "/")
            address = f"/report/submit?document_id={copy.document_id}"
            assert (await bob.post(address)).status_code == 404
            sent = await ann.post(address)
            assert sent.status_code == 200, sent.text
            assert (await ann.post("/report/submit")).json()["number"] != sent.json()["number"]
            looked = await GapWatcher(manager_of(app)).look(copy.document_id)
            assert looked.state["context"]["submitted"] == sent.json()

    asyncio.run(story())


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"name":7}', b'{"name":"\\ud800"}', b'{"name":"   "}', b'{"name":"' + b"x" * 50 + b'"}'],
)
def test_a_bad_name_is_refused_in_words(body: bytes) -> None:
    async def story() -> None:
        async with demo() as app, browser(app) as ann:
            answer = await ann.post("/sign-in", content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 422
            assert answer.json()["code"] in {"invalid_request", "invalid_name"}
            assert "set-cookie" not in answer.headers

    asyncio.run(story())


@shows_security("C-12", "V7.6.2")
def test_another_sites_page_signs_nobody_in() -> None:
    async def story() -> None:
        async with demo() as app, browser(app) as ann:
            answer = await ann.post("/sign-in", json={"name": "Ann"}, headers={"origin": "http://evil.example"})
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers

    asyncio.run(story())


def test_its_files_and_health_are_served() -> None:
    async def story() -> None:
        async with demo() as app, browser(app) as ann:
            assert (await ann.get("/healthz")).json() == {"status": "ok"}
            for path in PAGES.iterdir():
                answer = await ann.get(f"/demo/{path.name}")
                assert answer.status_code == 200
                assert answer.headers["cache-control"] == "no-cache"
            assert (await ann.get("/demo/../app.py")).status_code == 404
            assert (await ann.get("/sessile.js")).status_code == 200

    asyncio.run(story())


@shows_security("V3.4.3", "V3.6.1")
def test_no_page_has_an_inline_script_or_style() -> None:
    for path in PAGES.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert " style=" not in text
        assert "<style" not in text
        assert all(" src=" in part.split(">")[0] for part in text.split("<script")[1:])
        assert not any(f" on{event}=" in text for event in ("click", "submit", "input", "load"))


def test_every_input_has_a_label() -> None:
    import re

    for path in PAGES.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        labelled = set(re.findall(r'<label[^>]* for="([^"]+)"', text))
        wrapped = {
            match
            for label in re.findall(r"<label>(.*?)</label>", text, re.DOTALL)
            for match in re.findall(r"<input[^>]*>", label)
        }
        for control in re.findall(r"<(?:input|textarea|select)[^>]*>", text):
            identifier = re.search(r' id="([^"]+)"', control)
            assert control in wrapped or (identifier and identifier[1] in labelled) or "aria-label" in control, control


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (" Ann  Lee ", "Ann Lee"),
        ("\uff21\uff22", "AB"),
        ("", None),
        (" ", None),
        ("a\x07b", None),
        ("x" * 41, None),
        ("Zoë", "Zoë"),
    ],
)
@shows_security("V16.4.1")
def test_a_name_is_shown_as_one_line(text: str, name: str | None) -> None:
    assert display_name(text) == name


def test_the_terminal_says_where_it_is_and_warns_about_plain_http(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/demo.db"
    here = told("127.0.0.1", 8000, demo_settings(url, insecure_lan=False))
    assert "http://127.0.0.1:8000" in here
    assert str(tmp_path / "demo.db") in here
    assert "Plain http" not in here
    assert "Plain http" in told("0.0.0.0", 8000, demo_settings(url, insecure_lan=True))
    assert addresses("::1", 80) == ["http://[::1]:80"]


def test_a_port_in_use_is_said_in_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=str(port)):
            run(port=port, database=f"sqlite:///{tmp_path}/demo.db")
