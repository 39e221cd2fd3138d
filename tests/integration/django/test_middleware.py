"""Requests through the whole project, by Django's test client: under our middleware, under Django's own, in `def` and `async def` views."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from http.cookies import Morsel
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings

from sessile.integrations.django import SessionMiddleware, SessionStore, get_manager
from sessile.integrations.django.process import here
from sessile.model.errors import StoreUnavailable
from sessile.testing import FakeClock
from sessile.testing.shows import shows, shows_security
from tests.integration.django import project

pytestmark = pytest.mark.usefixtures("store", "users")


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture(params=["ours", "stock"])
def any_client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """Under either middleware."""
    if request.param == "ours":
        yield Client()
    else:
        with override_settings(MIDDLEWARE=project.STOCK_MIDDLEWARE):
            yield Client()


def cookie(response: Any) -> Morsel[str] | None:
    found: Morsel[str] | None = response.cookies.get("sessionid")
    return found


def is_private(response: Any) -> bool:
    told = (response.headers.get("Vary"), response.headers.get("Cache-Control"))
    return told == ("Cookie", "private, no-store")


def sessions_of(user: Any) -> int:
    return len(get_manager().list_sessions(str(user.pk)))


def ada() -> Any:
    from django.contrib.auth.models import User

    return User.objects.get(username="ada")


# -- under either middleware ----------------------------------------------------------------------------------------------------------------


def test_who_never_writes_gets_nothing(any_client: Client) -> None:
    for path in ("/bare", "/get/a"):
        response = any_client.get(path)
        assert cookie(response) is None
    assert get_manager().list_sessions("1") == []


def test_nested_changes_are_kept_without_saying_so(any_client: Client) -> None:
    assert any_client.post("/basket/a").json() == {"a": 1}
    assert any_client.post("/basket/b").json() == {"a": 1, "b": 1}
    assert any_client.get("/get/basket").json() == {"basket": {"a": 1, "b": 1}}


@shows_security("V7.2.4")
def test_a_login_keeps_the_basket_and_changes_the_token(any_client: Client) -> None:
    any_client.post("/basket/a")
    anonymous = any_client.cookies["sessionid"].value
    response = any_client.post("/login/ada")
    assert response.content.decode() == str(ada().pk)
    assert any_client.cookies["sessionid"].value != anonymous
    assert any_client.get("/get/basket").json() == {"basket": {"a": 1}}
    assert any_client.get("/whoami").json() == {"django": "ada", "sessile": str(ada().pk)}
    assert sessions_of(ada()) == 1
    assert any_client.get("/intake").json() == {"step": 1}


def test_another_user_gets_a_session_of_their_own(any_client: Client) -> None:
    any_client.post("/login/ada")
    any_client.post("/basket/a")
    any_client.post("/login/bob")
    assert any_client.get("/whoami").json()["django"] == "bob"
    assert any_client.get("/get/basket").json() == {"basket": None}
    assert sessions_of(ada()) == 0


@shows_security("V7.4.1", "C-8")
@shows("A09", "http")
def test_a_logout_ends_it_everywhere(any_client: Client) -> None:
    any_client.post("/login/ada")
    token = any_client.cookies["sessionid"].value
    response = any_client.post("/logout")
    assert cookie(response) is not None
    assert any_client.cookies["sessionid"].value == ""
    assert sessions_of(ada()) == 0
    thief = Client()
    thief.cookies["sessionid"] = token
    assert thief.get("/whoami").status_code == 302


def test_the_test_client_logs_in_and_shows_the_session(any_client: Client) -> None:
    any_client.force_login(ada())
    assert any_client.get("/whoami").json() == {"django": "ada", "sessile": str(ada().pk)}
    session = any_client.session
    session["a"] = "from the test"
    session.save()
    assert any_client.get("/get/a").json() == {"a": "from the test"}
    assert any_client.session["_auth_user_id"] == str(ada().pk)
    any_client.logout()
    assert any_client.get("/whoami").status_code == 302
    assert sessions_of(ada()) == 0


def test_the_test_client_writes_before_the_first_request(any_client: Client) -> None:
    session = any_client.session
    session["a"] = 1
    session.save()
    assert any_client.get("/get/a").json() == {"a": 1}


@shows_security("V7.4.3")
def test_a_password_ends_the_others_and_keeps_this_one_if_asked(any_client: Client) -> None:
    others = [Client(), Client()]
    for each in (any_client, *others):
        each.force_login(ada())
    assert sessions_of(ada()) == 3
    assert any_client.post("/password/new?keep=1").status_code == 204
    assert any_client.get("/whoami").status_code == 200
    for other in others:
        assert other.get("/whoami").status_code == 302
    assert sessions_of(ada()) == 1


@shows_security("V7.4.3")
def test_a_password_without_that_ends_this_one_too(any_client: Client) -> None:
    any_client.force_login(ada())
    any_client.post("/password/new")
    assert any_client.get("/whoami").status_code == 302
    assert sessions_of(ada()) == 0


def test_the_end_by_password_is_at_once_and_says_why(client: Client) -> None:
    client.force_login(ada())
    handle = client.session.handle
    user = ada()
    user.set_password("new")
    user.save()
    events = get_manager().audit.events(f"session:{handle}")
    assert [event.data for event in events if event.type == "session_ended"] == [{"reason": "password_changed"}]


def test_a_password_that_is_only_hashed_anew_ends_nothing(client: Client) -> None:
    client.force_login(ada())
    hashers = ["django.contrib.auth.hashers.PBKDF2PasswordHasher", *project.PASSWORD_HASHERS]
    with override_settings(PASSWORD_HASHERS=hashers):
        assert Client().login(username="ada", password="ada")
    assert ada().password.startswith("pbkdf2")
    assert sessions_of(ada()) == 2


@shows_security("V7.4.2")
def test_a_deleted_user_has_no_session_left(client: Client) -> None:
    client.force_login(ada())
    key = str(ada().pk)
    ada().delete()
    assert get_manager().list_sessions(key) == []
    assert client.get("/whoami").status_code == 302


@pytest.mark.parametrize(
    "storage",
    [
        "django.contrib.messages.storage.session.SessionStorage",
        "django.contrib.messages.storage.cookie.CookieStorage",
        "django.contrib.messages.storage.fallback.FallbackStorage",
    ],
)
def test_messages(any_client: Client, storage: str) -> None:
    with override_settings(MESSAGE_STORAGE=storage):
        any_client.post("/say/one")
        any_client.post("/say/two")
        assert any_client.get("/said").json() == {"messages": ["one", "two"]}
        assert any_client.get("/said").json() == {"messages": []}


@pytest.mark.parametrize("path", ["/fail", "/crash"])
def test_a_response_of_500_saves_nothing(any_client: Client, path: str) -> None:
    any_client.raise_request_exception = False
    any_client.post("/put/a/1")
    assert any_client.post(path).status_code == 500
    assert any_client.get("/get/lost").json() == {"lost": None}
    assert any_client.get("/get/a").json() == {"a": "1"}


@shows_security("C-12")
def test_csrf_tokens_in_the_session(any_client: Client) -> None:
    with override_settings(CSRF_USE_SESSIONS=True):
        strict = Client(enforce_csrf_checks=True)
        assert strict.post("/put/a/1").status_code == 403
        token = strict.get("/csrf").content.decode()
        assert any("_csrftoken" in key for key in strict.session)
        assert strict.post("/put/a/1", headers={"X-CSRFToken": token}).status_code == 204


def test_the_browsers_session_is_a_cookie_without_age(any_client: Client) -> None:
    with override_settings(SESSION_EXPIRE_AT_BROWSER_CLOSE=True):
        found = cookie(any_client.post("/put/a/1"))
    assert found is not None
    assert found["max-age"] == ""


def test_set_expiry_moves_cookie_and_deadline(any_client: Client, clock: FakeClock) -> None:
    any_client.post("/put/a/1")
    found = cookie(any_client.post("/expire/600"))
    assert found is not None
    assert found["max-age"] == 600
    record = get_manager().get_session(str(any_client.session.handle))
    assert record.idle_expires_at == clock.now() + timedelta(seconds=600)
    clock.advance(601)
    assert any_client.get("/get/a").json() == {"a": None}


# -- under ours -----------------------------------------------------------------------------------------------------------------------------


@shows_security("V14.2.2", "V-12")
def test_what_caches_are_told(client: Client) -> None:
    assert not is_private(client.get("/bare"))
    assert "Vary" not in client.get("/bare").headers
    assert is_private(client.get("/get/a"))
    assert is_private(client.post("/put/a/1"))


def test_a_cookie_is_set_when_the_token_changed_and_not_else(client: Client) -> None:
    first = cookie(client.post("/put/a/1"))
    assert first is not None
    assert (first["max-age"], first["httponly"], first["samesite"]) == (28 * 86400, True, "Lax")
    for path in ("/get/a", "/put/a/2", "/basket/x"):
        assert cookie(client.get(path)) is None
    assert cookie(client.get("/verb/rotate")) is not None
    assert cookie(client.get("/verb/save")) is None


def test_the_attributes_are_djangos() -> None:
    options = {
        "SESSION_COOKIE_NAME": "__Secure-mine",
        "SESSION_COOKIE_DOMAIN": "example.com",
        "SESSION_COOKIE_PATH": "/app/",
        "SESSION_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": False,
        "SESSION_COOKIE_SAMESITE": "Strict",
    }
    with override_settings(**options, SESSILE={"DATABASE_URL": "memory://"}):
        response = Client().post("/put/a/1")
        found = response.cookies["__Secure-mine"]
    assert (found["domain"], found["path"], found["samesite"]) == ("example.com", "/app/", "Strict")
    assert found["secure"]
    assert not found["httponly"]


@pytest.mark.parametrize(
    ("host", "is_https", "said", "is_secure"),
    [
        ("example.com", True, {}, True),
        ("example.com", False, {}, True),
        ("localhost:8000", False, {}, False),
        ("127.0.0.1", False, {}, False),
        ("localhost", True, {}, True),
        ("localhost", False, {"SESSION_COOKIE_SECURE": True}, True),
        ("example.com", True, {"SESSION_COOKIE_SECURE": False}, False),
        ("localhost", False, {"SESSION_COOKIE_SAMESITE": "None"}, True),
        ("localhost", False, {"SESSION_COOKIE_NAME": "__Host-sessionid"}, True),
    ],
)
def test_the_cookie_is_secure_unless_the_project_says_otherwise(
    host: str, is_https: bool, said: dict[str, Any], is_secure: bool
) -> None:
    with override_settings(**said, SESSILE={"DATABASE_URL": "memory://"}):
        client = Client(HTTP_HOST=host)
        (found,) = client.get("/put/a/1", secure=is_https).cookies.values()
        assert bool(found["secure"]) is is_secure
        (found,) = client.get("/verb/logout", secure=is_https).cookies.values()
        assert found.value == ""


def test_plain_http_from_elsewhere_is_in_the_log_once(store: str, caplog: pytest.LogCaptureFixture) -> None:
    host = f"{store.partition(':')[0]}.example"
    for sku in ("a", "b"):
        Client(HTTP_HOST=host).get(f"/put/{sku}/1")
    assert [record.getMessage().count(host) for record in caplog.records] == [1]


def test_a_second_tab_in_flight_does_not_take_the_login_away(client: Client) -> None:
    client.post("/basket/a")
    late = Client()
    late.cookies["sessionid"] = client.cookies["sessionid"].value
    client.post("/login/ada")
    response = late.get("/get/basket")
    assert response.json() == {"basket": None}
    assert cookie(response) is None
    refused = late.post("/put/a/1")
    assert (refused.status_code, refused.json()["code"]) == (409, "session_read_only")
    assert cookie(refused) is None
    assert cookie(late.post("/logout")) is None
    assert client.get("/whoami").status_code == 200


def test_a_login_by_a_tab_in_flight_is_a_session_of_its_own(client: Client) -> None:
    client.post("/basket/a")
    late = Client()
    late.cookies["sessionid"] = client.cookies["sessionid"].value
    client.post("/login/ada")
    late.post("/login/bob")
    assert late.get("/whoami").json()["django"] == "bob"
    assert client.get("/whoami").json()["django"] == "ada"


def test_after_a_rotation_the_old_token_serves_for_a_moment(client: Client, clock: FakeClock) -> None:
    client.post("/put/a/1")
    late = Client()
    late.cookies["sessionid"] = client.cookies["sessionid"].value
    client.get("/verb/cycle_key")
    client.get("/get/a")
    assert late.get("/get/a").json() == {"a": "1"}
    assert cookie(late.post("/put/b/2")) is None
    assert client.get("/get/b").json() == {"b": "2"}
    clock.advance(31)
    assert late.get("/get/a").json() == {"a": None}


@shows_security("K-3", "V-19")
def test_two_cookies_of_the_name_are_no_session(client: Client) -> None:
    client.post("/put/a/1")
    token = client.cookies["sessionid"].value
    for header in (
        f"sessionid={token}; sessionid=x",
        f"sessionid=x; sessionid={token}",
        f"=sessionid=x; sessionid={token}",
    ):
        response = Client().get("/get/a", HTTP_COOKIE=header)
        assert response.json() == {"a": None}
    assert Client().get("/get/a", HTTP_COOKIE=f"a=1; sessionid={token}; b=2").json() == {"a": "1"}


def test_a_bearer_token_is_a_session_without_a_cookie(client: Client) -> None:
    issued = get_manager().create_session("7", data={"a": "of the app"})
    response = client.get("/get/a", headers={"Authorization": f"Bearer {issued.token}"})
    assert response.json() == {"a": "of the app"}
    assert cookie(response) is None


def test_set_expiry_of_zero_is_for_the_browser_only(client: Client) -> None:
    client.post("/put/a/1")
    found = cookie(client.post("/expire/0"))
    assert found is not None
    assert found["max-age"] == ""


def test_save_every_request_sends_the_cookie_each_time(client: Client, clock: FakeClock) -> None:
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        assert cookie(client.get("/bare")) is None
        client.post("/put/a/1")
        clock.advance(10 * 86400)
        found = cookie(client.get("/bare"))
        assert found is not None
        assert found["max-age"] == 18 * 86400
        clock.advance(10 * 86400)
        assert client.get("/get/a").json() == {"a": "1"}


@shows_security("V7.3.1")
@shows("A07", "http")
def test_using_it_is_activity_and_a_poll_is_not(client: Client, clock: FakeClock) -> None:
    client.post("/put/a/1")
    clock.advance(13 * 86400)
    assert client.get("/get/a").json() == {"a": "1"}
    clock.advance(13 * 86400)
    assert client.get("/get/a").json() == {"a": "1"}
    clock.advance(14 * 86400)
    assert client.get("/get/a").json() == {"a": None}


def test_a_value_that_cannot_be_kept_is_no_success(client: Client) -> None:
    response = client.post("/unfit")
    assert response.status_code == 422
    assert "/bad/here" in response.json()["detail"]


def test_a_stream_may_not_begin_to_read(client: Client) -> None:
    from sessile.model.errors import SessionClosed

    client.post("/put/a/1")
    response = client.get("/late")
    with pytest.raises(SessionClosed):
        b"".join(response.streaming_content)


@shows_security("V7.5.1", "V7.5.3")
@shows("D02", "http")
def test_what_a_view_requires(client: Client, clock: FakeClock) -> None:
    refused = client.get("/members")
    assert (refused.status_code, refused.json()["reason"]) == (401, "no_cookie")
    assert is_private(refused)
    client.post("/login/ada")
    pk = str(ada().pk)
    assert client.get("/members").json() == {"user": pk, "known": True, "handle": client.session.handle}
    assert client.get("/account").json()["code"] == "platform_refused"
    assert client.get("/payout").content == b"paid"
    clock.advance(61)
    assert client.get("/payout").json()["code"] == "freshness_required"


@shows("E01", "http")
def test_platforms(client: Client) -> None:
    from sessile import PlatformEntry

    client.post("/login/ada")
    pk = str(ada().pk)
    get_manager().sync_platforms(
        pk, [PlatformEntry(platform_id="a", name="A"), PlatformEntry(platform_id="b", name="B")]
    )
    client.post("/login/ada")
    get_manager().switch_platform(str(client.session.handle), "a")
    assert client.get("/account").json() == {"platform": "a"}
    response = client.get("/account", headers={"Sessile-Platform": "b"})
    assert response.json() == {"platform": "b"}
    assert response.headers["Sessile-Platform"] == "b"


@pytest.mark.parametrize("name", ["extend", "end_others", "credentials_changed", "rotate"])
def test_verbs_of_the_other_frameworks(client: Client, name: str) -> None:
    client.force_login(ada())
    Client().force_login(ada())
    response = client.get(f"/verb/{name}")
    assert response.status_code == 200
    assert (sessions_of(ada()), response.json()["result"]) == (
        (1, 1) if name[0] in "ec" and name != "extend" else (2, None)
    )
    assert client.get("/whoami").status_code == 200


def test_a_login_without_djangos_users(client: Client) -> None:
    client.get("/verb/login")
    assert client.get("/members").json()["user"] == "own"
    assert client.get("/whoami").status_code == 302
    client.post("/basket/a")
    assert client.get("/members").json()["user"] == "own"
    client.get("/verb/logout")
    assert client.get("/members").status_code == 401


def test_public_facts_come_from_the_projects_function(store: str, clock: FakeClock) -> None:
    from sessile.integrations.django import process
    from sessile.integrations.django.configuration import configuration

    with override_settings(
        SESSILE={"DATABASE_URL": "memory://", "PUBLIC": "tests.integration.django.test_middleware.facts"}
    ):
        process.use(process.Process(configuration(), clock=clock))
        client = Client()
        client.force_login(ada())
        assert dict(client.session.public) == {"name": "ada"}
        principal = get_manager().get_principal(str(ada().pk))
        assert principal is not None
        assert principal.public == {"name": "ada"}


def facts(user: Any) -> dict[str, str]:
    return {"name": user.get_username()}


# -- outages --------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Any:
    """From when this is called on, nobody can look."""

    def begin() -> None:
        def away(*_args: Any, **_named: Any) -> Any:
            raise StoreUnavailable

        for name in (
            "authenticate",
            "create_session",
            "login",
            "change_session_data",
            "destroy_session",
            "get_session",
        ):
            monkeypatch.setattr(here().manager, name, away)
        monkeypatch.setattr(here().manager.serving, "authenticate", away)

    return begin


@shows_security("V16.5.2")
def test_an_outage_is_503_and_nobodys_logout(client: Client, outage: Any) -> None:
    client.post("/login/ada")
    token = client.cookies["sessionid"].value
    outage()
    for path in ("/get/a", "/whoami", "/members", "/put/a/1", "/logout", "/intake"):
        response = client.get(path)
        assert (response.status_code, response.headers.get("Retry-After")) == (503, "2"), path
        assert response.json()["code"] == "store_unavailable"
        assert cookie(response) is None
    assert client.cookies["sessionid"].value == token
    assert client.get("/bare").status_code == 200


def test_an_outage_in_another_middleware_is_503_too(client: Client, outage: Any) -> None:
    client.post("/login/ada")
    outage()
    with override_settings(
        MIDDLEWARE=[*project.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"], LOGIN_URL="/login/x"
    ):
        strict = Client(raise_request_exception=False)
        strict.cookies.update(client.cookies)
        response = strict.get("/bare")
    assert (response.status_code, response.headers.get("Retry-After")) == (503, "2")


def test_an_outage_under_djangos_middleware_takes_no_cookie_away(client: Client, outage: Any) -> None:
    with override_settings(MIDDLEWARE=project.STOCK_MIDDLEWARE):
        client.post("/login/ada")
        outage()
        client.raise_request_exception = False
        response = client.get("/get/a")
    assert response.status_code == 500
    assert cookie(response) is None


def test_a_new_visitors_write_in_an_outage_is_503(client: Client, outage: Any) -> None:
    outage()
    response = client.post("/put/a/1")
    assert response.status_code == 503
    assert cookie(response) is None


# -- what is asked of the store -------------------------------------------------------------------------------------------------------------


def test_questions_to_the_store_are_few(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    store: Any = get_manager()._store
    asked: list[str] = []
    for name in ("read", "write"):
        original = getattr(store, name)

        async def counted(*args: Any, _name: str = name, _original: Any = original) -> Any:
            asked.append(_name)
            return await _original(*args)

        monkeypatch.setattr(store, name, counted)

    def cost(path: str) -> list[str]:
        asked.clear()
        client.get(path)
        return list(asked)

    assert cost("/bare") == []
    assert cost("/get/a") == []
    assert cost("/put/a/1") == ["write"]
    assert cost("/bare") == []
    cost("/get/a")  # the first sight of the token is noted
    assert cost("/get/a") == ["read"]
    assert cost("/put/a/2") == ["read", "write"]
    assert cost("/put/a/2") == ["read"]
    assert cost("/login/ada") == ["read", "write", "write"]
    token = str(client.cookies["sessionid"].value)
    client.cookies["sessionid"] = token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB")
    assert cost("/get/a") == ["read", "read"]  # an unknown token: one look, and one that no cache answers
    client.cookies["sessionid"] = "x" * 80
    assert cost("/get/a") == []


@shows_security("V7.2.1", "V-22")
def test_t66_no_request_talks_itself_out_of_its_session(client: Client) -> None:
    client.post("/login/ada")
    for path in ("/whoami?transport=polling", "/whoami?EIO=4&transport=websocket"):
        for headers in ({"Upgrade": "websocket", "Connection": "Upgrade"}, {"X-Requested-With": "XMLHttpRequest"}, {}):
            assert client.get(path, headers=headers).json()["django"] == "ada"


# -- beside the test client -----------------------------------------------------------------------------------------------------------------


def test_the_middleware_by_hand() -> None:
    """As projects test their own code with RequestFactory."""
    request = RequestFactory().get("/")
    middleware = SessionMiddleware(lambda _request: HttpResponse())
    middleware.process_request(request)
    assert isinstance(request.session, SessionStore)
    request.session["a"] = 1
    request.session.save()
    other = RequestFactory().get("/")
    other.COOKIES["sessionid"] = request.session.session_key
    middleware.process_request(other)
    assert other.session["a"] == 1
    response = middleware.process_response(other, HttpResponse())
    assert response.headers["Vary"] == "Cookie"


def test_a_session_that_somebody_replaced_is_left_alone() -> None:
    request = RequestFactory().get("/")
    middleware = SessionMiddleware(lambda _request: HttpResponse())
    middleware.process_request(request)
    request.session = {}
    assert "Vary" not in middleware.process_response(request, HttpResponse()).headers


@shows_security("V-15")
def test_no_token_in_a_repr(client: Client) -> None:
    client.post("/put/a/secret")
    session = client.session
    assert session["a"] == "secret"
    for text in (repr(session), str(session)):
        assert "secret" not in text
        assert str(session.session_key) not in text
