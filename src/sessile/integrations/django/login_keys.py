"""What `django.contrib.auth` asks of a session whose data cannot be read. Its row still says who is logged in, so `auth.login()` is possible over it;
everything else stays the error that it is."""

from __future__ import annotations

from typing import Any, Final

from sessile.integrations.django.core import USER_KEY, Core
from sessile.model.errors import SessionDamaged

HASH_KEY: Final = "_auth_user_hash"
"""Where `django.contrib.auth` writes what the user's password makes of it."""


def item(core: Core, key: str, error: SessionDamaged) -> Any:
    """`session[key]`. Raises KeyError for the user of an anonymous session, else `error`."""
    if key != USER_KEY:
        raise error
    if core.row_user_id is None:
        raise KeyError(key)
    return core.row_user_id


def lookup(core: Core, key: str, default: Any, error: SessionDamaged) -> Any:
    """`session.get(key, default)`. Raises `error`."""
    if key == USER_KEY:
        return core.row_user_id or default
    if key != HASH_KEY:
        raise error
    return default  # fits nobody: `auth.login()` then begins another session, also for the same user


def holds(core: Core, key: object, error: SessionDamaged) -> bool:
    """`key in session`. Raises `error`."""
    if key != USER_KEY:
        raise error
    return core.row_user_id is not None
