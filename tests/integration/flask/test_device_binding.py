"""Device bound sessions in a Flask application: the checklist of tests/integration/binding_rules.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sessile.integrations.flask import require_fresh
from sessile.model.session import EndReason
from sessile.testing.shows import shows_security
from tests.integration.binding_rules import BindingRules
from tests.integration.flask.conftest import with_routes
from tests.integration.flask.site import Site, site
from tests.integration.soft_browser import Answer, Shop, SoftBrowser


class FlaskShop(Shop):
    def __init__(self, made: Site) -> None:
        self.made = made
        self.client = made.client(cookies=False)

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        base = "http://localhost" if "X-Plain" in headers else "https://app.test"
        answer = self.client.open(path, method=method, base_url=base, headers=dict(headers), data=body)
        return Answer(answer.status_code, [(name.lower(), value) for name, value in answer.headers], answer.data)

    def login(self, headers: Mapping[str, str]) -> Answer:
        return self.send("POST", "/login/ada", headers)

    def user(self, headers: Mapping[str, str]) -> str | None:
        user: str | None = self.send("GET", "/me", headers).json["user"]
        return user

    def now_s(self) -> float:
        return self.made.clock.now().timestamp()

    def advance(self, seconds: float) -> None:
        self.made.clock.advance(seconds)

    def audited(self, handle: str) -> list[str]:
        return [event.type for event in self.made.manager.audit.events(f"session:{handle}")]

    def end(self, handle: str) -> None:
        self.made.manager.destroy_session(handle, reason=EndReason.ADMIN)


@contextmanager
def shop_of(**settings: Any) -> Iterator[FlaskShop]:
    with site(**{"dbsc": True, **settings}) as made:
        with_routes(made)

        @made.app.get("/fresh")
        @require_fresh(3600)
        def fresh() -> str:
            return ""

        yield FlaskShop(made)


class TestFlask(BindingRules):
    make_shop = staticmethod(shop_of)


@shows_security("D-6")
def test_d6_trouble_of_ours_is_503(tmp_path: Any) -> None:
    with shop_of(database_url=f"sqlite:///{tmp_path / 'sessile.db'}") as shop:
        browser = SoftBrowser(shop).bind()
        service = shop.made.app.extensions["sessile"].service

        class Away:
            def answer(self, *_: Any) -> Any:
                from sessile.model.errors import StoreUnavailable

                raise StoreUnavailable

            def is_stream(self, _path: str) -> bool:
                return False

        shop.made.app.extensions["sessile"].__dict__["service"] = Away()
        try:
            assert browser.refresh().status == 503
        finally:
            shop.made.app.extensions["sessile"].__dict__["service"] = service
        while browser.refresh().status != 200:
            pass
        assert browser.user() == "ada"
