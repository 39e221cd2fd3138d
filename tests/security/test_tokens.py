"""Tokens: what they are made of, and that what is kept, written or shown has none of them (ASVS 5.0 sections 7.2, 11.5, 16.2)."""

from __future__ import annotations

import base64
import math
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from sessile import SessionManager, Settings
from sessile.model import token as tokens
from sessile.model.errors import SessionNotFound
from sessile.model.session_format import pack_session
from sessile.runtime.assemble import SystemClock, SystemRandom
from sessile.testing.shows import shows_security

MADE = 20_000


def secrets_of(count: int) -> list[bytes]:
    now, random = SystemClock().now(), SystemRandom()
    made = []
    for _ in range(count):
        token = tokens.make(tokens.uuid7(now, random.token_bytes(10)), random.token_bytes(tokens.SECRET_BYTES))
        made.append(base64.urlsafe_b64decode(tokens.parse(token)[1] + "="))
    return made


@shows_security("V7.2.3", "V7.2.2", "V11.5.1", "N-5")
def test_a_token_has_256_bits_that_are_alike_and_none_comes_twice() -> None:
    made = secrets_of(MADE)
    assert {len(secret) for secret in made} == {32}
    assert len(set(made)) == MADE
    counted = Counter(byte for secret in made for byte in secret)
    expected = MADE * 32 / 256
    chi_square = sum((counted[byte] - expected) ** 2 / expected for byte in range(256))
    # 255 degrees of freedom: beyond eight standard deviations no honest generator ever comes.
    assert abs(chi_square - 255) < 8 * math.sqrt(2 * 255)


@shows_security("V-1", "V-2", "V16.2.5")
def test_nothing_that_is_kept_or_written_has_the_token() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sessile.db"
        with SessionManager(Settings(database_url=f"sqlite:///{file}")) as manager:
            first = manager.create_session("ada")
            second = manager.rotate_session(first.session.session_id)
            session = manager.get_session(first.session.session_id)
            written = b"".join(path.read_bytes() for path in Path(folder).iterdir())
            shown = f"{session!r} {second!r} {manager.audit.events(f'session:{session.session_id}')!r}".encode()
            for issued in (first, second):
                secret = tokens.parse(issued.token)[1]
                for form in (secret.encode(), base64.urlsafe_b64decode(secret + "=")):
                    assert form not in written
                    assert form not in pack_session(session)
                    assert form not in shown
                assert secret.encode().hex().encode() not in written
            for kept in (session.token_hash, *(retired.token_hash for retired in session.retired_tokens)):
                presented = base64.urlsafe_b64encode(kept).rstrip(b"=").decode()
                with pytest.raises(SessionNotFound):
                    manager.authenticate(f"{session.session_id}.{presented}")
