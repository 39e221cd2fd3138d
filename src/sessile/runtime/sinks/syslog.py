"""Audit events as RFC 5424 messages: each in a datagram (RFC 5426, /dev/log), or counted in a stream (RFC 6587, octet counting), which TLS
can protect (RFC 5425)."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from sessile.model.audit import AuditEvent
from sessile.model.audit_sinks import DATAGRAM_BYTES_MAX, SyslogAddress, SyslogTransport, syslog_message
from sessile.runtime.sinks import SinkFailed

_TIMEOUT_S: Final = 5.0
_CLOSING_TIMEOUT_S: Final = 1.0
"""How long a server may take to close a stream that we have closed; one that does not is believed."""


class SyslogSink:
    """Syslog has no acknowledgement: a datagram can be lost without a word. A stream is closed after each batch, and when the server closes it, too, it has read
    all; a server that breaks it off gets the batch again."""

    name = "syslog"

    def __init__(self, address: SyslogAddress) -> None:
        self._address = address

    def deliver(self, events: Sequence[AuditEvent]) -> None:
        try:
            with self._connected() as connection:
                is_stream = connection.type == socket.SOCK_STREAM
                host, process_id = socket.gethostname(), os.getpid()
                most = None if is_stream else DATAGRAM_BYTES_MAX
                messages = [syslog_message(event, host, process_id, most) for event in events]
                if is_stream:
                    connection.sendall(b"".join(b"%d %b" % (len(message), message) for message in messages))
                    _closed(connection)
                    return
                for message in messages:
                    connection.send(message)
        except OSError as error:
            raise SinkFailed(f"{self._address.host}: {error.strerror or type(error).__name__}") from None

    def _connected(self) -> socket.socket:
        to = self._address
        if to.transport is SyslogTransport.TCP:
            return socket.create_connection((to.host, to.port), _TIMEOUT_S)
        if to.transport is SyslogTransport.TLS:
            return _protected(to)
        if to.transport is SyslogTransport.UDP:
            family, kind, protocol, _, where = socket.getaddrinfo(to.host, to.port, type=socket.SOCK_DGRAM)[0]
            return _connect(family, kind, where, protocol)
        try:
            return _connect(socket.AF_UNIX, socket.SOCK_DGRAM, to.host)
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:
                raise
            return _connect(socket.AF_UNIX, socket.SOCK_STREAM, to.host)


def _connect(family: int, kind: int, where: object, protocol: int = 0) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        made.settimeout(_TIMEOUT_S)
        made.connect(where)  # type: ignore[arg-type] # what getaddrinfo gave, or a path
    except BaseException:
        made.close()
        raise
    return made


def _protected(to: SyslogAddress) -> ssl.SSLSocket:
    """The server shows a certificate for its name or address that this machine trusts (RFC 5425, 4.2.1); `SSL_CERT_FILE` names authorities of one's own."""
    plain = socket.create_connection((to.host, to.port), _TIMEOUT_S)
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=to.host)
    except BaseException:
        plain.close()
        raise


def _closed(connection: socket.socket) -> None:
    connection.settimeout(_CLOSING_TIMEOUT_S)
    if isinstance(connection, ssl.SSLSocket):
        with suppress(TimeoutError, ssl.SSLEOFError):  # our close_notify, then the server's; some close without one
            connection.unwrap().close()
        return
    connection.shutdown(socket.SHUT_WR)
    with suppress(TimeoutError):
        while connection.recv(4096):
            pass
