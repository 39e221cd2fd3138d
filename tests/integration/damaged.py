"""Session data that is not what was written: put there behind the back of whoever reads it."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from sessile.ports import Transaction

GARBAGE: Final = b"\xff\xfe{not a record"


def damage(tx: Transaction, session_id: str, data: bytes = GARBAGE) -> None:
    """For `store.write`."""
    session = tx.sessions.get(session_id, lock=True)
    assert session is not None
    tx.sessions.update(replace(session, data=data))


def tells_of(record: Any, handle: str) -> bool:
    """Whether a line of the log says that this session's data cannot be read."""
    return record.levelname == "ERROR" and handle in record.getMessage() and "cannot be read" in record.getMessage()
