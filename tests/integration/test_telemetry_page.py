"""Every snippet of docs/how-to/telemetry.md does what the page says."""

from __future__ import annotations

import json
import logging.config
import re
from collections.abc import Iterator
from typing import Any

import httpx
import opentelemetry.metrics
import opentelemetry.trace
import pytest

from sessile import InvalidValue, SessionManager, Settings, telemetry
from sessile.model.webhook import webhook_key
from sessile.runtime.lane import drive
from sessile.runtime.sinks.alerts import AlertWebhook
from sessile.telemetry.alerts import RULES, Alerts, Notice
from sessile.telemetry.metrics import Metrics
from sessile.testing import FakeClock
from tests.architecture.tree import ROOT
from tests.integration.audit_receivers import SECRET

PAGE = (ROOT / "docs" / "how-to" / "telemetry.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
OWN = (ROOT / "tests" / "integration" / "test_telemetry_page.py").read_text(encoding="utf-8")


def run(beginning: str, **names: Any) -> dict[str, Any]:
    """The snippet that has this line, run with these names; what it made."""
    (source,) = [one for one in SNIPPETS if beginning in one]
    made: dict[str, Any] = {"__name__": "snippet", **names}
    exec(compile(source, "docs/how-to/telemetry.md", "exec"), made)
    return made


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    with SessionManager(Settings(database_url="memory://"), clock=FakeClock()) as made:
        yield made


async def test_metrics_of_an_application() -> None:
    made = run("/internal/metrics")
    transport = httpx.ASGITransport(app=made["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        answer = await client.get("/internal/metrics")
    assert 'sessile_session_read_seconds_count{outcome="live"} 0' in answer.text
    await made["sessile"].manager.close()


def test_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    set_: list[Any] = []
    monkeypatch.setattr(opentelemetry.trace, "set_tracer_provider", set_.append)
    monkeypatch.setattr(opentelemetry.metrics, "set_meter_provider", set_.append)
    run("set_tracer_provider")
    assert [type(one).__name__ for one in set_] == ["TracerProvider", "MeterProvider"]
    for one in set_:
        one.shutdown()


def test_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    configured: list[dict[str, Any]] = []
    monkeypatch.setattr(logging.config, "dictConfig", configured.append)
    run("logging_config")
    (formatter,) = configured[0]["formatters"].values()
    assert formatter["()"] == "sessile.telemetry.logs.JsonFormatter"
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    record = logging.LogRecord("sessile.cache", logging.INFO, "", 1, "The cache is used: epoch %d", (7,), None)
    record.event_name = "cache_used"
    shown = run("ProcessorFormatter")["formatter"].format(record)
    told = json.loads(example)
    assert (json.loads(shown)["event_name"], json.loads(shown)["event"]) == (told["event"], told["message"])


def test_health_and_alerts(manager: SessionManager, capsys: pytest.CaptureFixture[str]) -> None:
    watch = manager.serving.background.watch
    assert watch is not None
    drive(watch.round())
    names = {"manager": manager}
    assert len(run("health_history", **names)["latest"]) == 1
    assert "database healthy" in capsys.readouterr().out.replace("ComponentState.HEALTHY", "healthy")
    manager.telemetry.alerts.configure("memory_high", threshold=0)
    manager.telemetry.alerts.judge({"memory_high": 1})
    manager.clock.advance(300)  # type: ignore[attr-defined]
    manager.telemetry.alerts.judge({"memory_high": 1})
    run("acknowledge", **names)
    (alert,) = manager.telemetry.alerts.active()
    assert (alert.acknowledged_by, alert.note) == ("ada", "a migration is under way")


def test_a_signed_alert(capsys: pytest.CaptureFixture[str]) -> None:
    (rule,) = [one for one in RULES if one.name == "database_down"]
    (notice,) = Alerts(Metrics(), FakeClock(), [rule]).judge({"database_down": 1})

    class Kept(AlertWebhook):
        def _post(self, messages: Any) -> None:
            self.got = list(messages)

    webhook = Kept("https://alerts.example/x", webhook_key(SECRET))
    webhook.tell(Notice(notice.alert), "a node")
    ((headers, body),) = webhook.got
    run("verify_alert", SECRET=SECRET, headers=headers, body=body)
    assert "database_down active 1 a node" in capsys.readouterr().out
    with pytest.raises(InvalidValue):
        run("verify_alert", SECRET=SECRET, headers=headers, body=body + b" ")


def test_what_an_operation_costs(manager: SessionManager, capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.forget_profiles()
    token = manager.create_session("ada").token
    run("count_queries", manager=manager, token=token)
    assert capsys.readouterr().out.startswith("1 0 0 ")
    run("checkout()", manager=manager, token=token)
    assert capsys.readouterr().out.startswith("checkout 1 0 ")
    telemetry.forget_profiles()


def test_every_snippet_is_run() -> None:
    marks = set(re.findall(r'\brun\("(.+?)"', OWN))
    assert len(SNIPPETS) == 9
    assert [one for one in SNIPPETS if not any(mark in one for mark in marks)] == []
