"""`flask sessile ...` on the application's own store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from sessile.integrations.flask import Sessile
from sessile.runtime.blocking import SessionManager
from tests.integration.flask.site import Site, site


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    with site(f"sqlite:///{tmp_path / 's.db'}") as made:
        yield made


def run(made: Site, *arguments: str) -> tuple[int, str]:
    done = made.app.test_cli_runner().invoke(args=["sessile", *arguments])
    return done.exit_code, done.output


def test_sessions_are_listed_and_ended(shop: Site) -> None:
    shop.manager.open()
    tokens = [shop.manager.create_session("ann") for _ in range(3)]
    code, text = run(shop, "sessions", "list", "--user", "ann")
    assert code == 0
    assert all(issued.session.session_id in text for issued in tokens)
    assert not any(issued.token in text for issued in tokens)
    listed = json.loads(run(shop, "sessions", "list", "--user", "ann", "--json")[1])
    assert {entry["user_id"] for entry in listed} == {"ann"}
    one = tokens[0].session.session_id
    assert json.loads(run(shop, "sessions", "end", one, "--json")[1]) == {"ended": 1}
    code, text = run(shop, "sessions", "end", one)
    assert (code, "no such session" in text) == (1, True)
    assert run(shop, "sessions", "end", "--user", "ann") == (0, "2 ended.\n")
    assert run(shop, "sessions", "list", "--user", "ann") == (0, "ann has no live session.\n")
    assert run(shop, "sessions", "end")[0] == 2


def test_sweep(shop: Site) -> None:
    shop.manager.open()
    shop.manager.create_session("ann")
    shop.clock.advance(shop.manager.settings.idle_timeout_s + 1)
    told = json.loads(run(shop, "sweep", "--json")[1])
    assert told["ended"] == 1
    assert run(shop, "sweep") == (0, "0 ended, 0 old rows removed.\n")


def test_the_database_is_upgraded_and_checked(tmp_path: Path) -> None:
    app = Flask("commands")
    Sessile(app, database_url=f"sqlite:///{tmp_path / 'new.db'}")
    runner = app.test_cli_runner()
    done = runner.invoke(args=["sessile", "db", "upgrade"])
    assert (done.exit_code, done.output) == (0, f"sqlite:///{tmp_path / 'new.db'} is ready.\n")
    assert (tmp_path / "new.db").exists()
    told = json.loads(runner.invoke(args=["sessile", "db", "check", "--json"]).output)
    assert told["latency_ms"] >= 0


def test_a_wrong_setting_is_a_message(tmp_path: Path) -> None:
    app = Flask("commands")
    Sessile(app)
    app.config["SESSILE_DATABASE_URL"] = f"sqlite:///{tmp_path / 'no' / 'folder.db'}"
    done = app.test_cli_runner().invoke(args=["sessile", "db", "check"])
    assert done.exit_code == 1
    assert "there is no folder" in done.output


def test_an_open_manager_stays_open(shop: Site) -> None:
    manager: SessionManager = shop.manager
    manager.open()
    run(shop, "db", "check")
    assert manager.is_open
