"""Where audit events can go besides the database: the addresses of a configuration, and an event as a syslog message."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, urlsplit

from sessile.model.audit import AuditEvent
from sessile.model.audit_format import audit_to_wire

DATAGRAM_BYTES_MAX: Final = 8192
"""What syslog servers take by default (rsyslog: 8 KiB). RFC 5426 asks for 2048 at least."""
_FACILITY_AUDIT: Final = 13
_WARNING: Final = 4
_NOTICE: Final = 5
_NO_PRINTABLE: Final = re.compile(r"[^\x21-\x7e]")
_WARNINGS: Final = (
    "authz_fail",
    "authn_token_reuse",
    "excess_",
    "malicious_",
    "input_validation_fail",
    "session_use_after",
)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


_FORMS: Final = "udp://host:514, tcp://host:601, tls://host:6514 or unix:///dev/log"


class SyslogTransport(StrEnum):
    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    UNIX = "unix"


@dataclass(frozen=True, slots=True)
class SyslogAddress:
    """`udp://host:514`, `tcp://host:601`, `tls://host:6514` (RFC 5425) or `unix:///dev/log`. `host` is the path of the socket for the last."""

    transport: SyslogTransport
    host: str
    port: int = 0

    @staticmethod
    def parse(text: str) -> SyslogAddress:
        """Raises ValueError."""
        split = _split(text)
        try:
            transport = SyslogTransport(split.scheme)
        except ValueError:
            raise ValueError(f"is {_FORMS}") from None
        if transport is SyslogTransport.UNIX:
            if split.netloc or not split.path.strip("/"):
                raise ValueError("names a socket of this machine with three slashes: unix:///dev/log")
            return SyslogAddress(transport, split.path)
        if split.hostname is None or split.path.strip("/") or split.query or split.fragment or "@" in split.netloc:
            raise ValueError(f"is {_FORMS}, and nothing more")
        return SyslogAddress(transport, split.hostname, split.port or _PORTS[transport])


_PORTS: Final = {SyslogTransport.UDP: 514, SyslogTransport.TCP: 601, SyslogTransport.TLS: 6514}


def check_webhook_url(url: str) -> None:
    """Raises ValueError, without the address, for one that is not https (http only to this machine), or has a name and a password in it."""
    split = _split(url)
    if split.scheme not in {"https", "http"} or not split.hostname:
        raise ValueError("is an https:// address")
    if split.scheme == "http" and split.hostname not in _LOOPBACK:
        raise ValueError("sends personal data: https, or http to 127.0.0.1 only")
    if "@" in split.netloc or split.fragment:
        raise ValueError("has a name, a password or a # in it, which would not be sent; the signature says who we are")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("has characters that an address cannot have; write them as %XX")


def _split(text: str) -> SplitResult:
    try:
        split = urlsplit(text)
        _ = split.port
    except ValueError:
        raise ValueError("is no address") from None
    return split


def syslog_message(event: AuditEvent, host: str, process_id: int, bytes_max: int | None = None) -> bytes:
    """RFC 5424, facility 13 (log audit), the event as JSON in ASCII: nothing in it ends a line, acts on a terminal or depends on an encoding. Where it would have more
    than `bytes_max`, its `data` is left out and their size said instead: a datagram that is cut is no JSON any more."""
    wire = audit_to_wire(event)
    message = _message(wire, host, process_id)
    if bytes_max is None or len(message) <= bytes_max:
        return message
    omitted = len(json.dumps(wire["data"]))
    return _message({**wire, "data": {}, "data_bytes_omitted": omitted}, host, process_id)


def _message(wire: dict[str, object], host: str, process_id: int) -> bytes:
    name = str(wire["event"])
    severity = _WARNING if name.startswith(_WARNINGS) else _NOTICE
    header = f"<{_FACILITY_AUDIT * 8 + severity}>1 {wire['at']} {_named(host, 255)} sessile {process_id} {_named(name, 32)} - "
    # DEL is the one control character that JSON leaves as it is.
    return (header + json.dumps(wire, separators=(",", ":")).replace("\x7f", "\\u007f")).encode("ascii")


def _named(text: str, length_max: int) -> str:
    """PRINTUSASCII, and `-` for nothing."""
    return _NO_PRINTABLE.sub("_", text)[:length_max] or "-"
