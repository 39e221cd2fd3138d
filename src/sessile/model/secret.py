"""What is good enough to be a secret that somebody puts into a configuration (ASVS 5.0, 13.2.3 and 13.3; CWE-1392)."""

from __future__ import annotations

import re
from typing import Final

SECRET_BYTES_MIN: Final = 32
_KINDS_MIN: Final = 8
"""Different characters at least: 32 random hexadecimal digits have less about once in ten million times, and a repeated word has less always."""
_KNOWN: Final = re.compile(
    r"change[-_ ]?(?:me|this|it)|replace[-_ ]?(?:me|this)|your[-_ ]?(?:secret|key)|my[-_ ]?(?:secret|super)|super[-_ ]?secret|django-insecure|"
    r"insecure|placeholder|example|default|password|letmein|qwerty|not[-_ ]?(?:a[-_ ]?)?secret|too[-_ ]?many[-_ ]?secrets|secret[-_ ]?key|^<[^>]*>$|"
    r"0123456789abcdef|abcdefghij|1234567890",
    re.IGNORECASE,
)
"""What documentation and templates put there. None of them is in a random key but by an accident of less than one in a million."""
MAKE_ONE: Final = 'make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'


def check_secret(secret: str) -> None:
    """Raises ValueError, without the secret, for one that is empty, short, repetitive, or known from documentation."""
    size = len(secret.encode("utf-8", "replace"))
    if not secret.strip():
        fault = "is empty"
    elif size < SECRET_BYTES_MIN:
        fault = f"has {size} bytes, and needs at least {SECRET_BYTES_MIN}"
    elif len(set(secret)) < _KINDS_MIN or _is_repeated(secret):
        fault = "repeats itself, so it can be guessed"
    elif _KNOWN.search(secret):
        fault = "is one that documentation shows, so everybody knows it"
    else:
        return
    raise ValueError(f"{fault}; {MAKE_ONE}")


def _is_repeated(secret: str) -> bool:
    """Whether it is one shorter text again and again."""
    return secret in (secret + secret)[1:-1]
