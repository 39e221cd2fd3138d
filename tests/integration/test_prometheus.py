"""A real Prometheus on a real service: each query of the dashboard and of the alerts is asked, and has to answer."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts import alert_rules, dashboard
from sessile.telemetry.alerts import RULES
from sessile.testing.servers import free_port
from tests.conftest import redis_or_skip
from tests.integration.server.running import ServerProcess, process_on

pytestmark = [pytest.mark.server, pytest.mark.soak]
JOB = "sessile"
DEVICE = "01900000-0000-7000-8000-000000000001"
WINDOW_S = 10
"""What Grafana would fill in for `$__rate_interval`."""
QUIET = frozenset({"session p95"})
"""Legends of what the service alone does not do: it has no framework that saves session data. They answer, with no number."""


class Prometheus:
    def __init__(self, folder: Path, target: str) -> None:
        self.port = free_port()
        self.folder = folder
        self.configuration = folder / "prometheus.yml"
        self.configuration.write_text(
            f"global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n"
            f"rule_files: [{alert_rules.FILE}]\n"
            f"scrape_configs:\n  - job_name: {JOB}\n    static_configs: [{{targets: [{json.dumps(target)}]}}]\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        with (self.folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self.configuration}",
                    f"--storage.tsdb.path={self.folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        try:
            yield
        finally:
            self.process.kill()
            self.process.wait()

    def _get(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/api/v1/{path}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def ask(self, query: str) -> list[float]:
        """The values of all series that it answers with."""
        return [float(one["value"][1]) for one in self._get("query", query=query)["result"]]

    def rules(self) -> list[dict[str, Any]]:
        (group,) = self._get("rules")["groups"]
        rules: list[dict[str, Any]] = group["rules"]
        return rules

    def until(self, holds: Callable[[], object], what: str, within_s: float = 120) -> None:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            try:
                if holds():
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.5)
        raise AssertionError(f"not within {within_s} s: {what}; {(self.folder / 'prometheus.log').read_text()[-1500:]}")


def traffic(server: ServerProcess, number: int) -> None:
    """Everything that the service counts and that can be had from outside: logins, reads, changes, ends."""
    token = server.token(f"user-{number}")
    with httpx.Client(base_url=server.origin, headers={"authorization": f"Bearer {token}"}, timeout=10) as client:
        assert client.get("/api/v0/session").json()["authenticated"]
        opened = client.put("/api/v0/documents/by-name/intake", json={"default": {"step": 1}, "device_id": DEVICE})
        document = opened.json()["document_id"]
        operation = {"op": "set", "path": "/why", "value": number}
        change = {"seq": 1, "base_version": 0, "generation": 0, "operations": [operation]}
        sent = client.post(f"/api/v0/documents/{document}/changes", json={"device_id": DEVICE, "changes": [change]})
        assert sent.status_code == 200, sent.text
        assert client.post("/api/v0/session/logout").status_code == 204
        assert not client.get("/api/v0/session").json()["authenticated"]


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_query_answers_and_the_rules_are_judged(tmp_path: Path) -> None:
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        print("not run: prometheus is not installed here")
        pytest.skip("not run: prometheus is not installed here")
    settings = {"SESSILE_AUDIT_FILE": str(tmp_path / "audit.jsonl"), "SESSILE_HEALTH_INTERVAL_S": "1"}
    with redis_or_skip() as redis, process_on(tmp_path / "a.db", SESSILE_REDIS_URL=redis.url(), **settings) as server:
        prometheus = Prometheus(tmp_path, server.origin.removeprefix("http://"))
        promtool("check", "rules", str(alert_rules.FILE))
        promtool("check", "config", str(prometheus.configuration))
        with prometheus.running():
            until = time.monotonic() + WINDOW_S + 5
            number = 0
            while time.monotonic() < until:
                traffic(server, number := number + 1)
                time.sleep(0.1)
            prometheus.until(lambda: prometheus.ask(f'up{{job="{JOB}"}} == 1'), "it scrapes")
            traffic(server, number + 1)
            assert dashboard_faults(prometheus) == []
            assert rule_faults(prometheus) == []
            redis.kill()
            traffic_until_firing(prometheus, server, "SessileCacheDown", number + 2)
            server.process.kill()
            server.process.wait()
            prometheus.until(
                lambda: state_of(prometheus, "SessileGone") in ("pending", "firing"), "a process that is gone is seen"
            )


def dashboard_faults(prometheus: Prometheus) -> list[str]:
    """Queries as Grafana asks them that answer with nothing, or with no number where the traffic made one."""
    faults = []
    for panel in json.loads(dashboard.FILE.read_text(encoding="utf-8"))["panels"]:
        for target in panel["targets"]:
            query = target["expr"].replace("$instance", ".*").replace("$__rate_interval", f"{WINDOW_S}s")
            values = prometheus.ask(query)
            if not values:
                faults.append(f"{panel['title']}: nothing: {query}")
            elif all(map(math.isnan, values)) and target["legendFormat"] not in QUIET:
                faults.append(f"{panel['title']}: no number: {query}")
    return faults


def rule_faults(prometheus: Prometheus) -> list[str]:
    """Rules that Prometheus cannot judge, and those whose value is nothing: they could never fire."""
    prometheus.until(lambda: all(one["health"] != "unknown" for one in prometheus.rules()), "rules are judged")
    faults = [f"{one['name']}: {one}" for one in prometheus.rules() if one["health"] != "ok"]
    for rule in RULES:
        value, comparison, _ = re.split(r" (> \$THRESHOLD|> 1)$", rule.promql)
        if comparison and not prometheus.ask(value):
            faults.append(f"{rule.name}: nothing: {value}")
    return faults


def state_of(prometheus: Prometheus, alert: str) -> str:
    (state,) = [one["state"] for one in prometheus.rules() if one["name"] == alert]
    return str(state)


def traffic_until_firing(prometheus: Prometheus, server: ServerProcess, alert: str, number: int) -> None:
    def seen() -> bool:
        nonlocal number
        traffic(server, number := number + 1)
        return state_of(prometheus, alert) in ("pending", "firing")

    prometheus.until(seen, f"{alert} is seen")
