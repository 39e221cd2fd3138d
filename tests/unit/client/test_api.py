"""The verbs over HTTP, against a service that answers as protocol/README.md says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from sessile.client import ClientClosed, ForeignSession, Maintenance
from sessile.client.api import Api
from sessile.model.document import ABSENT
from sessile.model.errors import AuthenticationRequired, PlatformRefused, VersionConflict
from sessile.model.handoff import HandoffStatus
from tests.unit.client.fake_service import AT, DEVICE, HANDLE, FakeHost, FakeService, api_on, problem, session, token

DOCUMENT = "01900000-0000-7000-8000-00000000000d"
STORED: dict[str, Any] = {
    "document_id": DOCUMENT,
    "name": "intake",
    "epoch": "e",
    "version": 3,
    "generation": 0,
    "status": "active",
    "kind": None,
    "kind_version": None,
    "created_at": AT,
    "updated_at": AT,
    "last_activity_at": AT,
}


class Tokens:
    """The source of a token, and where new ones go."""

    def __init__(self, first: str) -> None:
        self.stored = first
        self.told: list[str] = []

    def read(self) -> str:
        return self.stored

    async def tell(self, fresh: str) -> None:
        self.told.append(fresh)


def refreshing(*letters: str) -> FakeService:
    """Gives these tokens one after the other."""
    left = list(letters)

    def refresh(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"session": session(), "token": token(left.pop(0))})

    return FakeService({"POST session/refresh": refresh, "GET sessions": {"sessions": []}})


async def test_a_refreshed_token_is_used_from_then_on() -> None:
    service = refreshing("b", "c")
    api = api_on(service, token("a"))
    await api.refresh()
    await api.refresh()
    await api.sessions()
    assert service.tokens == [token("a"), token("b"), token("c")]
    await api.close()


async def test_a_source_that_goes_on_saying_the_old_token_does_not_bring_it_back() -> None:
    service, tokens = refreshing("b", "c"), Tokens(token("a"))
    api = api_on(service, tokens.read, on_token=tokens.tell)
    await api.refresh()
    await api.sessions()
    await api.refresh()
    await api.sessions()
    assert service.tokens == [token("a"), token("b"), token("b"), token("c")]
    assert tokens.told == [token("b"), token("c")]
    tokens.stored = token("z")
    await api.sessions()
    assert service.tokens[-1] == token("z"), "a source that says another one is believed"
    await api.close()


async def test_refreshes_at_the_same_time_follow_each_other() -> None:
    service = refreshing("b", "c")
    api = api_on(service, token("a"))
    await asyncio.gather(api.refresh(), api.refresh())
    await api.sessions()
    assert service.tokens == [token("a"), token("b"), token("c")]
    await api.close()


async def test_a_refresh_without_a_new_token_keeps_the_one_that_is_there() -> None:
    service = FakeService({"POST session/refresh": {"session": session()}, "GET sessions": {"sessions": []}})
    api = api_on(service, token("a"))
    await api.refresh()
    await api.sessions()
    assert service.tokens == [token("a"), token("a")]
    await api.close()


def held() -> tuple[FakeService, asyncio.Event, asyncio.Event]:
    """A service whose refresh is asked, and answers when it may."""
    asked, may = asyncio.Event(), asyncio.Event()

    async def refresh(_request: httpx.Request) -> httpx.Response:
        asked.set()
        await may.wait()
        return httpx.Response(200, json={"session": session(), "token": token("b")})

    return FakeService({"POST session/refresh": refresh, "GET sessions": {"sessions": []}}), asked, may


async def test_whoever_is_cancelled_does_not_lose_the_new_token() -> None:
    service, asked, may = held()
    api = api_on(service, token("a"))
    refreshing = asyncio.create_task(api.refresh())
    await asked.wait()
    refreshing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await refreshing
    may.set()
    await asyncio.gather(*api._refreshes)
    await api.sessions()
    assert service.tokens[-1] == token("b")
    await api.close()


async def test_closing_waits_for_the_new_token() -> None:
    service, asked, may = held()
    tokens = Tokens(token("a"))
    api = api_on(service, tokens.read, on_token=tokens.tell)
    refreshing = asyncio.create_task(api.refresh())
    await asked.wait()
    closing = asyncio.create_task(api.close())
    await asyncio.sleep(0)
    may.set()
    await closing
    await refreshing
    assert tokens.told == [token("b")]


async def test_closing_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessile.client.api.CLOSE_TIMEOUT_S", 0.01)
    service, asked, _may = held()
    api = api_on(service)
    refreshing = asyncio.create_task(api.refresh())
    await asked.wait()
    await api.close()
    with pytest.raises(ClientClosed):
        await refreshing


async def test_an_error_of_whoever_stores_the_token_comes_up_and_the_token_is_used() -> None:
    def full(_token: str) -> None:
        raise OSError("the disk is full")

    service = refreshing("b")
    api = api_on(service, token("a"), on_token=full)
    with pytest.raises(OSError, match="full"):
        await api.refresh()
    await api.sessions()
    assert service.tokens[-1] == token("b")
    await api.close()


async def test_the_standing_says_why_nobody_is_logged_in() -> None:
    service = FakeService({"GET session": {"authenticated": False, "reason": "expired:absolute", "session": None}})
    host = FakeHost()
    standing = await api_on(service, host=host).session()
    assert (standing.is_authenticated, standing.reason, standing.session) == (False, "expired:absolute", None)
    assert (standing.expiry_warning_s, standing.maintenance, host.shown) == (None, None, [])


async def test_the_standing_tells_of_maintenance() -> None:
    maintenance = {"message": "Back soon.", "until": AT}
    answer = {"authenticated": True, "session": session(), "expiry_warning_s": 300, "maintenance": maintenance}
    host = FakeHost()
    standing = await api_on(FakeService({"GET session": answer}), host=host).session()
    assert standing.maintenance == Maintenance(message="Back soon.", since=None, until=datetime(2026, 1, 1, tzinfo=UTC))
    assert standing.expiry_warning_s == 300
    assert host.shown == [session()]


@pytest.mark.parametrize(
    ("verb", "request_line", "body"),
    [
        (lambda api: api.extend(), "POST session/extend", None),
        (lambda api: api.switch_platform("p"), "POST session/platform", {"platform_id": "p"}),
        (
            lambda api: api.switch_platform("p", expected=None),
            "POST session/platform",
            {"platform_id": "p", "expected_platform_id": None},
        ),
        (
            lambda api: api.switch_platform("p", expected="q"),
            "POST session/platform",
            {"platform_id": "p", "expected_platform_id": "q"},
        ),
        (lambda api: api.heartbeat(), "POST session/heartbeat", {"device_id": DEVICE}),
        (
            lambda api: api.heartbeat({"label": "agent"}),
            "POST session/heartbeat",
            {"device_id": DEVICE, "device": {"label": "agent"}},
        ),
    ],
)
async def test_what_moves_the_session_shows_it(
    verb: Callable[[Api], Any], request_line: str, body: dict[str, Any] | None
) -> None:
    service, host = FakeService({request_line: {"session": session(can_extend=False)}}), FakeHost()
    api = api_on(service, host=host)
    assert await verb(api) == session(can_extend=False)
    assert host.shown == [session(can_extend=False)]
    assert (service.body() if body is not None else service.requests[0].content) == (body or b"")
    await api.close()


async def test_the_verbs_of_sessions() -> None:
    gone = "01900000-0000-7000-8000-00000000000a"
    service = FakeService(
        {
            "POST session/logout": httpx.Response(204),
            "POST session/logout-others": {"ended": 2},
            "GET sessions": {"sessions": [session()]},
            f"DELETE sessions/{HANDLE}": httpx.Response(204),
            f"DELETE sessions/{gone}": problem("session_not_found", 404),
            "GET session/platforms": {"platforms": [{"id": "p", "name": "P", "kind": "", "is_default": True}]},
            "GET session/check-connection": {"ok": True, "server_time": AT, "version": "0.1"},
        }
    )
    api = api_on(service)
    assert await api.logout_others() == 2
    assert await api.sessions() == [session()]
    assert (await api.platforms())[0]["id"] == "p"
    assert (await api.check_connection()).version == "0.1"
    await api.end_session(HANDLE)
    with pytest.raises(ForeignSession):
        await api.end_session(gone)
    await api.logout()
    await api.close()


async def test_refusals_are_typed() -> None:
    service = FakeService(
        {
            "POST session/extend": problem("authentication_required", 401, reason="ended:logout"),
            "POST session/platform": problem("version_conflict", 409, current={"platform_id": "q"}),
            "GET session/platforms": problem("platform_refused", 404, reason="inactive"),
        }
    )
    api = api_on(service)
    with pytest.raises(AuthenticationRequired) as required:
        await api.extend()
    assert required.value.reason == "ended:logout"
    with pytest.raises(VersionConflict) as conflict:
        await api.switch_platform("p", expected="x")
    assert conflict.value.current == {"platform_id": "q"}
    with pytest.raises(PlatformRefused) as refused:
        await api.platforms()
    assert refused.value.reason == "inactive"
    await api.close()


async def test_a_session_is_restored_by_name_or_by_id() -> None:
    answer = {"ack": {"seq": 1}, "nack": None, "backup": None, "state": {"type": "initial_state"}}
    service = FakeService({f"POST session/{HANDLE}/restore": answer})
    api = api_on(service)
    change = {"seq": 1, "base_version": 0, "generation": 0, "operations": []}
    restored = await api.restore("intake", changes=[change])
    assert service.body() == {"document": {"name": "intake"}, "device_id": DEVICE, "changes": [change]}
    assert (restored.ack, restored.nack, restored.state) == ({"seq": 1}, None, {"type": "initial_state"})
    backup = {"epoch": "e", "version": 1, "values": {"/a": 1}}
    await api.restore(api.document(DOCUMENT), backup=backup, device_id="d")
    assert service.body() == {
        "document": {"document_id": DOCUMENT},
        "device_id": "d",
        "changes": [],
        "backup": backup,
    }
    await api.close()


async def test_the_verbs_of_documents() -> None:
    service = FakeService(
        {
            "GET documents": {"documents": [STORED]},
            "POST documents/claim": {"claimed": [{**STORED, "name": "intake (2)"}]},
            "PUT documents/by-name/a%2Fb": {**STORED, "name": "a/b", "state": {"x": 1}},
            "POST documents/import": httpx.Response(201, json={**STORED, "state": {}}),
        }
    )
    api = api_on(service)
    (listed,) = await api.documents()
    assert (listed.document_id, listed.version, listed.state) == (DOCUMENT, 3, None)
    assert str(service.requests[-1].url.query, "ascii") == ""
    await api.documents(archived=True)
    assert str(service.requests[-1].url.query, "ascii") == "archived=true"
    assert [claimed.name for claimed in await api.claim()] == ["intake (2)"]
    assert (await api.open_document("a/b", default={"x": 1})).state == {"x": 1}
    assert service.body() == {"default": {"x": 1}}
    await api.import_({"format": 1}, name="copy")
    assert service.body() == {"exported": {"format": 1}, "name": "copy"}
    await api.close()


async def test_the_verbs_of_one_document_that_need_a_newer_service() -> None:
    device = {
        "device_no": 1,
        "label": "Firefox",
        "is_own": True,
        "is_primary": True,
        "is_connected": False,
        "tabs": 0,
        "visible": False,
        "behind": 2,
        "last_active_at": AT,
        "disconnected_at": AT,
        "reconnected_at": None,
    }
    base = f"documents/{DOCUMENT}"
    service = FakeService(
        {
            f"POST {base}/rename": {**STORED, "name": "new"},
            f"POST {base}/unarchive": problem("version_conflict", 409),
            f"GET {base}/devices": {"document_id": DOCUMENT, "devices": [device]},
            f"GET {base}/diff": {"document_id": DOCUMENT, "differences": [{"path": "/a", "to": 1}]},
        }
    )
    document = api_on(service).document(DOCUMENT)
    assert (await document.rename("new")).name == "new"
    assert service.body() == {"name": "new"}
    with pytest.raises(VersionConflict):
        await document.unarchive()
    (known,) = await document.devices()
    assert (known.label, known.behind, known.reconnected_at) == ("Firefox", 2, None)
    assert known.disconnected_at is not None
    (difference,) = await document.diff(1)
    assert (difference.current, difference.restored) == (ABSENT, 1)
    assert str(service.requests[-1].url.query, "ascii") == "from=1&to=now"


async def test_a_log_in_is_offered_to_another_device() -> None:
    offer = {
        "handoff_id": "h/1",
        "code": "ABCD-EFGH",
        "url": "https://x/#sEcReT",
        "qr_svg": "<svg>",
        "expires_at": AT,
    }
    state = {"handoff_id": "h/1", "status": "redeemed", "device": {"label": "Phone"}, "expires_at": AT}
    service = FakeService(
        {
            "POST handoff": httpx.Response(201, json=offer),
            "GET handoff/h%2F1": state,
            "POST handoff/confirm": {**state, "status": "confirmed"},
        }
    )
    api = api_on(service)
    offered = await api.handoff_offer("/intake")
    assert service.body() == {"path": "/intake"}
    assert offered.code == "ABCD-EFGH"
    assert "ABCD" not in repr(offered)
    assert "sEcReT" not in repr(offered)
    waiting = await api.handoff_status("h/1")
    assert (waiting.status, waiting.device) == (HandoffStatus.REDEEMED, {"label": "Phone"})
    assert (await api.handoff_confirm("h/1", accept=True)).status is HandoffStatus.CONFIRMED
    assert service.body() == {"handoff_id": "h/1", "accept": True}
    await api.handoff_offer()
    assert service.body() == {}
    await api.close()
