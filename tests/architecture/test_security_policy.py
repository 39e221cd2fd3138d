"""The numbers of docs/security/policy.md are those of the code."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

import pytest

from sessile.model.anomaly import Anomaly
from sessile.runtime.presets import PRESETS
from sessile.runtime.settings import Settings
from sessile.testing.shows import shows_security
from sessile.web.guessing import UNKNOWN_MAX, WINDOW
from tests.architecture.tree import ROOT

PAGE: Final = ROOT / "docs" / "security" / "policy.md"
ROW: Final = re.compile(r"\| `(\w+)`: [^|]*\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|")
SAID: Final = (
    ("window of {:g} seconds", "rotation_window_s"),
    ("`fence_period_s` ({:g} second)", "fence_period_s"),
    ("`sessions_per_user_max` is {:g} by default", "sessions_per_user_max"),
)


def rows(text: str) -> dict[str, list[str]]:
    return {name: [cell.strip() for cell in cells] for name, *cells in ROW.findall(text)}


def shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:.0f}"


@shows_security("V7.1.1", "N-1")
def test_the_table_has_the_defaults_and_the_presets() -> None:
    fields = Settings.model_fields
    told = rows(PAGE.read_text(encoding="utf-8"))
    assert set(told) == set(PRESETS["aal1"])
    for name, cells in told.items():
        values = [fields[name].default, *(PRESETS[preset][name] for preset in ("aal1", "aal2", "aal3"))]
        assert cells == [shown(value) for value in values], name


@shows_security("V7.1.1", "V7.1.2")
@pytest.mark.parametrize(("sentence", "name"), SAID)
def test_the_text_has_the_defaults(sentence: str, name: str) -> None:
    assert sentence.format(Settings.model_fields[name].default) in PAGE.read_text(encoding="utf-8")


def test_a_number_that_is_not_the_codes_would_be_found() -> None:
    told = rows("| `idle_timeout_s`: x | 86401 | 1 | 2 | 3 | y |\n")
    assert told["idle_timeout_s"][0] != shown(Settings.model_fields["idle_timeout_s"].default)


@shows_security("C-9")
def test_how_guessing_is_noticed_is_written_down_with_its_numbers() -> None:
    told = f"{UNKNOWN_MAX} within a minute from one address are one `{Anomaly.ID_GUESSING}`"
    assert timedelta(minutes=1) == WINDOW
    assert told in PAGE.read_text(encoding="utf-8")


@shows_security("V7.1.3")
def test_who_ends_whose_session_is_written_down() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "## Who logs people in" in text
    assert "end_provider_sessions()" in text


@shows_security("D-18")
def test_what_a_binding_to_a_device_is_not_is_written_down() -> None:
    text = (
        (ROOT / "docs" / "how-to" / "device-binding.md").read_text(encoding="utf-8").partition("## What it is not")[2]
    )
    for said in ("does not identify a device", "there at the log-in", "ask the browser to sign"):
        assert said in text


@shows_security("V3.1.1")
def test_what_a_browser_needs_is_written_down() -> None:
    assert "## What a browser has to be able to do" in PAGE.read_text(encoding="utf-8")
