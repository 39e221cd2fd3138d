"""Traps that other session code fell into, on Django: ids that nobody gave, files, and an application's own handler of errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path
from django.views.static import serve

from sessile.integrations.django import get_manager
from sessile.model.errors import StoreUnavailable
from sessile.testing.shows import shows
from tests.integration.django import site

pytestmark = pytest.mark.usefixtures("store", "users")
HERE = Path(__file__)


def handler500(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=302, headers={"Location": "/login"})


urlpatterns = [path("static/<path:path>", serve, {"document_root": HERE.parent}), *site.urlpatterns]


def asked_of_store(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked from now on, by the name of the question."""
    store: Any = get_manager()._store
    asked: list[str] = []
    for name in ("read", "write"):
        original = getattr(store, name)

        async def counted(work: Any, *args: Any, _original: Any = original) -> Any:
            asked.append(work.__name__)
            return await _original(work, *args)

        monkeypatch.setattr(store, name, counted)
    return asked


@shows("A12", "http")
def test_t60_an_unknown_handle_is_one_read_and_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    client.get("/login/ada")
    handle, _, secret = client.cookies["sessionid"].value.partition(".")
    asked = asked_of_store(monkeypatch)
    for token in (
        f"{handle.upper()}.{secret}",
        f"{handle}.{secret.swapcase()}",
        "01900000-0000-7000-8000-00000000000a." + "A" * 43,
    ):
        asked.clear()
        other = Client()
        other.cookies["sessionid"] = token
        response = other.get("/get/a")
        assert response.json() == {"a": None}
        assert len(asked) <= 2
        assert set(asked) <= {"_get"}
        assert "sessionid" not in response.cookies


@shows("D01", "http")
@override_settings(ROOT_URLCONF=__name__)
def test_t68_static_files_ask_nobody_and_may_be_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    client.get("/login/ada")
    asked = asked_of_store(monkeypatch)
    response = client.get(f"/static/{HERE.name}")
    assert (response.status_code, b"".join(response)) == (200, HERE.read_bytes())
    response.close()
    assert asked == []
    assert not response.has_header("Vary")
    assert not response.has_header("Cache-Control")
    assert "sessionid" not in response.cookies


@shows("A12", "http")
@override_settings(ROOT_URLCONF=__name__)
def test_t70_a_handler_for_everything_does_not_swallow_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(raise_request_exception=False)
    client.get("/login/ada")

    def away(*_: Any) -> Any:
        raise StoreUnavailable

    monkeypatch.setattr(get_manager(), "authenticate", away)
    response = client.get("/whoami")
    assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
    assert "sessionid" not in response.cookies
