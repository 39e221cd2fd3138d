"""Data in the store that cannot be read: the request is nobody's and says why, the log names the session, nothing is overwritten; and people get in and out."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import Client, override_settings
from django.urls import path

from sessile.integrations.django import SessionStore, get_manager
from sessile.runtime.lane import drive
from sessile.testing.shows import shows_security
from tests.integration.damaged import GARBAGE, damage, tells_of
from tests.integration.django import project, site

pytestmark = pytest.mark.usefixtures("store", "users")


def page(request: HttpRequest) -> HttpResponse:
    text = "{% if user.is_authenticated %}in{% else %}out{% endif %}"
    return HttpResponse(engines["django"].from_string(text).render({}, request))


def leave(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return HttpResponse("left")


def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("left")


urlpatterns = [path("page", page), path("leave", leave), path("log_out", log_out), *site.urlpatterns]


@pytest.fixture
def entered() -> tuple[Client, str]:
    """Ada's browser, whose session cannot be read, and its handle."""
    client = Client(raise_request_exception=False)
    client.get("/login/ada")
    client.get("/put/a/1")
    (known,) = get_manager().list_sessions(str(User.objects.get(username="ada").pk))
    drive(get_manager()._store.write(damage, known.session_id))
    return client, known.session_id


def kept(handle: str) -> tuple[Any, bytes]:
    """Why it is over, if it is, and its data."""
    session = drive(get_manager()._store.read(lambda tx: tx.sessions.get(handle)))
    return session.end_reason, session.data


@shows_security("V-11")
def test_who_comes_with_it_is_nobody_and_the_log_names_it(
    entered: tuple[Client, str], caplog: pytest.LogCaptureFixture
) -> None:
    client, handle = entered
    for url in ("/get/a", "/whoami", "/async/get/a", "/async/whoami"):
        response = client.get(url)
        if url == "/whoami":  # it is for users
            assert (response.status_code, response["Location"].partition("?")[0]) == (302, "/accounts/login/"), url
        else:
            assert response.json() in ({"a": None}, {"django": "", "sessile": None}), url
        assert "sessionid" not in response.cookies
    assert any(tells_of(record, handle) for record in caplog.records)
    assert client.get("/bare").status_code == 200, "who does not use it is not disturbed"
    assert get_manager().get_session(handle).data == GARBAGE


@override_settings(ROOT_URLCONF=__name__)
def test_a_page_that_looks_at_the_user_is_one_for_nobody(entered: tuple[Client, str]) -> None:
    client, handle = entered
    assert client.get("/page").content == b"out"
    assert kept(handle) == (None, GARBAGE)


def test_a_write_begins_another_session_and_leaves_it_as_it_is(entered: tuple[Client, str]) -> None:
    client, handle = entered
    assert client.get("/put/b/2").status_code == 204
    assert client.get("/get/b").json() == {"b": "2"}
    assert kept(handle) == (None, GARBAGE)


@pytest.mark.parametrize("name", ["ada", "bob"])
@pytest.mark.parametrize("way", ["/login/", "/async/login/"])
def test_a_login_begins_another_session(entered: tuple[Client, str], name: str, way: str) -> None:
    client, handle = entered
    assert client.get(f"{way}{name}").status_code == 200
    assert client.get("/whoami").json()["django"] == name
    assert client.get("/get/a").json() == {"a": None}
    client.get("/put/b/2")
    assert client.get("/get/b").json() == {"b": "2"}
    assert kept(handle) == ("superseded", GARBAGE)


@pytest.mark.parametrize("way", ["/login/", "/async/login/"])
def test_an_anonymous_visitor_can_log_in(way: str) -> None:
    client = Client()
    client.get("/put/a/1")
    store = SessionStore(client.cookies["sessionid"].value)
    drive(get_manager()._store.write(damage, store.handle))
    assert client.get("/get/a").json() == {"a": None}
    assert client.get(f"{way}ada").status_code == 200
    assert client.get("/whoami").json()["django"] == "ada"
    assert client.get("/get/a").json() == {"a": None}


@override_settings(ROOT_URLCONF=__name__)
@pytest.mark.parametrize("way", ["/leave", "/log_out"])
@pytest.mark.parametrize("middleware", [project.MIDDLEWARE, project.STOCK_MIDDLEWARE])
def test_a_logout_ends_it(entered: tuple[Client, str], way: str, middleware: list[str]) -> None:
    client, handle = entered
    with override_settings(MIDDLEWARE=middleware):
        client.handler.load_middleware()  # else it keeps that of its first request
        assert client.get(way).content == b"left"
    assert kept(handle) == ("logout", GARBAGE)
    assert "sessionid" not in client.cookies or client.cookies["sessionid"].value == ""
    assert get_manager().get_session_context(handle) is None
    assert client.get("/get/a").json() == {"a": None}


@pytest.mark.parametrize("verb", ["login", "logout"])
def test_the_verbs_work_over_it(entered: tuple[Client, str], verb: str) -> None:
    client, _ = entered
    assert client.get(f"/verb/{verb}").status_code == 200
    assert client.get("/get/a").json() == {"a": None}


def test_under_djangos_own_middleware(entered: tuple[Client, str]) -> None:
    client, _ = entered
    with override_settings(MIDDLEWARE=project.STOCK_MIDDLEWARE):
        client.handler.load_middleware()
        response = client.get("/get/a")
        assert response.json() == {"a": None}
        assert "sessionid" not in response.cookies, "an unreadable session is no empty one"
        assert client.get("/login/ada").status_code == 200
        assert client.get("/whoami").json()["django"] == "ada"


def test_a_store_of_a_script(entered: tuple[Client, str]) -> None:
    client, handle = entered
    key = client.cookies["sessionid"].value
    found = SessionStore(key)
    assert (found.get("a"), found.reason) == (None, "damaged")
    store = SessionStore(key)
    store.flush()
    store["b"] = 1
    store.save()
    assert SessionStore(store.session_key).get("b") == 1
    assert get_manager().get_session_context(handle) is None
