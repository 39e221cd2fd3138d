"""A secret that can be guessed is refused, without being shown, and a good one never is."""

from __future__ import annotations

import base64
import random

import pytest

from sessile import ConfigurationError, Settings
from sessile.model.secret import check_secret

BAD = [
    "", " " * 40, "short", "k" * 64, "abcd" * 16, "changeme" * 5, "change-me-change-this-please-1234", "django-insecure-#x1&9v!kq0zf82ms7wq3ldpe5",
    "your-secret-key-goes-right-here-42", "super secret development key 98765", "0123456789abcdef0123456789abcdeg", "<put thirty-two characters in here>",
    "x" * 31, "this is not a secret but long, really", "the default of this product, ok? 77", "SECRET_KEY_FOR_MY_APPLICATION_2026",
]  # fmt: skip


@pytest.mark.parametrize("secret", BAD)
def test_a_bad_one_is_refused_with_the_setting_and_the_command(secret: str) -> None:
    with pytest.raises(ValueError, match=r"make one with: python -c") as caught:
        check_secret(secret)
    assert secret.strip() == "" or secret not in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"SESSILE_SERVICE_KEY: .*secrets\.token_urlsafe\(32\)"):
        Settings(service_key=secret)


def test_a_good_one_passes_in_each_usual_form(rng: random.Random) -> None:
    for _ in range(2000):
        made = rng.randbytes(32)
        for text in (
            made.hex(),
            base64.b64encode(made).decode(),
            base64.urlsafe_b64encode(made).decode(),
            base64.b85encode(made).decode(),
        ):
            check_secret(text)
