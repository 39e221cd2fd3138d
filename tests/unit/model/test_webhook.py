"""Signatures of webhooks, against the specification's own vector; and events as syslog messages."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sessile import InvalidValue, verify_webhook
from sessile.model.audit import AuditEvent, chained
from sessile.model.audit_sinks import SyslogAddress, SyslogTransport, check_webhook_url, syslog_message
from sessile.model.webhook import signature_of, webhook_key

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = bytes(range(100, 132))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = b'{"type":"audit.events","data":{"events":[{"stream":"system","position":1}]}}'


def headers(body: bytes = BODY, at: datetime = NOW, key: bytes = KEY) -> dict[str, str]:
    timestamp = int(at.timestamp())
    return {
        "Webhook-Id": "msg_1",
        "webhook-timestamp": str(timestamp),
        "Webhook-Signature": signature_of(key, "msg_1", timestamp, body),
    }


def test_the_vector_of_standard_webhooks() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = signature_of(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_is_signed_is_believed_with_either_form_of_the_secret_and_during_its_replacement() -> None:
    assert verify_webhook(SECRET, headers(), BODY, now=NOW) == [{"stream": "system", "position": 1}]
    plain = "kC3vW9-yTzq8LrXa0Nf7Hb2Jm5Gs1DpU"
    assert verify_webhook(plain, headers(key=plain.encode()), BODY, now=NOW)
    assert verify_webhook([plain, SECRET], headers(), BODY, now=NOW)
    several = {**headers(), "Webhook-Signature": f"v1a,x v1,AAAA {headers()['Webhook-Signature']}"}
    assert verify_webhook(SECRET, several, BODY, now=NOW)


@pytest.mark.parametrize(
    ("changed", "body", "named"),
    [
        ({}, BODY.replace(b"1}", b"2}"), "signature"),
        ({"Webhook-Id": "msg_2"}, BODY, "signature"),
        ({"Webhook-Signature": "v1,é"}, BODY, "signature"),
        ({"Webhook-Signature": ""}, BODY, "signature"),
        ({"webhook-timestamp": str(int(NOW.timestamp()) + 1)}, BODY, "signature"),
        ({"webhook-timestamp": "soon"}, BODY, "timestamp"),
        (headers(at=NOW - timedelta(seconds=301)), BODY, "timestamp"),
        (headers(at=NOW + timedelta(seconds=301)), BODY, "timestamp"),
        (headers(key=KEY[::-1]), BODY, "signature"),
    ],
)
def test_anything_else_is_refused(changed: dict[str, str], body: bytes, named: str) -> None:
    with pytest.raises(InvalidValue, match=f"/webhook-{named}"):
        verify_webhook(SECRET, {**headers(), **changed}, body, now=NOW)


def test_a_header_that_is_missing_and_a_body_of_something_else() -> None:
    with pytest.raises(InvalidValue, match="/webhook-id"):
        verify_webhook(SECRET, {}, BODY, now=NOW)
    for body in (b"no json", b"[]", b'{"data":{}}', b'{"data":{"events":[1]}}'):
        with pytest.raises(InvalidValue, match="not audit events"):
            verify_webhook(SECRET, headers(body), body, now=NOW)


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "whsec_%%%", "whsec_" + "A" * 44, "a" * 40])
def test_a_weak_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match=r"is empty|bytes|base64|repeats") as refused:
        webhook_key(secret)
    assert len(secret) < 10 or secret not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "https://",
        "ftp://example.org",
        "https://me:it@example.org",
        "https://a.b/ c",
        "https://a.b:x/",
    ],
)
def test_addresses_that_no_webhook_goes_to(url: str) -> None:
    with pytest.raises(ValueError, match=r"https|would not be sent|characters|no address"):
        check_webhook_url(url)


def test_addresses_of_syslog_servers() -> None:
    assert SyslogAddress.parse("udp://logs") == SyslogAddress(SyslogTransport.UDP, "logs", 514)
    assert SyslogAddress.parse("tcp://[::1]:1601") == SyslogAddress(SyslogTransport.TCP, "::1", 1601)
    assert SyslogAddress.parse("unix:///dev/log") == SyslogAddress(SyslogTransport.UNIX, "/dev/log")
    for text in (
        "",
        "logs:514",
        "udp://",
        "udp://me@logs",
        "tcp://logs/x",
        "tcp://logs:99999",
        "unix://dev/log",
        "tls://",
    ):
        with pytest.raises(ValueError, match=r"is udp|slashes|no address"):
            SyslogAddress.parse(text)


def written(**data: Any) -> AuditEvent:
    event = AuditEvent(stream="user:ada", type="principal_changed", at=NOW, user_id="ada", data=data)
    return chained(event, 1, b"", b"0" * 16)


def test_a_syslog_message_is_one_line_of_ascii_whatever_is_in_it() -> None:
    label = "a\r\n<13>1 - - forged\x1b[31m\x7f\u2028\u202e é 😀"
    message = syslog_message(written(label=label), "web 1", 42)
    match = re.fullmatch(
        rb"<109>1 2026-01-01T12:00:00\+00:00 web_1 sessile 42 user_updated - (\{[\x20-\x7e]+\})", message
    )
    assert match is not None
    assert json.loads(match[1])["data"] == {"label": label}


def test_a_datagram_that_would_be_too_long_says_what_it_left_out() -> None:
    event = written(text="x" * 9000)
    message = syslog_message(event, "web", 1, 8192)
    told = json.loads(message.partition(b" - ")[2])
    assert len(message) < 1500
    assert (told["data"], told["data_bytes_omitted"], told["hash"]) == ({}, 9012, event.hash.hex())
    assert len(syslog_message(event, "web", 1)) > 9000


def test_what_was_refused_is_a_warning() -> None:
    event = chained(AuditEvent(stream="system", type="authz_fail", at=NOW), 1, b"", b"0" * 16)
    assert syslog_message(event, "", 1).startswith(b"<108>1 2026-01-01T12:00:00+00:00 - sessile 1 authz_fail - {")
