"""Where settings come from, and what of Flask's own configuration holds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from sessile.integrations.flask import Sessile, session
from sessile.integrations.flask.configuration import settings_of
from sessile.model.errors import ConfigurationError
from tests.integration.flask.site import set_cookies, site


def configured(tmp_path: Path, **config: Any) -> Flask:
    app = Flask("configured", instance_path=str(tmp_path / "instance"))
    app.config.update(config)
    return app


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"SESSION_COOKIE_NAME": "shop"}, {"cookie_name": "shop"}),
        ({"SESSION_COOKIE_NAME": "session"}, {"cookie_name": None}),
        ({"SESSION_COOKIE_DOMAIN": "example.org"}, {"cookie_domain": "example.org"}),
        ({"SESSION_COOKIE_PATH": "/shop"}, {"cookie_path": "/shop"}),
        ({"APPLICATION_ROOT": "/shop"}, {"cookie_path": "/shop"}),
        ({"SESSION_COOKIE_SECURE": True}, {"cookie_secure": True}),
        ({"SESSION_COOKIE_SAMESITE": "Strict"}, {"cookie_samesite": "strict"}),
        ({"SESSION_COOKIE_SAMESITE": None}, {"cookie_samesite": "lax"}),
        ({"SESSION_COOKIE_PARTITIONED": True}, {"cookie_partitioned": True}),
        ({"PERMANENT_SESSION_LIFETIME": timedelta(hours=1)}, {"idle_timeout_s": 3600, "absolute_timeout_s": 172800}),
        ({"PERMANENT_SESSION_LIFETIME": 600}, {"idle_timeout_s": 600}),
        ({"PERMANENT_SESSION_LIFETIME": timedelta(days=31)}, {"idle_timeout_s": 86400, "absolute_timeout_s": 172800}),
        ({"PERMANENT_SESSION_LIFETIME": timedelta(days=7)}, {"idle_timeout_s": 604800, "absolute_timeout_s": 604800}),
        (
            {"PERMANENT_SESSION_LIFETIME": timedelta(days=40)},
            {"absolute_timeout_s": 3456000, "remember_timeout_s": 3456000},
        ),
        ({"SESSILE_IDLE_TIMEOUT_S": 60, "PERMANENT_SESSION_LIFETIME": 600}, {"idle_timeout_s": 60}),
        ({"SESSILE_COOKIE_NAME": "ours", "SESSION_COOKIE_NAME": "theirs"}, {"cookie_name": "ours"}),
    ],
)
def test_flasks_own_configuration_holds(tmp_path: Path, config: dict[str, Any], expected: dict[str, Any]) -> None:
    settings = settings_of(configured(tmp_path, **config), {})
    assert {name: getattr(settings, name) for name in expected} == expected


def test_the_order_is_argument_configuration_environment_flask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = configured(tmp_path, SESSION_COOKIE_NAME="flasks")
    assert settings_of(app, {}).cookie_name == "flasks"
    monkeypatch.setenv("SESSILE_COOKIE_NAME", "environments")
    assert settings_of(app, {}).cookie_name == "environments"
    app.config["SESSILE_COOKIE_NAME"] = "configurations"
    assert settings_of(app, {}).cookie_name == "configurations"
    assert settings_of(app, {"cookie_name": "arguments"}).cookie_name == "arguments"


def test_the_database_is_in_the_instance_folder_unless_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SESSILE_DATABASE_URL", raising=False)
    app = configured(tmp_path)
    assert settings_of(app, {}).database_url == f"sqlite:///{tmp_path}/instance/sessile.db"
    assert (tmp_path / "instance").is_dir()
    monkeypatch.setenv("SESSILE_DATABASE_URL", "memory://")
    assert settings_of(app, {}).database_url == "memory://"


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"SESSION_COOKIE_HTTPONLY": False}, "SESSION_COOKIE_HTTPONLY"),
        ({"SESSILE_NO_SUCH_SETTING": 1}, "NO_SUCH_SETTING"),
        ({"PERMANENT_SESSION_LIFETIME": 600, "SESSILE_ABSOLUTE_TIMEOUT_S": 60}, "absolute_timeout_s"),
        ({"SQLALCHEMY_DATABASE_URI": "sqlite:///sessile.db"}, "SQLALCHEMY_DATABASE_URI"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, config: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        settings_of(configured(tmp_path, **config), {})


def test_another_file_or_server_is_no_conflict(tmp_path: Path) -> None:
    for uri in ("sqlite:///app.db", "sqlite://", "postgresql://localhost/app", "not a url"):
        settings_of(configured(tmp_path, SQLALCHEMY_DATABASE_URI=uri), {})


def test_a_wrong_argument_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match="IDLE_TIMEOUT_S"):
        Sessile(idle_timeout_s=-1)


def test_twice_is_a_mistake_and_a_manager_has_its_settings() -> None:
    with site() as made:
        with pytest.raises(ConfigurationError, match="before"):
            Sessile(made.app)
        with pytest.raises(ConfigurationError, match="manager"):
            Sessile(Flask("x"), made.manager, idle_timeout_s=60)


def test_before_an_application_there_is_no_manager() -> None:
    with pytest.raises(ConfigurationError, match="init_app"):
        _ = Sessile().manager


def test_an_application_factory(tmp_path: Path) -> None:
    """Set up first, configured later, used by two applications that have nothing in common."""
    sessile = Sessile(secret_keys=["N1-9fQmXo2Tz7LrVb4Ks8HwYc3Jd6Gp0Ae5Ui"])

    def make(name: str) -> Flask:
        app = Flask(name)
        sessile.init_app(app)
        app.config["SESSILE_DATABASE_URL"] = f"sqlite:///{tmp_path / name}.db"
        app.config["SESSION_COOKIE_NAME"] = name

        @app.post("/set")
        def put():
            session["a"] = name
            session.login(name)
            return ""

        return app

    one, two = make("one"), make("two")
    (cookie,) = set_cookies(one.test_client().post("/set"))
    assert cookie.startswith("one=")
    (cookie,) = set_cookies(two.test_client().post("/set"))
    assert cookie.startswith("two=")
    with one.app_context():
        assert [len(sessile.manager.list_sessions(user)) for user in ("one", "two")] == [1, 0]
        sessile.close()
    with two.app_context():
        assert [len(sessile.manager.list_sessions(user)) for user in ("one", "two")] == [0, 1]
        sessile.close()
