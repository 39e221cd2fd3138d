"""Settings from a file, what is in force, and why something is refused."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from sessile.model.errors import ConfigurationError
from sessile.runtime.settings import Settings
from tests.integration.cli.conftest import Place

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
    origins = {line.split()[0]: line.split(maxsplit=2)[-1] for line in shown.splitlines()}
    assert origins["SESSILE_POOL_SIZE"].strip() == "mine.toml"
    assert origins["SESSILE_PING_INTERVAL_S"].strip() == "environment"
    assert origins["SESSILE_FENCE_PERIOD_S"].strip() == "default"


def test_weak_settings_are_told_and_accepted(sqlite: Place) -> None:
    checked = sqlite.values("config", "validate", SESSILE_INSECURE_LAN="1")
    assert [one["what"] for one in checked["warnings"]] == ["insecure_lan is on."]
    assert "insecure_lan is on." in sqlite.ok("config", "validate", SESSILE_INSECURE_LAN="1").out
    assert sqlite.run("config", "validate", SESSILE_DOCUMENTS="no_such_module").status == 1


def test_a_file_without_rights_is_named(tmp_path: Path, sqlite: Place) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir(mode=stat.S_IRWXU)
    assert sqlite.run("--config", str(folder), "config", "show", SESSILE_CONFIG="").status == 1
