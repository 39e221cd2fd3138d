"""Where audit events go besides the database. A sink takes events in order, and returns when it has them for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sessile.model.audit import AuditEvent
from sessile.runtime.settings import Settings


class SinkFailed(Exception):
    """It did not take the events, or did not say that it did. The message has no secret, nor what the events say."""


class Sink(Protocol):
    name: str
    """What its place in the log is kept under."""

    def deliver(self, events: Sequence[AuditEvent]) -> None:
        """Blocks. Raises SinkFailed; then the same events come again, also those of them that it took."""
        ...


def make_sinks(settings: Settings) -> list[Sink]:
    """Those that the settings name."""
    sinks: list[Sink] = []
    if settings.audit_file is not None:
        from sessile.runtime.sinks.file import FileSink

        sinks.append(FileSink(settings.audit_file))
    if settings.audit_syslog is not None:
        from sessile.model.audit_sinks import SyslogAddress
        from sessile.runtime.sinks.syslog import SyslogSink

        sinks.append(SyslogSink(SyslogAddress.parse(settings.audit_syslog)))
    if settings.audit_webhook_url is not None and settings.audit_webhook_secret is not None:
        from sessile.model.webhook import webhook_key
        from sessile.runtime.sinks.webhook import WebhookSink

        key = webhook_key(settings.audit_webhook_secret.get_secret_value())
        sinks.append(WebhookSink(settings.audit_webhook_url.get_secret_value(), key))
    return sinks
