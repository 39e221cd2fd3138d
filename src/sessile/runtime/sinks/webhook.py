"""Audit events to an HTTPS address, signed as Standard Webhooks are."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from sessile.model.audit import AuditEvent
from sessile.model.audit_format import json_line
from sessile.model.webhook import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, signature_of
from sessile.runtime.sinks import SinkFailed

_TIMEOUT_S: Final = 10.0
BODY_BYTES_MAX: Final = 256 * 1024
"""Of one message, unless a single event has more: below what web servers take by default (nginx: 1 MiB)."""
_ANSWER_BYTES_MAX: Final = 64 * 1024


class WebhookSink:
    """What is answered with 2xx was received. No other answer is followed or believed, and no proxy of the environment is asked."""

    name = "webhook"

    def __init__(self, url: str, key: bytes, seconds: Callable[[], float] = time.time) -> None:
        split = urlsplit(url)
        assert split.hostname is not None, "the settings looked at it"
        self._is_secure = split.scheme == "https"
        self._host = split.hostname
        self._port = split.port
        self._path = (split.path or "/") + (f"?{split.query}" if split.query else "")
        self._key = key
        self._seconds = seconds

    def deliver(self, events: Sequence[AuditEvent]) -> None:
        self._post(self.messages(events))

    def _post(self, messages: Iterable[tuple[Mapping[str, str], bytes]]) -> None:
        connection = self._connection()
        try:
            for headers, body in messages:
                self._send(connection, headers, body)
        except (OSError, http.client.HTTPException) as error:
            # Neither path nor query: they can have a token in them.
            raise SinkFailed(f"{self._host}: {type(error).__name__}") from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if not self._is_secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=_TIMEOUT_S, context=ssl.create_default_context()
        )

    def _send(self, connection: http.client.HTTPConnection, headers: Mapping[str, str], body: bytes) -> None:
        connection.request("POST", self._path, body, headers)
        answer = connection.getresponse()
        if not 200 <= answer.status < 300:
            raise SinkFailed(f"{self._host} answered {answer.status}")
        answer.read(_ANSWER_BYTES_MAX)
        if not answer.isclosed():
            connection.close()  # a longer answer is not read; the next message has a connection of its own

    def messages(self, events: Sequence[AuditEvent]) -> Iterator[tuple[dict[str, str], bytes]]:
        """Headers and body of each message that brings them, signed now."""
        for some in _parted(events):
            lines = ",".join(line for _, line in some)
            yield self._signed(_id_of([event for event, _ in some]), "audit.events", f'{{"events":[{lines}]}}')

    def _signed(self, message_id: str, kind: str, data: str) -> tuple[dict[str, str], bytes]:
        """`data` is JSON."""
        timestamp = int(self._seconds())
        body = f'{{"type":"{kind}","timestamp":"{_iso(timestamp)}","data":{data}}}'.encode()
        headers = {
            "content-type": "application/json",
            "user-agent": "sessile",
            ID_HEADER: message_id,
            TIMESTAMP_HEADER: str(timestamp),
            SIGNATURE_HEADER: signature_of(self._key, message_id, timestamp, body),
        }
        return headers, body


def _parted(events: Sequence[AuditEvent]) -> Iterator[list[tuple[AuditEvent, str]]]:
    some: list[tuple[AuditEvent, str]] = []
    size = 0
    for event in events:
        line = json_line(event)
        if some and size + len(line.encode()) > BODY_BYTES_MAX:
            yield some
            some, size = [], 0
        some.append((event, line))
        size += len(line.encode())
    if some:
        yield some


def _id_of(events: Sequence[AuditEvent]) -> str:
    """Of what is in it: the same events have the same id whenever they are sent, and whoever sends them."""
    whole = hashlib.sha256(b"".join(event.hash for event in events))
    return f"msg_{whole.hexdigest()[:32]}"


def _iso(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
