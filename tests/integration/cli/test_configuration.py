"""Settings from a file, what is in force, and why something is refused."""

from __future__ import annotations

import re
import signal
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from sessile.model.errors import ConfigurationError
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from tests.integration.cli.conftest import Place
from tests.integration.server.running import process_on

pytestmark = pytest.mark.server


def test_a_file_says_what_neither_arguments_nor_the_environment_say(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("sessile.toml").write_text(
        'idle_timeout_s = 600\npool_size = 3\nallowed_origins = ["https://a.example"]\nping_interval_s = 5\n'
    )
    monkeypatch.setenv("SESSILE_POOL_SIZE", "4")
    settings = Settings(ping_interval_s=6)
    assert (settings.idle_timeout_s, settings.pool_size, settings.ping_interval_s) == (600, 4, 6)
    assert settings.allowed_origins == ("https://a.example",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("idle_timeout = 600", "did you mean idle_timeout_s?"),
        ("idle_timeout_s = ten", "line 1"),
        ("idle_timeout_s = -1", "SESSILE_IDLE_TIMEOUT_S"),
        ("idle_timeout_s = 99\nabsolute_timeout_s = 50", "idle_timeout_s is longer than absolute_timeout_s"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_the_reason(text: str, told: str, sqlite: Place) -> None:
    Path("other.toml").write_text(text)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SESSILE_CONFIG", "other.toml")
        with pytest.raises(ConfigurationError, match=re.escape(told)):
            Settings()
    refused = sqlite.run("config", "validate", "other.toml", SESSILE_CONFIG="")
    assert (refused.status, told in refused.err) == (1, True)
    as_json = sqlite.run("config", "validate", "other.toml", "--json", SESSILE_CONFIG="")
    assert told in as_json.json["error"]["message"]


def test_a_file_that_is_named_and_not_there_is_refused(sqlite: Place) -> None:
    assert "no file nowhere.toml" in sqlite.run("config", "show", SESSILE_CONFIG="nowhere.toml").err
    assert sqlite.run("--config", "nowhere.toml", "config", "show", SESSILE_CONFIG="").status == 1


def test_the_template_changes_nothing_and_has_every_setting(sqlite: Place) -> None:
    sqlite.ok("config", "template", "--write", "new.toml")
    text = Path("new.toml").read_text()
    named = re.findall(r"^# (\w+) = ", text, flags=re.MULTILINE)
    assert named == list(Settings.model_fields)
    assert sqlite.ok("config", "template").out == text
    assert sqlite.run("config", "template", "--write", "new.toml").status == 1, "an existing file is not overwritten"
    before = sqlite.values("config", "show")
    taken_in = re.sub(r"^# (\w+ = .*)$", lambda m: m[0] if "# not set" in m[0] else m[1], text, flags=re.MULTILINE)
    Path("sessile.toml").write_text(taken_in)
    assert sqlite.values("config", "show") == before
    assert sqlite.values("config", "validate")["file"] == "sessile.toml"


def test_where_a_value_comes_from_is_shown(sqlite: Place) -> None:
    Path("mine.toml").write_text("pool_size = 3\n")
    shown = sqlite.ok("--config", "mine.toml", "config", "show", SESSILE_PING_INTERVAL_S="7", SESSILE_CONFIG="").out
    origins = {line.split()[0]: " ".join(line.split()[2:-1]) for line in shown.splitlines()}
    assert origins["SESSILE_POOL_SIZE"] == "mine.toml"
    assert origins["SESSILE_PING_INTERVAL_S"] == "environment"
    assert origins["SESSILE_FENCE_PERIOD_S"] == "default"
    ways = {line.split()[0]: line.split()[-1] for line in shown.splitlines()}
    assert (ways["SESSILE_IDLE_TIMEOUT_S"], ways["SESSILE_POOL_SIZE"]) == ("reload", "restart")


def test_weak_settings_are_told_and_accepted(sqlite: Place) -> None:
    checked = sqlite.values("config", "validate", SESSILE_INSECURE_LAN="1")
    assert [one["what"] for one in checked["warnings"]] == ["insecure_lan is on."]
    assert "insecure_lan is on." in sqlite.ok("config", "validate", SESSILE_INSECURE_LAN="1").out
    assert sqlite.run("config", "validate", SESSILE_DOCUMENTS="no_such_module").status == 1


def test_a_running_server_reads_its_settings_again(tmp_path: Path, sqlite: Place) -> None:
    file, database = tmp_path / "sessile.toml", tmp_path / "a.db"
    file.write_text("idle_timeout_s = 600\n")
    with process_on(database) as server, sqlite.manager() as manager:
        file.write_text("idle_timeout_s = 700\npool_size = 3\n")
        server.process.send_signal(signal.SIGHUP)
        (reloaded,) = answers(manager, 1)
        assert reloaded["changed"] == {"idle_timeout_s": [600, 700]}
        assert (reloaded["waiting"], reloaded["process"].rpartition(":")[2]) == (["pool_size"], str(server.process.pid))
        file.write_text("idle_timeout_s = 700\nabsolute_timeout_s = 5\n")
        server.process.send_signal(signal.SIGHUP)
        assert "absolute_timeout_s" in answers(manager, 2)[0]["reason"]
        session = manager.authenticate(server.token())
        assert round((session.idle_expires_at - session.last_seen_at).total_seconds()) == 700, "the old ones hold"
        file.write_text("idle_timeout_s = 800\n")
        shown = sqlite.ok(
            "config", "reload", "--wait", "6", "--reason", "shorter days", SESSILE_IDLE_TIMEOUT_S="60"
        ).out
        assert "idle_timeout_s: 700.0 -> 800.0" in shown
        acts = [one.data["action"] for one in manager.audit.events("system") if one.type == "operator_acted"]
    assert acts == ["settings_reload"]


def test_where_nobody_runs_nobody_answers(place: Place) -> None:
    asked = place.run("config", "reload", "--wait", "0.1", "--json")
    assert (asked.status, asked.json) == (1, [])
    assert "Nobody answered" in place.run("config", "reload", "--wait", "0.1").out
    assert "audit tail" in place.ok("config", "reload", "--wait", "0").out


def answers(manager: SessionManager, count: int) -> list[dict[str, Any]]:
    """What processes said when they had read their settings again, the latest first, when it is so many."""
    until = time.monotonic() + 20
    while True:
        found = [dict(one.data) for one in manager.audit.events("system") if one.type.startswith("settings_")]
        if len(found) >= count:
            return found
        assert time.monotonic() < until, found
        time.sleep(0.05)


def test_a_file_without_rights_is_named(tmp_path: Path, sqlite: Place) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir(mode=stat.S_IRWXU)
    assert sqlite.run("--config", str(folder), "config", "show", SESSILE_CONFIG="").status == 1
