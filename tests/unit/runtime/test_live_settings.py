"""Settings that are read again: what changes at once and what waits, what is refused whole, who is told, and that engines hold what then is in force."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from sessile.engine.limits import TryLimit
from sessile.model.errors import ConfigurationError, SessionLimitReached, StoreUnavailable, TooManyTries
from sessile.runtime.blocking import SessionManager
from sessile.runtime.live_settings import LIVE, SettingsChange, holds_from
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.rules import Rules
from sessile.runtime.settings import Settings
from sessile.testing import FakeClock

FILE = Path("sessile.toml")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_can_change_does_and_the_rest_waits() -> None:
    say("idle_timeout_s = 600\npool_size = 3\n")
    settings = Settings(database_url="memory://")
    told: list[SettingsChange] = []
    stop = settings.subscribe(told.append)
    say('idle_timeout_s = 900\npool_size = 4\nservice_key = "k3y-of-the-service-8Qw2Zr5LmX-7hGt"\n')
    change = settings.reload()
    assert dict(change.changed) == {"service_key": (None, "**********"), "idle_timeout_s": (600, 900)}
    assert change.waiting == ("pool_size",)
    assert (settings.idle_timeout_s, settings.pool_size) == (900, 3)
    assert told == [change]
    assert settings.reload().changed == {}, "again changes nothing"
    assert len(told) == 1
    stop()
    stop()
    say("idle_timeout_s = 700\n")
    assert settings.reload().waiting == ("pool_size",), "now it is to be the default"
    assert (settings.idle_timeout_s, settings.service_key, len(told)) == (700, None, 1)


def test_arguments_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(idle_timeout_s=500)
    monkeypatch.setenv("SESSILE_IDLE_TIMEOUT_S", "600")
    monkeypatch.setenv("SESSILE_FRESH_TIMEOUT_S", "60")
    assert list(settings.reload().changed) == ["fresh_timeout_s"]
    assert (settings.idle_timeout_s, settings.fresh_timeout_s) == (500, 60)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("idle_timeout_s = 99\nabsolute_timeout_s = 50", "idle_timeout_s is longer than absolute_timeout_s"),
        ("idle_timeout = 9", "did you mean idle_timeout_s?"),
        ("idle_timeout_s = ten", "line 1"),
        (None, "is gone"),
    ],
)
def test_what_makes_no_sense_is_refused_whole(text: str | None, reason: str) -> None:
    say("idle_timeout_s = 600\n")
    settings = Settings()
    before = settings.model_dump()
    settings.subscribe(lambda _change: pytest.fail("nobody is told"))
    if text is None:
        FILE.unlink()
    else:
        say(text)
    with pytest.raises(ConfigurationError, match=reason):
        settings.reload()
    assert settings.model_dump() == before


def test_what_holds_until_the_restart_has_to_fit_together_too() -> None:
    signed = 'legacy_cookies = {session = "flask-cookie"}\nlegacy_secrets = ["s"]\n'
    say(f"{signed}legacy_until = 2030-01-01T00:00:00Z\n")
    settings = Settings()
    say("")
    with pytest.raises(ConfigurationError, match=r"beside what waits for a restart: .*say with legacy_until"):
        settings.reload()
    assert settings.legacy_until is not None, "the old cookies go on having an end"


def test_a_listener_that_fails_keeps_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    say("")
    settings = Settings()
    told: list[SettingsChange] = []

    def broken(_change: SettingsChange) -> None:
        raise RuntimeError("a fault")

    settings.subscribe(broken)
    settings.subscribe(told.append)
    say("fresh_timeout_s = 60")
    settings.reload()
    assert len(told) == 1
    assert "A listener for settings failed" in caplog.text


def test_every_name_of_the_table_is_a_setting_and_secrets_of_the_store_need_a_restart() -> None:
    assert set(LIVE) <= set(Settings.model_fields)
    for name in ("database_url", "redis_url", "secret_keys", "encryption_keys", "cookie_name", "allowed_origins"):
        assert holds_from(name) == "after a restart"


def say(text: str) -> None:
    FILE.write_text(text)


OTHER: dict[str, Any] = {
    "preset": "aal2",
    "idle_timeout_s": 1200,
    "absolute_timeout_s": 5000,
    "remember_timeout_s": 0,
    "rotation_window_s": 7,
    "sessions_per_user_max": 3,
    "session_limit_action": "reject",
    "anonymous_keys_dropped": ["cart"],
    "claim_on_login": False,
    "login_tries_max": 2,
    "login_window_s": 11,
    "platform_switches_per_hour_max": 4,
    "documents_per_hour_max": 5,
    "ended_retention_d": 1,
    "audit_retention_d": 2,
    "checkpoint_retention_d": 3,
    "retention_batch": 9,
    "log_versions_kept": 5000,
    "log_retention_d": 4,
    "compaction_batch": 8,
}


def test_engines_hold_what_is_in_force_and_nothing_else() -> None:
    held = Rules(Settings())
    holders = {name: id(part) for name, part in vars(held).items()}
    tries = TryLimit(None, None, None, 10, held.switches.window)  # type: ignore[arg-type]
    wanted = Settings(**OTHER)
    held.follow(wanted, tries)
    made = Rules(wanted)
    assert vars(held) == vars(made)
    assert {name: id(part) for name, part in vars(held).items()} == holders, "whoever holds a part sees it"
    assert held.session.limit is held.limit
    assert (tries._tries_max, tries._window.total_seconds()) == (2, 11)
    untouched = vars(Rules(Settings()))
    for name, part in vars(held).items():
        for one in fields(part) if is_dataclass(part) else ():
            is_fixed = one.name in ("name", "window", "end_on_late_use")
            assert (getattr(part, one.name) == getattr(untouched[name], one.name)) is is_fixed, (name, one.name)


async def test_a_manager_follows_audits_and_hears_of_a_call() -> None:
    say('database_url = "memory://"\n')
    clock = FakeClock()
    async with AsyncSessionManager(clock=clock) as manager:
        await manager.create_session("ada")
        before = (await manager.create_session("ada")).session
        follow = manager._background.follow_settings
        await follow()
        text = 'database_url = "memory://"\nidle_timeout_s = 600\nsessions_per_user_max = 2\nsession_limit_action = "reject"\n'
        say(text + "login_tries_max = 1\nlogin_window_s = 9\npool_size = 2\n")
        await follow()
        assert manager.settings.idle_timeout_s == 86400, "nobody has asked"
        await manager.configuration.ask_all()
        await follow()
        with pytest.raises(SessionLimitReached):
            await manager.create_session("ada")
        after = (await manager.create_session("eve")).session
        assert (after.idle_expires_at - clock.now()).total_seconds() == 600
        assert (before.idle_expires_at - clock.now()).total_seconds() == 86400, "what was promised stays"
        await manager.count_login_try("ada", "192.0.2.1")
        with pytest.raises(TooManyTries):
            await manager.count_login_try("ada", "192.0.2.1")
        say(text + "idle_timeout_s = 1\n")
        with pytest.raises(ConfigurationError):
            await manager.configuration.reload()
        assert manager.settings.idle_timeout_s == 600
        events = await manager.audit.events("system")
        refused, reloaded = (event for event in events if event.type.startswith("settings_"))
        assert (refused.type, reloaded.type) == ("settings_refused", "settings_reloaded")
        assert "line 5" in refused.data["reason"]
        assert reloaded.data["changed"]["idle_timeout_s"] == [86400.0, 600.0]
        assert reloaded.data["waiting"] == ["pool_size"]
        await manager.configuration.ask_all()
        await follow()
        assert manager.settings.idle_timeout_s == 600, "a call with a file that is refused ends nothing"


def test_the_blocking_lane_follows_too(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    say("sweep_interval_s = 1800\n")
    with SessionManager(Settings(database_url="memory://")) as manager:
        background = manager.serving.background
        jobs = {job.name: job for job in background._jobs}
        manager.configuration.follow()
        say("sweep_interval_s = 5\n")
        manager.configuration.ask_all()
        manager.configuration.follow()
        assert jobs["sweep"].interval_s == 5
        assert jobs["checkpoint"].interval_s == 30
        manager.configuration.follow()

        async def away(*_: Any) -> None:
            raise StoreUnavailable

        monkeypatch.setattr(manager.configuration._twin._engine, "note_reloaded", away)
        caplog.set_level(logging.INFO)
        assert manager.configuration.reload().changed == {}
        assert "is in no audit log" in caplog.text


async def test_a_call_before_the_first_look_is_not_missed() -> None:
    say('database_url = "memory://"\n')
    async with AsyncSessionManager() as manager:
        await manager.configuration.ask_all()
        say('database_url = "memory://"\nidle_timeout_s = 600\n')
        await manager._background.follow_settings()
        assert manager.settings.idle_timeout_s == 600
        beside = manager.configuration
        await beside.follow()
        kinds = [event.type for event in await manager.audit.events("system")]
        assert kinds == ["settings_reloaded"], "who has read it already says nothing"


async def test_an_interval_that_became_shorter_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from sessile.runtime import background

    monkeypatch.setattr(background, "NOTICED_WITHIN_S", 0.01)
    intervals = [3600.0]
    sleeping = asyncio.create_task(background._sleep(lambda: intervals[0], 0.0))
    await asyncio.sleep(0.03)
    assert not sleeping.done()
    intervals[0] = 0.02
    async with asyncio.timeout(5):
        await sleeping
