"""The audit log reaches files, syslog servers and web servers: both lanes, rotation, receivers that are down, processes that are killed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from sessile import AsyncSessionManager, ConfigurationError, SessionManager, Settings
from sessile.model.audit import AuditEvent, chained
from sessile.model.audit_sinks import SyslogAddress
from sessile.model.webhook import webhook_key
from sessile.runtime import delivery
from sessile.runtime.sinks import SinkFailed
from sessile.runtime.sinks.file import FileSink
from sessile.runtime.sinks.syslog import SyslogSink
from sessile.runtime.sinks.webhook import BODY_BYTES_MAX, WebhookSink
from tests.architecture.tree import ROOT
from tests.integration.audit_receivers import (
    SECRET,
    Receiver,
    StreamServer,
    datagrams,
    event_of,
    is_in_order,
    lines_of,
    places,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def events(count: int, first: int = 1, **data: Any) -> list[AuditEvent]:
    return [
        chained(AuditEvent(stream="user:ada", type="noted", at=NOW, user_id="ada", data=data), n, b"", b"0" * 16)
        for n in range(first, first + count)
    ]


def numbers(found: list[dict[str, Any]]) -> list[int]:
    return [event["position"] for event in found]


def until(is_so: Callable[[], bool]) -> None:
    """Fails after half a minute."""
    for _ in range(1500):
        if is_so():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to that")


def webhook(port: int, scheme: str = "http") -> WebhookSink:
    return WebhookSink(f"{scheme}://127.0.0.1:{port}/audit?of=us", webhook_key(SECRET))


# The sinks themselves


def test_a_file_is_private_and_goes_on_after_rotation(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    sink = FileSink(path)
    before = os.umask(0)
    try:
        sink.deliver(events(2))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.rename(tmp_path / "audit.jsonl.1")
    sink.deliver(events(1, 3))
    assert (numbers(lines_of(tmp_path / "audit.jsonl.1")), numbers(lines_of(path))) == ([1, 2], [3])
    os.truncate(path, 0)  # as `copytruncate` does
    sink.deliver(events(1, 4))
    assert numbers(lines_of(path)) == [4]


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    sink = FileSink(path)
    sink.deliver(events(1))
    with path.open("ab") as file:
        file.write(b'{"at":"20')
    sink.deliver(events(1, 2, text="a\nb\u2028c"))
    first, cut, second = path.read_text(encoding="utf-8").splitlines()
    assert (json.loads(first)["position"], cut, json.loads(second)["position"]) == (1, '{"at":"20', 2)


def test_a_file_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, why in ((tmp_path, "directory"), (tmp_path / "no" / "file", "No such"), (tmp_path / "pipe", "regular")):
        with pytest.raises(SinkFailed, match=why):
            FileSink(path).deliver(events(1))


def test_syslog_by_datagrams(tmp_path: Path) -> None:
    with datagrams() as server:
        SyslogSink(SyslogAddress.parse(f"udp://127.0.0.1:{server.getsockname()[1]}")).deliver(events(2, text="é\n"))
        got = [event_of(server.recv(65536)) for _ in range(2)]
    assert (numbers(got), got[0]["data"]) == ([1, 2], {"text": "é\n"})
    path = f"{tmp_path}/log"
    with datagrams(socket.AF_UNIX, path) as server:
        SyslogSink(SyslogAddress.parse(f"unix://{path}")).deliver(events(1, text="x" * 9000))
        assert event_of(server.recv(65536))["data_bytes_omitted"] == 9012


def test_syslog_by_streams_that_break_off(tmp_path: Path) -> None:
    with StreamServer(broken=1) as server:
        sink = SyslogSink(SyslogAddress.parse(f"tcp://127.0.0.1:{server.port}"))
        with pytest.raises(SinkFailed):
            sink.deliver(events(50, text="x" * 20_000))
        sink.deliver(events(50, text="x" * 20_000))
        assert numbers(server.got) == list(range(1, 51))
    with pytest.raises(SinkFailed, match="refused"):
        sink.deliver(events(1))
    with StreamServer(broken=1) as server, pytest.raises(SinkFailed):
        # It was sent as a whole before the connection broke off.
        SyslogSink(SyslogAddress.parse(f"tcp://127.0.0.1:{server.port}")).deliver(events(1))
    path = f"{tmp_path}/log"
    with StreamServer(socket.AF_UNIX, path) as server:
        SyslogSink(SyslogAddress.parse(f"unix://{path}")).deliver(events(2))
        assert numbers(server.got) == [1, 2]


def test_a_webhook_is_signed_and_the_same_events_have_the_same_id() -> None:
    with Receiver() as receiver:
        sink = webhook(receiver.port)
        sink.deliver(events(3))
        sink.deliver(events(3))
        sink.deliver(events(3, 2))
    assert (numbers(receiver.got), receiver.refused) == ([1, 2, 3, 1, 2, 3, 2, 3, 4], [])
    assert receiver.ids[0] == receiver.ids[1] != receiver.ids[2]
    assert re.fullmatch("msg_[0-9a-f]{32}", receiver.ids[0])


def test_a_webhook_has_a_size_that_web_servers_take() -> None:
    with Receiver() as receiver:
        webhook(receiver.port).deliver(events(12, text="x" * (BODY_BYTES_MAX // 5)))
    assert (len(receiver.ids), numbers(receiver.got)) == (3, list(range(1, 13)))


def test_only_2xx_counts_and_the_address_is_in_no_message() -> None:
    with Receiver() as receiver:
        for status in (307, 404, 500):
            receiver.status = status
            with pytest.raises(SinkFailed) as failed:
                webhook(receiver.port).deliver(events(1))
            assert str(failed.value) == f"127.0.0.1 answered {status}"
        assert receiver.got == []
    with pytest.raises(SinkFailed) as failed:
        webhook(receiver.port).deliver(events(1))
    assert str(failed.value) == "127.0.0.1: ConnectionRefusedError"


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(tmp_path))
    with Receiver(context=context) as receiver:
        with pytest.raises(SinkFailed, match="SSLCertVerificationError"):
            webhook(receiver.port, "https").deliver(events(1))
        assert receiver.got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
        webhook(receiver.port, "https").deliver(events(1))
        assert numbers(receiver.got) == [1]


@pytest.mark.parametrize("oldest", ["TLSv1_2", "TLSv1_3"])
def test_syslog_over_tls(oldest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(tmp_path))
    context.minimum_version = context.maximum_version = ssl.TLSVersion[oldest]
    with StreamServer(context=context, broken=1) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
        sink = SyslogSink(SyslogAddress.parse(f"tls://127.0.0.1:{server.port}"))
        with pytest.raises(SinkFailed):  # broken off
            sink.deliver(events(2))
        sink.deliver(events(40, text="x" * 20_000))
        assert numbers(server.got) == list(range(1, 41))
        assert server.seen[:2] == b"\x16\x03", "a TLS handshake, and not a message"
        with pytest.raises(SinkFailed, match=r"VERIFY_FAILED.*localhost"):  # the certificate is for the address alone
            SyslogSink(SyslogAddress.parse(f"tls://localhost:{server.port}")).deliver(events(1))
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(SinkFailed, match="CERTIFICATE_VERIFY_FAILED"):
            sink.deliver(events(1))
        assert len(server.got) == 40
    with StreamServer(broken=1) as server, pytest.raises(SinkFailed):  # no second try without TLS
        SyslogSink(SyslogAddress.parse(f"tls://127.0.0.1:{server.port}")).deliver(events(1))


def _certificate(place: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(datetime.now(UTC) - timedelta(days=1)).not_valid_after(
        datetime.now(UTC) + timedelta(days=1)
    )
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = place / "server.pem"
    path.write_bytes(secret + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


# From the table to all three at once


def settings_for(place: Path, receiver: Receiver, server: StreamServer) -> Settings:
    return Settings(
        database_url=f"sqlite:///{place}/site.db",
        audit_file=place / "audit.jsonl",
        audit_syslog=f"tcp://127.0.0.1:{server.port}",
        audit_webhook_url=f"http://127.0.0.1:{receiver.port}/audit?of=us",
        audit_webhook_secret=SECRET,
    )


def test_the_blocking_lane_delivers_to_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    with Receiver() as receiver, StreamServer() as server:
        with SessionManager(settings_for(tmp_path, receiver, server)) as manager:
            manager.serving.begin()
            for number in range(3):
                manager.create_session(f"user{number}")
            wanted = sorted(places([json.loads(line) for line in manager.audit.export()]))
            assert len(wanted) >= 3
            until(lambda: len(receiver.got) == len(server.got) == len(wanted) and (tmp_path / "audit.jsonl").exists())
            until(lambda: len(lines_of(tmp_path / "audit.jsonl")) == len(wanted))
        assert [sorted(places(got)) for got in (receiver.got, server.got, lines_of(tmp_path / "audit.jsonl"))] == [
            wanted
        ] * 3


async def test_the_asyncio_lane_delivers_and_a_receiver_that_was_down_gets_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    with Receiver() as receiver, StreamServer() as server:
        receiver.status = 503
        async with AsyncSessionManager(settings_for(tmp_path, receiver, server)) as manager:
            await manager.create_session("ada")
            await asyncio.to_thread(until, lambda: len(server.got) > 0)
            assert receiver.got == []
            receiver.status = 200
            await manager.create_session("eve")
            wanted = sorted([(e.stream, e.position) for e in (await manager.audit.tail(limit=100)).events])
            await asyncio.to_thread(until, lambda: len(receiver.got) >= len(wanted))
        assert sorted(places(receiver.got)) == wanted
        assert is_in_order(places(receiver.got))


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for where in ("background", "blocking_background"):
        monkeypatch.setattr(f"sessile.runtime.{where}.DELIVERY_INTERVAL_S", 0.05)
    monkeypatch.setattr(delivery, "_BACKOFF_MAX_S", 0.1)


KILLED = """
import os, signal, sys
from sessile import SessionManager, Settings
from sessile.engine.delivery import DeliveryEngine
from sessile.runtime.delivery import carry_here, make_deliveries
from sessile.runtime.lane import drive

async def killed(self, *arguments):
    os.kill(os.getpid(), signal.SIGKILL)

manager = SessionManager(Settings(database_url=sys.argv[1], audit_file=sys.argv[2]))
manager.open()
for number in range(3):
    manager.create_session("ada")
DeliveryEngine.keep = killed
(one,) = make_deliveries(manager.settings, manager._store, manager.clock, carry_here)
drive(one.round())
"""


def test_a_process_killed_between_delivery_and_keeping_the_place_loses_nothing(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path}/site.db", tmp_path / "audit.jsonl"
    died = subprocess.run([sys.executable, "-c", KILLED, url, str(path)], cwd=ROOT, check=False, timeout=120)
    assert died.returncode == -signal.SIGKILL
    before = places(lines_of(path))
    assert before
    with SessionManager(Settings(database_url=url, audit_file=path)) as manager:
        wanted = places([json.loads(line) for line in manager.audit.export()])
        assert sorted(before) == sorted(wanted)
        from sessile.runtime.delivery import carry_here, make_deliveries
        from sessile.runtime.lane import drive
        from sessile.testing import FakeClock

        clock = FakeClock(datetime.now(UTC))
        (heir,) = make_deliveries(manager.settings, manager._store, clock, carry_here)
        drive(heir.round())
        assert places(lines_of(path)) == before, "the dead one has the turn until its lease ends"
        clock.advance(2 * delivery.LEASE_S)
        manager.create_session("eve")
        drive(heir.round())
        after = places(lines_of(path))
        assert set(after) == set(places([json.loads(line) for line in manager.audit.export()]))
        assert is_in_order(after)
        drive(heir.round())
        assert places(lines_of(path)) == after


def test_settings_that_would_not_deliver_are_refused() -> None:
    for wrong, named in (
        ({"audit_webhook_url": "https://logs.example"}, "needs audit_webhook_secret"),
        (
            {"audit_webhook_url": "http://logs.example", "audit_webhook_secret": SECRET},
            "AUDIT_WEBHOOK_URL: sends personal",
        ),
        (
            {"audit_webhook_url": "https://logs.example", "audit_webhook_secret": "short"},
            "AUDIT_WEBHOOK_SECRET: has 5 bytes",
        ),
        ({"audit_syslog": "logs"}, "AUDIT_SYSLOG: is udp"),
    ):
        with pytest.raises(ConfigurationError, match=named):
            Settings(database_url="memory://", **wrong)
