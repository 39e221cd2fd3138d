"""What a kept audit log tells that an older copy of the database does not know: who was let out and shut out since."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sessile.model.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from sessile.runtime.blocking import SessionManager

_ENDS: Final = frozenset({"session_ended", "session_renewed", "session_login"})
"""After a login or a renewal the copy has a token that is no longer its owner's: whoever shows it may be anybody."""
_STANDING: Final = {"principal_disabled": True, "principal_enabled": False}


@dataclass(frozen=True, slots=True)
class Told:
    """Of the events that the copy lacks: sessions that must not go on, users who were shut out (or let in again) last, how many users were erased, and those of them whom the copy has. `until` is the moment
    of the last one."""

    events: int
    ended: tuple[str, ...]
    shut_out: tuple[str, ...]
    let_in: tuple[str, ...]
    erasures: int
    erased: tuple[str, ...]
    until: str | None


def read_audit(manager: SessionManager, file: Path) -> Told:
    """Reads the file of `SESSILE_AUDIT_FILE`, or of `sessile audit export`. Raises ConfigurationError for one that is not."""
    events = list(_events(file))
    heads = manager.transact(_heads)
    unknown = sorted(
        (one for one in events if one["position"] > heads.get(one["stream"], 0)), key=lambda one: str(one["at"])
    )
    ended = {str(one["session_id"]) for one in unknown if one["type"] in _ENDS and one["session_id"]}
    standing = {str(one["user_id"]): _STANDING[one["type"]] for one in unknown if one["type"] in _STANDING}
    proofs = {str(one["data"].get("user_hash")) for one in unknown if one["type"] == "principal_erased"}
    return Told(
        events=len(unknown),
        ended=tuple(sorted(ended)),
        shut_out=tuple(sorted(user for user, is_out in standing.items() if is_out)),
        let_in=tuple(sorted(user for user, is_out in standing.items() if not is_out)),
        erasures=len(proofs),
        erased=tuple(sorted(_of(manager, proofs))) if proofs else (),
        until=str(unknown[-1]["at"]) if unknown else None,
    )


def tell_again(manager: SessionManager, told: Told) -> int:
    """Ends, shuts out and lets in as the log tells; how many sessions ended. Erasing again is the operator's: it cannot be taken back."""
    from sessile.model.session import EndReason

    ended = sum(manager.destroy_session(one, reason=EndReason.ADMIN) for one in told.ended)
    for user in told.let_in:
        manager.enable_user(user)
    return ended + sum(manager.disable_user(user) for user in told.shut_out)


def _of(manager: SessionManager, proofs: set[str]) -> Iterator[str]:
    """Users whom the copy has, of these proofs of an erasure: those name nobody."""
    for user_id in manager.transact(_users):
        if proofs.intersection(manager.personal_data.hashes(user_id)):
            yield user_id


def _users(connection: Connection) -> list[str]:
    from sqlalchemy import select

    from sessile.stores.sql.tables import principals

    return list(connection.scalars(select(principals.c.user_id)))


def _events(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _event(file, number, line)
    except OSError as error:
        raise ConfigurationError(f"--audit {file}: {error.strerror}. Nothing was done.") from error


def _event(file: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        event = json.loads(line)
    except ValueError as error:
        # The last line of a process that was killed; it stands there once more if it was delivered at all.
        raise ConfigurationError(f"--audit {file}: line {number} is no JSON. Nothing was done.") from error
    if (
        not isinstance(event, dict)
        or not {"type", "stream", "position", "at", "user_id", "session_id", "data"} <= event.keys()
    ):
        raise ConfigurationError(f"--audit {file}: line {number} is no event of the audit log. Nothing was done.")
    return event


def _heads(connection: Connection) -> dict[str, int]:
    from sqlalchemy import select

    from sessile.stores.sql.tables import audit_streams

    rows = connection.execute(select(audit_streams.c.stream, audit_streams.c.position))
    return {row.stream: row.position for row in rows}
