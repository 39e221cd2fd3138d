"""Device bound sessions in a FastAPI application: the checklist of tests/integration/binding_rules.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import Depends, FastAPI, WebSocket

from sessile import Settings
from sessile.integrations.fastapi import CurrentSession, Sessile, require_fresh
from sessile.integrations.starlette import session_of
from sessile.model.errors import StoreUnavailable
from sessile.model.session import EndReason
from sessile.runtime.assemble import make_store
from sessile.runtime.manager import AsyncSessionManager
from sessile.testing.shows import shows_security
from sessile.web.binding import REFRESH_PATH
from tests.integration.binding_rules import BindingRules
from tests.integration.fastapi.site import SetClock, WatchedStore
from tests.integration.soft_browser import Answer, Shop, SoftBrowser


class FastApiShop(Shop):
    def __init__(
        self, app: FastAPI, portal: BlockingPortal, manager: AsyncSessionManager, store: WatchedStore, clock: SetClock
    ) -> None:
        self.app, self.portal, self.manager, self.store, self.clock = app, portal, manager, store, clock

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        scheme = "http" if "X-Plain" in headers else "https"

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://app.test") as client:
                return await client.request(method, path, headers=dict(headers), content=body)

        answer = self.portal.call(ask)
        told = [(name.decode().lower(), value.decode()) for name, value in answer.headers.raw]
        return Answer(answer.status_code, told, answer.content)

    def handshake(self, path: str, headers: Mapping[str, str]) -> str:
        """The first thing that a socket is told."""
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "websocket",
            "scheme": "wss",
            "path": path,
            "headers": raw,
            "query_string": b"",
            "extensions": {},
        }
        told: list[Any] = []

        async def connect() -> None:
            messages = [{"type": "websocket.connect"}]

            async def receive() -> Any:
                return messages.pop() if messages else {"type": "websocket.disconnect", "code": 1000}

            async def send(message: Any) -> None:
                told.append(message)

            await self.app(scope, receive, send)

        self.portal.call(connect)
        return str(told[0]["type"])

    def login(self, headers: Mapping[str, str]) -> Answer:
        return self.send("POST", "/login/ada", headers)

    def user(self, headers: Mapping[str, str]) -> str | None:
        user: str | None = self.send("GET", "/me", headers).json["user"]
        return user

    def now_s(self) -> float:
        return self.clock.now().timestamp()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def audited(self, handle: str) -> list[str]:
        async def look() -> list[str]:
            return [event.type for event in await self.manager.audit.events(f"session:{handle}")]

        kinds: list[str] = self.run(look)
        return kinds

    def end(self, handle: str) -> None:
        async def end() -> bool:
            return await self.manager.destroy_session(handle, reason=EndReason.ADMIN)

        self.run(end)

    def run(self, work: Any) -> Any:
        return self.portal.call(work)


@contextmanager
def shop_of(**settings: Any) -> Iterator[FastApiShop]:
    made = Settings(database_url="memory://", **{"dbsc": True, **settings})
    store, clock = WatchedStore(make_store(made, blocking=False)), SetClock()
    manager = AsyncSessionManager(made, store=store, clock=clock)
    app = FastAPI()
    Sessile(app, manager)

    @app.post("/login/{name}")
    async def login(name: str, session: CurrentSession) -> None:
        await session.login(name)

    @app.get("/me")
    async def me(session: CurrentSession) -> dict[str, Any]:
        return {"user": session.user_id, "bound": session.is_bound}

    @app.get("/fresh", dependencies=[Depends(require_fresh(3600))])
    async def fresh() -> None:
        return None

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        session_of(websocket).require_user()
        await websocket.accept()

    with start_blocking_portal() as portal:
        portal.call(manager.open)
        try:
            yield FastApiShop(app, portal, manager, store, clock)
        finally:
            store.is_away = False
            portal.call(manager.close)


class TestFastApi(BindingRules):
    make_shop = staticmethod(shop_of)


@shows_security("D-6")
def test_d6_trouble_of_ours_is_503() -> None:
    with shop_of() as shop:
        browser = SoftBrowser(shop).bind()
        shop.store.is_away = True
        for _ in range(3):
            answer = browser.refresh()
            assert (answer.status, answer.one("retry-after") != "") == (503, True)
            assert not answer.all("set-cookie")
        shop.store.is_away = False
        while browser.refresh().status != 200:
            pass
        assert browser.user() == "ada"


@shows_security("D-6")
def test_d6_nobody_counts_refreshes() -> None:
    with shop_of() as shop:
        browser = SoftBrowser(shop).bind()
        for _ in range(60):
            shop.advance(0.01)
            assert browser.refresh().status == 200


@shows_security("D-10")
def test_d10_a_socket_is_refused_to_a_copy_of_the_session_cookie() -> None:
    with shop_of() as shop:
        browser = SoftBrowser(shop).bind()
        assert [shop.handshake(path, browser.headers()) for path in ("/ws", "/socket")] == ["websocket.accept"] * 2
        browser.drop()
        assert [shop.handshake(path, browser.headers()) for path in ("/ws", "/socket")] == ["websocket.close"] * 2
        bearer = {"Host": "app.test", "Authorization": f"Bearer {browser.token}"}
        assert shop.send("POST", "/api/v0/session/heartbeat", bearer).status == 401, "nor as a bearer token"


@shows_security("D-17.8")
def test_d17_what_was_set_otherwise_reaches_a_browser_with_its_next_refresh() -> None:
    with shop_of() as shop:
        browser = SoftBrowser(shop).bind()
        assert browser.instructions is not None
        before = browser.instructions["scope"]["scope_specification"]
        changed = shop.manager.settings.model_copy(update={"dbsc_excluded_paths": ("/img",)})
        object.__setattr__(shop.manager, "settings", changed)
        assert browser.refresh().status == 200
        after = browser.instructions["scope"]["scope_specification"]
        assert "/static" in [one["path"] for one in before]
        assert [one["path"] for one in after] == ["/img"]
        assert browser.user() == "ada"


@shows_security("D-16")
def test_d16_what_a_request_costs_is_what_it_cost_before() -> None:
    with shop_of() as shop:
        browser = SoftBrowser(shop).bind()
        browser.user()
        shop.store.reads.clear()
        shop.store.writes.clear()
        for _ in range(5):
            assert browser.user() == "ada"
        assert len(shop.store.reads) == 5, "one look each, as without a binding"
        assert shop.store.writes == []


@shows_security("D-2")
def test_d2_a_missing_package_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from sessile import ConfigurationError

    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ConfigurationError, match=r"sessile\[dbsc\]"):
        AsyncSessionManager(Settings(database_url="memory://", dbsc=True))
    AsyncSessionManager(Settings(database_url="memory://"))


@shows_security("D-15", "K-4")
@pytest.mark.parametrize(
    "wrong", [{"cookie_domain": "app.test"}, {"cookie_partitioned": True}, {"dbsc_cookie_ttl_s": 299}]
)
def test_d15_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    from sessile import ConfigurationError

    with pytest.raises(ConfigurationError):
        Settings(dbsc=True, **wrong)


@shows_security("D-6")
def test_d6_the_refresh_address_takes_post_alone() -> None:
    with shop_of() as shop:
        assert shop.send("GET", REFRESH_PATH, {"Host": "app.test"}).status == 405
        shop.store.is_away = True
        with pytest.raises(StoreUnavailable):
            shop.run(shop.manager.ready)
