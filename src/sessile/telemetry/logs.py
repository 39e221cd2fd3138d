"""Lines of logs for machines (JSON) and people, of the standard library's logging: for `logging.config`, and for structlog beside it.

Each line of ours has a name from the table (`event_name`), and the trace that it belongs to where somebody records one. Secrets are taken out and ids shortened in
either form, tracebacks included.
"""

from __future__ import annotations

import json
import logging
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, Final

from sessile.telemetry.redaction import redacted, redacted_value
from sessile.telemetry.traces import current_ids

PLAIN: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "event_name"}


class JsonFormatter(logging.Formatter):
    """One line of JSON for each record: `time` (ISO 8601, UTC), `level`, `logger`, `event`, `message`, what came as `extra`, `trace_id` and `span_id`, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
        }
        event = getattr(record, "event_name", None)
        if event is not None:
            line["event"] = str(event)
        line["message"] = redacted(record.getMessage())
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in line:
                line[name] = redacted_value(name, value)
        line |= _trace()
        if record.exc_info and record.exc_info[0] is not None:
            kind = record.exc_info[0]
            line["exception"] = {
                "type": f"{kind.__module__}.{kind.__qualname__}",
                "stack": redacted(self.formatException(record.exc_info)),
            }
        if record.stack_info:
            line["stack"] = redacted(self.formatStack(record.stack_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class PlainFormatter(logging.Formatter):
    """For people: the standard library's format, without secrets and whole ids. A line break that came from outside is escaped, so that nobody writes a line of their
    own; only a traceback has lines."""

    def __init__(self, fmt: str = PLAIN, datefmt: str | None = None) -> None:
        super().__init__(fmt, datefmt)

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of the one it overrides
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")


def processor(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For structlog: the same taking out and shortening, and the ids of the trace. Put it before the renderer."""
    for name, value in list(event.items()):
        if not name.startswith("_"):
            event[name] = redacted_value(name, value)
    event.update(_trace())
    return event


def logging_config(form: str = "plain", level: str = "INFO") -> dict[str, Any]:
    """For `logging.config.dictConfig`: our lines on standard error, `plain` or `json`."""
    if form not in {"plain", "json"}:
        raise ValueError("form is plain or json")
    made = PlainFormatter if form == "plain" else JsonFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {form: {"()": f"{made.__module__}.{made.__qualname__}"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": form, "stream": "ext://sys.stderr"}},
        "loggers": {
            "sessile": {"handlers": ["stderr"], "level": level, "propagate": False},
            # At INFO uvicorn writes the whole address of every socket, query included: other people's secrets stand there.
            "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        },
    }


def _trace() -> dict[str, str]:
    ids = current_ids()
    return {} if ids is None else {"trace_id": ids[0], "span_id": ids[1]}
