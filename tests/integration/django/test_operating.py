"""Settings, system checks, `manage.py sessile`, `clearsessions`, and the admin's page."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client, override_settings

from sessile.integrations.django import get_manager, process
from sessile.integrations.django.checks import OURS, STOCK
from sessile.integrations.django.configuration import configuration
from sessile.model.errors import SessionEnded, StoreUnavailable
from sessile.testing import FakeClock
from sessile.testing.shows import shows_security
from tests.integration.django import project

MEMORY = {"DATABASE_URL": "memory://"}


def settled(**given: Any) -> Any:
    with override_settings(SESSILE={**MEMORY, **given}):
        return configuration().settings


# -- settings -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"DATBASE_URL": "x"}, 'SESSILE["DATBASE_URL"]: there is no such setting; did you mean DATABASE_URL?'),
        ({"database_url": "x"}, "did you mean DATABASE_URL?"),
        ({"ZZZ": 1}, "docs/reference/settings.md"),
        ({"COOKIE_NAME": "x"}, "Django has SESSION_COOKIE_NAME for this"),
        ({"IDLE_TIMEOUT_S": 5}, "Django has SESSION_COOKIE_AGE for this"),
        ({"POOL_SIZE": "many"}, 'SESSILE["POOL_SIZE"]:'),
        ({"ABSOLUTE_TIMEOUT_S": 60}, "idle_timeout_s is longer than absolute_timeout_s"),
        ({"PUBLIC": print}, "is the dotted path of a function"),
    ],
)
def test_a_setting_that_cannot_be_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        settled(**given)
    assert said in str(caught.value)


def test_settings_are_a_dict() -> None:
    with override_settings(SESSILE="sqlite:///x"), pytest.raises(ImproperlyConfigured, match="SESSILE is a dict"):
        configuration()


@pytest.mark.parametrize("age_s", [60, 3600, 14 * 86400, 365 * 86400])
def test_djangos_cookie_age_is_the_idle_timeout(age_s: int) -> None:
    with override_settings(SESSION_COOKIE_AGE=age_s):
        found = settled()
    assert found.idle_timeout_s == age_s
    assert found.absolute_timeout_s == max(172800, 2 * age_s)
    assert found.remember_timeout_s >= found.absolute_timeout_s


def test_the_environment_holds_where_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with override_settings(SESSILE={}, BASE_DIR=tmp_path):
        assert configuration().settings.database_url == f"sqlite:///{tmp_path / 'sessile.sqlite3'}"
        monkeypatch.setenv("SESSILE_DATABASE_URL", "memory://")
        monkeypatch.setenv("SESSILE_ABSOLUTE_TIMEOUT_S", str(20 * 86400))
        found = configuration().settings
    assert (found.database_url, found.absolute_timeout_s) == ("memory://", 20 * 86400)


def test_trusted_origins_may_use_the_api() -> None:
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://a.example", "https://*.b.example"]):
        assert settled().allowed_origins == ("https://a.example",)
        assert settled(ALLOWED_ORIGINS=["https://c.example"]).allowed_origins == ("https://c.example",)


# -- checks ---------------------------------------------------------------------------------------------------------------------------------


def found(**options: Any) -> list[str]:
    databases = options.pop("databases", None)
    with override_settings(**options):
        return [
            str(message.id) for message in run_checks(databases=databases) if str(message.id).startswith("sessile.")
        ]


def test_a_project_that_is_in_order_passes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessile.db'}"
    assert found(SESSILE={"DATABASE_URL": url}) == []
    assert found(SESSILE={"DATABASE_URL": url}, databases=["default"]) == []


AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
CACHE = "django.middleware.cache.UpdateCacheMiddleware"


@pytest.mark.parametrize(
    ("options", "id_"),
    [
        ({"SESSILE": {"NOTHING": 1}}, "sessile.E001"),
        ({"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"}, "sessile.W002"),
        ({"MIDDLEWARE": project.STOCK_MIDDLEWARE}, "sessile.W003"),
        ({"MIDDLEWARE": []}, "sessile.E004"),
        ({"MIDDLEWARE": [STOCK, OURS]}, "sessile.E004"),
        ({"MIDDLEWARE": [AUTH, OURS]}, "sessile.E005"),
        ({"MIDDLEWARE": [OURS, CACHE]}, "sessile.E005"),
        ({"SESSION_COOKIE_NAME": "__Host-x", "SESSION_COOKIE_SECURE": False, "DEBUG": True}, "sessile.E006"),
        ({"SESSION_COOKIE_NAME": "__Host-x", "SESSION_COOKIE_PATH": "/a"}, "sessile.E006"),
        ({"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": False, "DEBUG": True}, "sessile.E006"),
        ({"SESSION_COOKIE_SECURE": False}, "sessile.W013"),
        ({"SESSION_SERIALIZER": "django.core.signing.JSONSerializer"}, "sessile.W007"),
        ({"SESSION_SAVE_EVERY_REQUEST": True}, "sessile.W008"),
        ({"SESSILE": MEMORY}, "sessile.W010"),
    ],
)
def test_what_does_not_fit_together_is_said(options: dict[str, Any], id_: str, tmp_path: Path) -> None:
    usual = {"SESSILE": {"DATABASE_URL": f"sqlite:///{tmp_path / 'sessile.db'}"}}
    assert found(**{**usual, **options}) == [id_]


def test_every_finding_has_a_hint_and_is_on_the_page(tmp_path: Path) -> None:
    from sessile.integrations.django import checks
    from tests.architecture.tree import ROOT

    source = Path(checks.__file__).read_text(encoding="utf-8")
    page = (ROOT / "docs" / "how-to" / "django.md").read_text(encoding="utf-8")
    ids = {part.partition('"')[0] for part in source.split('id="')[1:]}
    assert len(ids) >= 11
    assert [one for one in sorted(ids) if f"`{one}`" not in page] == []
    with override_settings(SESSION_COOKIE_SECURE=False, SESSION_SAVE_EVERY_REQUEST=True, MIDDLEWARE=[AUTH, OURS]):
        ours = [message for message in run_checks() if str(message.id).startswith("sessile.")]
    assert ours
    assert all(message.hint for message in ours)


def test_djangos_own_file_is_refused(tmp_path: Path) -> None:
    own = project.DATABASES["default"]["NAME"]
    databases = {"default": {**project.DATABASES["default"], "NAME": tmp_path / "one.sqlite3"}}
    assert own != databases["default"]["NAME"]
    shared = {"SESSILE": {"DATABASE_URL": f"sqlite:///{tmp_path / 'x' / '..' / 'one.sqlite3'}"}}
    with override_settings(**shared):
        from django.conf import settings

        before = settings.DATABASES
        settings.DATABASES = databases
        try:
            assert found(**shared) == ["sessile.E009"]
        finally:
            settings.DATABASES = before


def test_a_database_that_cannot_be_reached_is_a_warning() -> None:
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    assert found(SESSILE={"DATABASE_URL": url}) == []
    assert found(SESSILE={"DATABASE_URL": url}, databases=["default"]) == ["sessile.W012"]


# -- commands -------------------------------------------------------------------------------------------------------------------------------


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("sessile", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def ada(store: str, users: None) -> User:
    return User.objects.get(username="ada")


def test_sessions_are_listed_and_ended(ada: User) -> None:
    one, two = Client(), Client()
    one.force_login(ada)
    two.force_login(ada)
    handle = str(one.session.handle)
    assert handle in said("list", "ada")
    rows = json.loads(said("list", str(ada.pk), "--json"))
    assert {row["session_id"] for row in rows} == {handle, two.session.handle}
    assert str(one.session.session_key) not in said("list", "ada")
    assert said("end", handle) == "1 ended.\n"
    assert one.get("/whoami").status_code == 302
    assert two.get("/whoami").status_code == 200
    with pytest.raises(CommandError, match="no live session"):
        said("end", handle)
    assert said("end", "--user", "ada") == "1 ended.\n"
    assert said("list", "ada") == "ada has no live session.\n"
    for wrong in ((), ("end",), ("end", handle, "--user", "ada")):
        with pytest.raises(CommandError):
            said(*wrong)


@pytest.mark.parametrize("command", [("sessile", "sweep"), ("clearsessions",)])
def test_sweeping(store: str, clock: FakeClock, command: tuple[str, ...]) -> None:
    issued = get_manager().create_session("7")
    clock.advance(15 * 86400)
    call_command(*command)
    events = get_manager().audit.events(f"session:{issued.session.session_id}")
    assert "session_ended" in {event.type for event in events}


def test_the_database_is_looked_at(store: str) -> None:
    assert "it answered in" in said("check")
    assert "is ready" in said("upgrade")


def test_an_outage_is_a_message(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: Any, **_named: Any) -> Any:
        raise StoreUnavailable

    monkeypatch.setattr(get_manager(), "list_sessions", away)
    with pytest.raises(CommandError, match="cannot be reached"):
        said("list", "7")


def test_djangos_commands_do_not_look_for_a_table(store: str, users: None) -> None:
    out = StringIO()
    for everything in (False, True):
        call_command("dumpdata", use_base_manager=everything, stdout=out)
    assert "sessile.session" not in {row["model"] for row in json.loads(out.getvalue().partition("][")[0] + "]")}
    call_command("makemigrations", check_changes=True, dry_run=True, stdout=out)
    assert "No changes detected" in out.getvalue()


# -- the admin's page -----------------------------------------------------------------------------------------------------------------------

PAGE = "/admin/sessile/session/"


def staff(*permissions: str) -> Client:
    user = User.objects.create_user(f"staff{len(permissions)}", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="sessile", codename__in=permissions))
    client = Client(headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"})
    client.force_login(user)
    return client


def browser_of(user: User) -> Client:
    client = Client(headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"})
    client.post(f"/login/{user.username}")
    return client


def test_who_may_look_sees_device_and_times_and_can_end_nothing(ada: User) -> None:
    theirs = browser_of(ada)
    handle = str(theirs.session.handle)
    client = staff("view_session")
    assert client.get(PAGE).status_code == 200
    page = client.get(PAGE, {"user": "ada"}).content.decode()
    assert handle in page
    assert "Firefox" in page
    assert 'type="checkbox"' not in page
    assert str(theirs.session.session_key) not in page
    assert client.post(f"{PAGE}?user=ada", {"session": handle}).status_code == 403
    assert theirs.get("/whoami").status_code == 200


@shows_security("V7.4.5")
def test_who_may_end_ends_the_chosen_ones(ada: User) -> None:
    one, two = browser_of(ada), browser_of(ada)
    handle = str(one.session.handle)
    client = staff("view_session", "delete_session")
    assert 'type="checkbox"' in client.get(PAGE, {"user": "ada"}).content.decode()
    own = str(client.session.handle)
    done = client.post(f"{PAGE}?user=ada", {"session": [handle, own, "nonsense"]}, follow=True)
    assert "1 session ended." in done.content.decode()
    with pytest.raises(SessionEnded) as caught:
        get_manager().get_session(handle)
    assert caught.value.reason == "admin"
    assert two.get("/whoami").status_code == 200
    assert get_manager().get_session(own).ended_at is None


@shows_security("V7.4.5")
def test_who_may_nothing_sees_nothing(ada: User) -> None:
    assert staff().get(PAGE).status_code == 403
    assert Client().get(PAGE).status_code == 302


def test_an_outage_on_the_page_is_no_empty_list(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = staff("view_session")

    def away(*_args: Any, **_named: Any) -> Any:
        raise StoreUnavailable

    monkeypatch.setattr(process.here().manager, "list_sessions", away)
    response = client.get(PAGE, {"user": "ada"})
    assert response.status_code == 503
    assert "cannot be reached" in response.content.decode()
    assert "no live session" not in response.content.decode()
