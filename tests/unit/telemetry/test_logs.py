"""Lines of logs: one event name each, no secret, ids shortened, in the trace they belong to; for logging.config and for structlog."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from typing import Any

import pytest
import structlog

from sessile import Settings
from sessile.model import token as tokens
from sessile.telemetry.log_events import LOG_EVENTS
from sessile.telemetry.logs import JsonFormatter, PlainFormatter, logging_config, processor
from sessile.telemetry.redaction import REDACTED, redacted
from sessile.testing.shows import shows_security

HANDLE = "019a0b1c-2d3e-7f40-8a51-c0ffee123456"
TOKEN = tokens.make(HANDLE, bytes(range(32)))
SECRET = TOKEN.partition(".")[2]


def record(message: str, *args: object, exc_info: Any = None, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("sessile.web", logging.WARNING, __file__, 1, message, args, exc_info)
    vars(made).update(extra)
    return made


def line(*args: Any, **extra: Any) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(JsonFormatter().format(record(*args, **extra)))
    return shown


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"cookie sessile={TOKEN}; Path=/", SECRET),
        (f"GET /x?token={TOKEN}", SECRET),
        (f"a token {TOKEN} alone", SECRET),
        ("Authorization: Bearer abcdefgh.ijklmnop", "abcdefgh"),
        ("connecting to postgresql://app:hunter22@db/x", "hunter22"),
        ("redis://:hunter22@cache:6379/0", "hunter22"),
        ("Set-Cookie: session=eyJhIjoxfQ.abc; HttpOnly", "eyJhIjoxfQ"),
        ("SESSILE_SERVICE_KEY=0123456789abcdef0123", "0123456789abcdef"),
        ("{'password': 'correct horse'}", "horse"),
        ('{"api_key": "0123456789abcdef"}', "0123456789abcdef"),
        ("signed with whsec_MDEyMzQ1Njc4OWFiY2RlZg==", "MDEyMzQ1"),
    ],
)
@shows_security("V16.2.5")
def test_a_planted_secret_is_taken_out(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redacted(text)
    assert secret not in JsonFormatter().format(record("%s", text, note=text, nested={"deep": [text]}))
    assert secret not in PlainFormatter().format(record(text.replace("%", "%%")))


def test_a_secret_in_a_traceback_is_taken_out() -> None:
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int(f"no such token: {TOKEN}")
    failed = record("It failed", exc_info=(caught.type, caught.value, caught.tb))
    shown = JsonFormatter().format(failed)
    assert SECRET not in shown
    exception = json.loads(shown)["exception"]
    assert (exception["type"], "test_logs.py" in exception["stack"]) == ("builtins.ValueError", True)
    assert SECRET not in PlainFormatter().format(failed)


def test_fields_with_the_name_of_a_secret_are_not_shown() -> None:
    shown = line("It happened", session_token="short", Cookie="a=b", access_token="x", answers=3, ok=True)
    assert (shown["session_token"], shown["Cookie"], shown["access_token"]) == (REDACTED,) * 3
    assert (shown["answers"], shown["ok"]) == (3, True)


def test_ids_are_shortened_and_text_without_any_stays_as_it_is() -> None:
    shown = line("session %s waits", HANDLE, event_name="touch_waits", document_id=HANDLE)
    assert (shown["event"], shown["message"], shown["document_id"]) == (
        "touch_waits",
        "session …ee123456 waits",
        "…ee123456",
    )
    assert "event_name" not in shown
    for text in ("The cache at 10.0.0.1:6379 answers", "epoch 7", "a-b-c: d=e", "100 % — ünïcode"):
        assert redacted(text) == text


@shows_security("V16.4.1")
def test_a_line_cannot_be_forged() -> None:
    forged = "x\n2026-01-01 ERROR sessile.web: all sessions ended\r\n"
    shown = PlainFormatter().format(record("A value: %s", forged))
    assert "\n" not in shown
    assert "\n" not in JsonFormatter().format(record("A value: %s", forged))


def test_it_works_with_logging_config(capsys: pytest.CaptureFixture[str]) -> None:
    before = {
        name: (list(logging.getLogger(name).handlers), logging.getLogger(name).propagate)
        for name in ("sessile", "uvicorn")
    }
    levels = {name: logging.getLogger(name).level for name in before}
    try:
        logging.config.dictConfig(logging_config("json"))
        logging.getLogger("sessile.cache").info("The cache is used: epoch %d", 7, extra={"event_name": "cache_used"})
        (shown,) = capsys.readouterr().err.splitlines()
        assert {k: v for k, v in json.loads(shown).items() if k != "time"} == {
            "level": "INFO",
            "logger": "sessile.cache",
            "event": "cache_used",
            "message": "The cache is used: epoch 7",
        }
    finally:
        for name, (handlers, propagate) in before.items():
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(levels[name])
    with pytest.raises(ValueError, match="plain or json"):
        logging_config("xml")


def test_it_works_with_structlog() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                processor,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    handler.handle(record("session %s: %s", HANDLE, TOKEN, event_name="touch_waits", cookie="a"))
    assert json.loads(stream.getvalue()) == {
        "event": f"session …ee123456: …ee123456.{REDACTED}",
        "event_name": "touch_waits",
        "cookie": REDACTED,
        "logger": "sessile.web",
    }


def test_a_real_line_has_its_event(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("SESSION_IDLE_TIMEOUT_SECONDS", "600")
    Settings()
    shown = json.loads(JsonFormatter().format(caplog.records[-1]))
    assert (shown["event"], shown["event"] in LOG_EVENTS) == ("setting_renamed", True)
