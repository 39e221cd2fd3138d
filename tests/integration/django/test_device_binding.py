"""Device bound sessions in a Django project: the checklist of tests/integration/binding_rules.py, with Django's CSRF checks on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from django.http import HttpResponse, JsonResponse
from django.test import Client, override_settings
from django.urls import include, path

from sessile.integrations.django import get_manager, process, require_fresh
from sessile.integrations.django.configuration import configuration
from sessile.model.session import EndReason
from sessile.testing import FakeClock
from sessile.testing.shows import shows_security
from tests.integration.binding_rules import BindingRules
from tests.integration.django import project, site
from tests.integration.soft_browser import Answer, Shop, SoftBrowser


def _me(request: Any) -> Any:
    return JsonResponse({"user": request.session.user_id})


@require_fresh(3600)
def _fresh(_request: Any) -> Any:
    return HttpResponse("")


urlpatterns = [
    path("login/<name>", site.enter),
    path("me", _me),
    path("fresh", _fresh),
    path("", include("sessile.integrations.django.urls")),
]


class DjangoShop(Shop):
    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.client = Client(enforce_csrf_checks=True)

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        self.client.cookies.clear()
        sent = {name: value for name, value in headers.items() if name not in {"Host", "Cookie", "X-Plain"}}
        secure = "X-Plain" not in headers
        answer = self.client.generic(
            method,
            path,
            body,
            "application/json",
            headers=sent,
            secure=secure,
            HTTP_HOST="app.test",
            HTTP_COOKIE=headers.get("Cookie", ""),
        )
        told = [(name.lower(), value) for name, value in answer.items()]
        told += [("set-cookie", morsel.OutputString()) for morsel in answer.cookies.values()]
        return Answer(answer.status_code, told, answer.content)

    def login(self, headers: Mapping[str, str]) -> Answer:
        return self.send("GET", "/login/ada", headers)

    def user(self, headers: Mapping[str, str]) -> str | None:
        user: str | None = self.send("GET", "/me", headers).json["user"]
        return user

    def now_s(self) -> float:
        return self.clock.now().timestamp()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def audited(self, handle: str) -> list[str]:
        return [event.type for event in get_manager().audit.events(f"session:{handle}")]

    def end(self, handle: str) -> None:
        get_manager().destroy_session(handle, reason=EndReason.ADMIN)


@contextmanager
def shop_of(**settings: Any) -> Iterator[DjangoShop]:
    from datetime import UTC, datetime

    clock = FakeClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    given = {"DATABASE_URL": "memory://", **{name.upper(): value for name, value in {"dbsc": True, **settings}.items()}}
    more = {"SESSION_COOKIE_AGE": given.pop("IDLE_TIMEOUT_S")} if "IDLE_TIMEOUT_S" in given else {}
    with override_settings(SESSILE=given, ROOT_URLCONF=__name__, SESSION_COOKIE_SECURE=True, **more):
        process.use(process.Process(configuration(), clock=clock))
        try:
            yield DjangoShop(clock)
        finally:
            process.close()


@pytest.mark.usefixtures("users")
class TestDjango(BindingRules):
    make_shop = staticmethod(shop_of)


@pytest.mark.usefixtures("users")
@shows_security("D-12")
def test_under_djangos_own_middleware_nothing_is_offered_and_a_bound_session_is_nobodys() -> None:
    with shop_of() as shop:
        browser = SoftBrowser(shop).bind()
        with override_settings(MIDDLEWARE=project.STOCK_MIDDLEWARE):
            ours, shop.client = (
                shop.client,
                Client(enforce_csrf_checks=True),
            )  # a client keeps the middleware of its first request
            assert browser.user() is None
            assert not SoftBrowser(shop).login().all("secure-session-registration")
        shop.client = ours
        assert browser.user() is not None
