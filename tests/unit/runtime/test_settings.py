"""Settings: where they come from, what is refused, and that secrets stay inside."""

from __future__ import annotations

import logging

import pytest

from sessile import ConfigurationError, Policy, Settings
from sessile.testing.shows import shows_security


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("SESSILE_", "SESSION_")):
            monkeypatch.delenv(name)


def test_the_defaults_are_the_documented_ones() -> None:
    settings = Settings()
    assert (settings.idle_timeout_s, settings.absolute_timeout_s, settings.rotation_window_s) == (86400, 172800, 30)
    assert settings.database_url == "sqlite:///sessile.db"


def test_arguments_go_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSILE_IDLE_TIMEOUT_S", "60")
    monkeypatch.setenv("SESSILE_ALLOWED_ORIGINS", "https://a.example, https://b.example")
    settings = Settings(absolute_timeout_s=1000, expiry_warning_s=10)
    assert settings.idle_timeout_s == 60
    assert settings.allowed_origins == ("https://a.example", "https://b.example")
    assert Settings(idle_timeout_s=70).idle_timeout_s == 70


def test_old_names_are_read_with_a_notice(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("SESSION_LIFETIME_SECONDS", "7200")
    monkeypatch.setenv("SESSION_IDLE_TIMEOUT_SECONDS", "600")
    with caplog.at_level(logging.WARNING, "sessile.settings"):
        settings = Settings()
    assert (settings.absolute_timeout_s, settings.idle_timeout_s) == (7200, 600)
    assert "SESSILE_ABSOLUTE_TIMEOUT_S" in caplog.text


def test_a_new_name_goes_before_an_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_IDLE_TIMEOUT_SECONDS", "600")
    monkeypatch.setenv("SESSILE_IDLE_TIMEOUT_S", "700")
    assert Settings().idle_timeout_s == 700


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"idle_timeout_s": 10, "absolute_timeout_s": 5, "expiry_warning_s": 1}, "idle_timeout_s is longer"),
        ({"expiry_warning_s": 172800}, "expiry_warning_s"),
        ({"presence_linger_s": 35}, "presence_lease_s is not longer"),
        ({"idle_timeout_s": 0}, "SESSILE_IDLE_TIMEOUT_S"),
        ({"ping_interval_s": -1}, "SESSILE_PING_INTERVAL_S"),
        ({"commit_batch_max": 0}, "SESSILE_COMMIT_BATCH_MAX"),
        ({"cookie_samesite": "loose"}, "SESSILE_COOKIE_SAMESITE"),
        ({"idel_timeout_s": 5}, "SESSILE_IDEL_TIMEOUT_S"),
        ({"document_policies": {"*": {"/a": "best"}}}, "SESSILE_DOCUMENT_POLICIES"),
        ({"document_policies": {"*": {"a": "reject"}}}, "SESSILE_DOCUMENT_POLICIES"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(values: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        Settings(**values)


DAY_S = 86_400


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"idle_timeout_s": 2 * DAY_S + 1}, ("idle_timeout_s", "absolute_timeout_s")),
        ({"expiry_warning_s": DAY_S}, ("expiry_warning_s", "idle_timeout_s")),
        ({"remember_timeout_s": 2 * DAY_S - 1}, ("remember_timeout_s", "absolute_timeout_s")),
        ({"rotation_window_s": DAY_S}, ("rotation_window_s", "idle_timeout_s")),
        ({"ended_retention_d": 91}, ("audit_retention_d", "ended_retention_d")),
        ({"cookie_samesite": "none", "insecure_lan": True}, ("cookie_samesite", "insecure_lan")),
    ],
)
def test_what_contradicts_each_other_is_refused_with_both_names(
    values: dict[str, object], names: tuple[str, str]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(**values)
    for name in names:
        assert name in caught.value.message


@pytest.mark.parametrize(
    "values",
    [
        {"idle_timeout_s": 2 * DAY_S},
        {"expiry_warning_s": DAY_S - 1},
        {"remember_timeout_s": 2 * DAY_S},
        {"rotation_window_s": DAY_S - 1},
        {"ended_retention_d": 90},
        {"cookie_samesite": "none"},
        {"insecure_lan": True},
    ],
)
def test_what_just_fits_together_is_taken(values: dict[str, object]) -> None:
    Settings(**values)


@pytest.mark.parametrize(
    ("values", "warning_s"),
    [
        ({}, 900),
        ({"idle_timeout_s": 901}, 900),
        ({"idle_timeout_s": 900}, 225),
        ({"idle_timeout_s": 60}, 15),
        ({"idle_timeout_s": 60, "expiry_warning_s": 59}, 59),
    ],
)
def test_a_warning_comes_before_the_end_and_not_at_the_beginning(values: dict[str, object], warning_s: float) -> None:
    assert Settings(**values).warning_s == warning_s


def test_secret_keys_are_separated_by_commas_and_the_first_one_stays_first(monkeypatch: pytest.MonkeyPatch) -> None:
    newer, older = "N1-9fQmXo2Tz7LrVb4Ks8HwYc3Jd6Gp0Ae5Ui", "O9fQmXo2Tz7LrVb4Ks8HwYc3Jd6Gp0Ae5UiN1x"
    monkeypatch.setenv("SESSILE_SECRET_KEYS", f" {newer}, {older},")
    assert [key.get_secret_value() for key in Settings().secret_keys] == [newer, older]
    monkeypatch.setenv("SESSILE_SECRET_KEYS", "")
    assert Settings().secret_keys == ()
    assert [key.get_secret_value() for key in Settings(secret_keys=[older]).secret_keys] == [older]


@shows_security("V-8", "V16.2.5")
def test_a_secret_key_that_can_be_guessed_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"SESSILE_SECRET_KEYS.*32") as caught:
        Settings(secret_keys=["N1-9fQmXo2Tz7LrVb4Ks8HwYc3Jd6Gp0Ae5Ui", "O9fQmXo2Tz7LrVb4Ks8HwYc3Jd6Gp0A"])
    assert "O9fQmXo2Tz7LrVb4Ks8HwYc3Jd6Gp0A" not in str(caught.value)
    kept = Settings(secret_keys=["N1-9fQmXo2Tz7LrVb4Ks8HwYc3Jd6Gp0Ae5Ui"])
    assert "N1-9fQmXo2Tz7LrVb4Ks8HwYc3Jd6Gp0Ae5Ui" not in repr(kept) + str(kept) + kept.model_dump_json()


@pytest.mark.parametrize("path", ["join", "//evil.example", "/\\evil.example", "https://evil.example/", "/a#b", ""])
def test_a_handoff_leads_to_a_page_of_this_site(path: str) -> None:
    with pytest.raises(ConfigurationError, match="SESSILE_HANDOFF_PATH"):
        Settings(handoff_path=path)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(idle_timeout_s=0, sweep_batch=0)
    assert "SESSILE_IDLE_TIMEOUT_S" in caught.value.message
    assert "SESSILE_SWEEP_BATCH" in caught.value.message


def test_a_secret_is_in_no_repr_and_no_error() -> None:
    assert "N1-9fQmXo2Tz7LrVb4Ks8HwYc3Jd6Gp0Ae5Ui" not in repr(
        Settings(service_key="N1-9fQmXo2Tz7LrVb4Ks8HwYc3Jd6Gp0Ae5Ui")
    )
    with pytest.raises(ConfigurationError) as caught:
        Settings(service_key="too short")
    assert "too short" not in str(caught.value)


def test_the_first_pattern_that_fits_gives_the_policies() -> None:
    settings = Settings(document_policies={"intake*": {"/title": "reject"}, "*": {"/**": "last_write_wins"}})
    assert settings.policies_of("intake 2").of(("title",)) is Policy.REJECT
    assert settings.policies_of("intake 2").of(("other",)) is Policy.KEEP_BOTH
    assert settings.policies_of("notes").of(("other",)) is Policy.LAST_WRITE_WINS
    assert Settings().policies_of("notes").of(("other",)) is Policy.KEEP_BOTH
