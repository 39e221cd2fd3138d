"""Alerts to an HTTPS address, signed as the audit log's events are; never from a request, and whatever the database is doing."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from secrets import token_hex
from typing import Any, Final

from sessile.runtime.sinks import SinkFailed
from sessile.runtime.sinks.webhook import WebhookSink
from sessile.telemetry.alerts import Alert, AlertState, Notice, Severity
from sessile.telemetry.hub import Telemetry

logger = logging.getLogger("sessile.alerts")

WAITING_MAX: Final = 100
TRIES: Final = 3
_PAUSE_S: Final = 2.0


def told(notice: Notice, node: str) -> dict[str, Any]:
    """A notice as JSON has it. `node` is the process it comes from."""
    alert = notice.alert
    return {
        "rule": alert.rule.name,
        "meaning": alert.rule.meaning,
        "severity": alert.rule.severity.value,
        "state": alert.state.value,
        "value": alert.value,
        "threshold": alert.rule.threshold,
        "unit": alert.rule.unit,
        "since": alert.since.isoformat(),
        "resolved_at": _iso(alert.resolved_at),
        "times": alert.times,
        "is_repeated": notice.is_repeated,
        "node": node,
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


class AlertWebhook(WebhookSink):
    """One message for each notice: `alert.fired` or `alert.resolved`."""

    name = "alerts"

    def tell(self, notice: Notice, node: str) -> None:
        """Blocks. Raises SinkFailed."""
        kind = "alert.resolved" if notice.alert.state is AlertState.RESOLVED else "alert.fired"
        self._post([self._signed(f"msg_{token_hex(16)}", kind, json.dumps(told(notice, node)))])


class Notifier:
    """Logs each notice and gives it to the webhook, if there is one, in a thread that lives while there is something to send. At most a hundred wait."""

    def __init__(
        self,
        telemetry: Telemetry,
        webhook: AlertWebhook | None,
        node: str,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._telemetry = telemetry
        self._webhook = webhook
        self._node = node
        self._pause = pause
        self._lock = threading.Lock()
        self._waiting: deque[Notice] = deque(maxlen=WAITING_MAX)
        self._thread: threading.Thread | None = None

    def tell(self, notices: Sequence[Notice]) -> None:
        """Returns at once."""
        for notice in notices:
            _log(notice.alert)
            self._telemetry.notified("log", was_sent=True)
        if self._webhook is None or not notices:
            return
        with self._lock:
            self._waiting.extend(notices)
            if self._thread is None:
                self._thread = threading.Thread(target=self._send, name="sessile-alerts", daemon=True)
                self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Waits until what was told has been sent, or given up."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _send(self) -> None:
        assert self._webhook is not None
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                notice = self._waiting.popleft()
            self._telemetry.notified("webhook", was_sent=self._sent(self._webhook, notice))

    def _sent(self, webhook: AlertWebhook, notice: Notice) -> bool:
        for number in range(1, TRIES + 1):
            try:
                webhook.tell(notice, self._node)
            except SinkFailed as failure:
                if number == TRIES:
                    logger.error(  # noqa: TRY400 - where it failed is no news
                        "The alert %s was not told: %s",
                        notice.alert.rule.name,
                        failure,
                        extra={"event_name": "alert_not_told"},
                    )
                    return False
                self._pause(_PAUSE_S**number)
            else:
                return True
        raise AssertionError("the last try returns")


def _log(alert: Alert) -> None:
    rule = alert.rule
    if alert.state is AlertState.RESOLVED:
        logger.warning("Over: %s", rule.meaning, extra={"event_name": "alert_resolved", "rule": rule.name})
        return
    level = logging.ERROR if rule.severity is Severity.CRITICAL else logging.WARNING
    logger.log(
        level,
        "%s %.4g%s, and %.4g%s is the threshold",
        rule.meaning,
        alert.value,
        rule.unit,
        rule.threshold,
        rule.unit,
        extra={"event_name": "alert_fired", "rule": rule.name},
    )
