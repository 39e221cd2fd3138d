"""Presets: the numbers of NIST SP 800-63B-4, what they give way to, and what is refused beside them."""

from __future__ import annotations

import os

import pytest

from sessile import ConfigurationError, Settings
from sessile.runtime.presets import PRESETS
from sessile.testing.shows import shows_security

DAY_S = 86400


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SESSILE_", "SESSION_")):
            monkeypatch.delenv(name)


@shows_security("N-1", "C-7")
@pytest.mark.parametrize(
    ("preset", "overall_s", "inactive_s", "remembered_s", "persistent"),
    [
        ("aal1", 30 * DAY_S, 30 * DAY_S, 30 * DAY_S, True),
        ("aal2", DAY_S, 3600, 0, False),
        ("aal3", DAY_S / 2, 900, 0, False),
    ],
)
def test_a_preset_has_the_times_of_its_level(
    preset: str, overall_s: float, inactive_s: float, remembered_s: float, persistent: bool
) -> None:
    settings = Settings(preset=preset)
    assert (settings.absolute_timeout_s, settings.idle_timeout_s) == (overall_s, inactive_s)
    assert (settings.remember_timeout_s, settings.cookie_persistent) == (remembered_s, persistent)
    assert settings.warning_s < settings.idle_timeout_s
    assert settings.fresh_timeout_s <= settings.idle_timeout_s


def test_without_a_preset_nothing_changes() -> None:
    settings = Settings()
    assert settings.preset is None
    assert (settings.idle_timeout_s, settings.absolute_timeout_s) == (DAY_S, 2 * DAY_S)
    assert (settings.fresh_timeout_s, settings.cookie_persistent) == (900, True)


def test_a_preset_comes_from_the_environment_and_gives_way_to_what_is_stronger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSILE_PRESET", "aal2")
    monkeypatch.setenv("SESSILE_IDLE_TIMEOUT_S", "600")
    settings = Settings(absolute_timeout_s=7200)
    assert (settings.idle_timeout_s, settings.absolute_timeout_s, settings.fresh_timeout_s) == (600, 7200, 900)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_what_is_weaker_than_the_preset_is_refused_and_both_are_named(preset: str) -> None:
    for name, bound in PRESETS[preset].items():
        if name == "cookie_persistent" and bound:
            continue
        weaker = not bound if isinstance(bound, bool) else bound + 1
        if name == "end_others_needs_fresh" and not bound:
            continue
        others = {"absolute_timeout_s": weaker} if name in {"idle_timeout_s", "remember_timeout_s"} and bound else {}
        with pytest.raises(ConfigurationError, match=f"{name} is .* preset {preset} allows"):
            Settings(**{"preset": preset, name: weaker, **others})


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="SESSILE_PRESET"):
        Settings(preset="aal4")
