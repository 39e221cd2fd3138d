"""Data in the store that cannot be read: an error of the server that names the session, never a log-out and never an empty dict; and a way out."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import Client, override_settings
from django.urls import path

from sessile.integrations.django import SessionStore, get_manager
from sessile.model.errors import SessionDamaged
from sessile.runtime.lane import drive
from tests.integration.damaged import GARBAGE, damage, tells_of
from tests.integration.django import project, site

pytestmark = pytest.mark.usefixtures("store", "users")


def page(request: HttpRequest) -> HttpResponse:
    text = "{% if user.is_authenticated %}in{% else %}out{% endif %}"
    return HttpResponse(engines["django"].from_string(text).render({}, request))


def leave(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return HttpResponse("left")


urlpatterns = [path("page", page), path("leave", leave), *site.urlpatterns]


@pytest.fixture
def entered() -> tuple[Client, str]:
    """Ada's browser, whose session cannot be read, and its handle."""
    client = Client(raise_request_exception=False)
    client.get("/login/ada")
    client.get("/put/a/1")
    (known,) = get_manager().list_sessions(str(User.objects.get(username="ada").pk))
    drive(get_manager()._store.write(damage, known.session_id))
    return client, known.session_id


def told(response: Any) -> tuple[int, str, str]:
    body = response.json()
    return response.status_code, body["code"], body["session_id"]


def test_a_read_is_an_error_that_names_the_session(
    entered: tuple[Client, str], caplog: pytest.LogCaptureFixture
) -> None:
    client, handle = entered
    for url in ("/get/a", "/whoami", "/async/get/a", "/async/whoami", "/put/b/2"):
        response = client.get(url)
        assert told(response) == (500, "session_damaged", handle), url
        assert "sessionid" not in response.cookies
    assert any(tells_of(record, handle) for record in caplog.records)
    assert client.get("/bare").status_code == 200, "who does not use it is not disturbed"
    assert get_manager().get_session(handle).data == GARBAGE


@override_settings(ROOT_URLCONF=__name__)
def test_a_template_does_not_make_it_a_page_for_nobody(entered: tuple[Client, str]) -> None:
    client, handle = entered
    assert told(client.get("/page")) == (500, "session_damaged", handle)


@pytest.mark.parametrize("name", ["ada", "bob"])
@pytest.mark.parametrize("way", ["/login/", "/async/login/"])
def test_a_login_begins_with_empty_data(entered: tuple[Client, str], name: str, way: str) -> None:
    client, _ = entered
    assert client.get(f"{way}{name}").status_code == 200
    assert client.get("/whoami").json()["django"] == name
    assert client.get("/get/a").json() == {"a": None}
    client.get("/put/b/2")
    assert client.get("/get/b").json() == {"b": "2"}


@pytest.mark.parametrize("way", ["/login/", "/async/login/"])
def test_an_anonymous_visitor_can_log_in(way: str) -> None:
    client = Client()
    client.get("/put/a/1")
    store = SessionStore(client.cookies["sessionid"].value)
    drive(get_manager()._store.write(damage, store.handle))
    assert client.get("/get/a").status_code == 500
    assert client.get(f"{way}ada").status_code == 200
    assert client.get("/whoami").json()["django"] == "ada"
    assert client.get("/get/a").json() == {"a": None}


@override_settings(ROOT_URLCONF=__name__)
def test_a_logout_ends_it(entered: tuple[Client, str]) -> None:
    client, handle = entered
    assert client.get("/leave").content == b"left"
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
        assert client.get("/get/a").status_code == 500
        assert client.get("/login/ada").status_code == 200
        assert client.get("/whoami").json()["django"] == "ada"


def test_a_store_of_a_script(entered: tuple[Client, str]) -> None:
    client, handle = entered
    key = client.cookies["sessionid"].value
    with pytest.raises(SessionDamaged):
        SessionStore(key).get("a")
    store = SessionStore(key)
    store.flush()
    store["b"] = 1
    store.save()
    assert SessionStore(store.session_key).get("b") == 1
    assert get_manager().get_session_context(handle) is None
