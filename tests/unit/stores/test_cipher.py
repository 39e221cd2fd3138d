"""What is sealed opens with its key and for its record, and in no other case; a bad key is refused before anything is kept with it."""

from __future__ import annotations

import base64
import hashlib

import pytest

from sessile.model.errors import ConfigurationError, ContentUnreadable
from sessile.stores.encrypted import ContentCipher, parse_keys
from sessile.testing.shows import shows_security

ONE, TWO = (hashlib.sha256(name).digest() for name in (b"one", b"two"))


@shows_security("V-24")
def test_it_opens_for_its_record_alone() -> None:
    cipher = ContentCipher({"a": ONE})
    sealed = cipher.seal("document\x001\x007", b"what was said")
    assert b"said" not in sealed
    assert cipher.open("document\x001\x007", sealed) == b"what was said"
    assert cipher.seal("document\x001\x007", b"what was said") != sealed
    for other in ("document\x002\x007", "document\x001\x008", "session\x001\x007", ""):
        with pytest.raises(ContentUnreadable):
            cipher.open(other, sealed)


@shows_security("V-24")
def test_each_changed_byte_and_each_cut_is_found() -> None:
    cipher = ContentCipher({"a": ONE})
    sealed = cipher.seal("n", b"0123456789")
    for index in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[index] ^= 1 << bit
            with pytest.raises(ContentUnreadable):
                cipher.open("n", bytes(changed))
        with pytest.raises(ContentUnreadable):
            cipher.open("n", sealed[:index])


def test_the_first_key_seals_and_all_open() -> None:
    old, both, new = ContentCipher({"a": ONE}), ContentCipher({"b": TWO, "a": ONE}), ContentCipher({"b": TWO})
    by_old = old.seal("n", b"x")
    assert both.open("n", by_old) == b"x"
    assert not both.is_current(by_old)
    by_both = both.seal("n", b"y")
    assert new.open("n", by_both) == b"y"
    assert new.is_current(by_both)
    with pytest.raises(ContentUnreadable, match="`a`"):
        new.open("n", by_old)
    with pytest.raises(ContentUnreadable):
        ContentCipher({"a": TWO}).open("n", by_old)


def test_a_blind_text_tells_only_equality() -> None:
    cipher = ContentCipher({"a": ONE})
    assert cipher.blind("d1", "/name") == cipher.blind("d1", "/name")
    assert len({cipher.blind("d1", "/name"), cipher.blind("d2", "/name"), cipher.blind("d1", "/names")}) == 3


@pytest.mark.parametrize(
    "entry",
    [
        "", "no-colon", ":" + base64.b64encode(ONE).decode(), "a b:" + base64.b64encode(ONE).decode(), "a:n%t-b@se64", "a:",
        "a:" + base64.b64encode(b"short").decode(), "a:" + base64.b64encode(b"k" * 32).decode(),
        "a:" + base64.b64encode(b"changeme" * 4).decode()[:-1],
    ],
)  # fmt: skip
def test_a_bad_key_is_refused_and_not_shown(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="SESSILE_ENCRYPTION_KEYS") as caught:
        parse_keys([entry])
    shown = str(caught.value)
    assert "token_bytes(32)" in shown
    assert len(entry) < 12 or entry[3:] not in shown


def test_keys_are_read_in_both_alphabets_and_shown_nowhere() -> None:
    keys = parse_keys(["a:" + base64.b64encode(ONE).decode(), "b:" + base64.urlsafe_b64encode(TWO).decode()])
    assert keys == {"a": ONE, "b": TWO}
    assert repr(ContentCipher(keys)) == "ContentCipher(a, b)"
    with pytest.raises(ConfigurationError, match="twice"):
        parse_keys(["a:" + base64.b64encode(ONE).decode()] * 2)
    with pytest.raises(ConfigurationError):
        ContentCipher({})
