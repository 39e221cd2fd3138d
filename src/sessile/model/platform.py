"""A platform: an account of the user's that the application works on (a shop, a channel, a mailbox). The application owns the list; here is its mirror."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sessile.model.errors import InvalidValue
from sessile.model.limits import NAME_LENGTH_MAX, PLATFORM_ID_LENGTH_MAX, PLATFORMS_PER_USER_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformEntry:
    """What the application says of one account. `platform_id` is the application's own id."""

    platform_id: str
    name: str
    kind: str = ""
    is_active: bool = True
    is_default: bool = False
    """Wanted as the default, where the user has none yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """An account as it is known here. Never deleted: one that the application no longer has is inactive. Times are UTC."""

    platform_id: str
    user_id: str
    name: str
    kind: str = ""
    is_active: bool = True
    is_default: bool = False
    """Where new sessions of the user begin. Exactly one active platform of a user is it, whenever there is an active one."""
    created_at: datetime
    updated_at: datetime


def check_entries(entries: object) -> None:
    """Raises InvalidValue for accounts that could not be kept or told apart; the path names the faulty one."""
    if not isinstance(entries, Sequence) or isinstance(entries, str) or len(entries) > PLATFORMS_PER_USER_MAX:
        raise InvalidValue("/platforms", f"platforms are a list of at most {PLATFORMS_PER_USER_MAX} entries")
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        where = f"/platforms/{index}"
        if not isinstance(entry, PlatformEntry):
            raise InvalidValue(where, "an entry is a PlatformEntry")
        _check_text(entry.platform_id, f"{where}/platform_id", 1, PLATFORM_ID_LENGTH_MAX)
        _check_text(entry.name, f"{where}/name", 1, NAME_LENGTH_MAX)
        _check_text(entry.kind, f"{where}/kind", 0, PLATFORM_ID_LENGTH_MAX)
        for flag in ("is_active", "is_default"):
            if not isinstance(getattr(entry, flag), bool):
                raise InvalidValue(f"{where}/{flag}", "is True or False")
        if entry.platform_id in seen:
            raise InvalidValue(f"{where}/platform_id", "the same id is there twice")
        seen.add(entry.platform_id)


def _check_text(text: object, path: str, shortest: int, longest: int) -> None:
    # isprintable also refuses lone surrogates, which no encoding takes.
    if not isinstance(text, str) or not shortest <= len(text) <= longest or not text.isprintable():
        raise InvalidValue(path, f"is a text of {shortest} to {longest} printable characters")
