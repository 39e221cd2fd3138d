"""What is kept of one user, as a copy and as a removal, in both lanes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from sessile.engine.erasing import Erased, ErasureEngine
from sessile.engine.exporting import ExportEngine
from sessile.runtime.lane import drive, drive_each


class AsyncPersonalData:
    """For requests of people about what is kept of them. Each verb can raise StoreUnavailable."""

    def __init__(self, erasure: ErasureEngine, export: ExportEngine) -> None:
        self._erasure = erasure
        self._export = export

    async def export(self, user_id: str, *, reason: str = "", with_session_data: bool = False) -> AsyncIterator[str]:
        """One JSON document in pieces: `"".join(...)`, or written one after the other; at most 100 rows, or one state, in memory. Sessions (never
        a token), platforms, documents with states, checkpoints and changes, audit events. `with_session_data` adds what the application keeps
        in its sessions, which may have secrets of its own. That it was made is noted (`principal_exported`). Raises InvalidValue, ContentUnreadable."""
        async for piece in self._export.export(user_id, reason, with_session_data=with_session_data):
            yield piece

    async def erase(self, user_id: str, *, reason: str = "") -> Erased:
        """Ends the user's sessions (`admin`), then removes documents with all that belongs to them, platforms, hand-offs, facts and roles, and takes
        the personal fields out of the audit log, which keeps the proof `principal_erased` with `reason` and a keyed hash. Several transactions:
        another call finishes what was cut off, and until then nobody gets in as the user. Raises InvalidValue."""
        return await self._erasure.erase(user_id, reason)

    async def hashes(self, user_id: str) -> list[str]:
        """Keyed hashes of a user's id, of which the proof of an erasure has one (`user_hash`), as long as the key is in `secret_keys`. Raises InvalidValue."""
        return await self._erasure.hashes(user_id)


class PersonalData:
    """The blocking twin of `AsyncPersonalData`."""

    def __init__(self, erasure: ErasureEngine, export: ExportEngine) -> None:
        self._twin = AsyncPersonalData(erasure, export)

    def export(self, user_id: str, *, reason: str = "", with_session_data: bool = False) -> Iterator[str]:
        """One JSON document in pieces, at most 100 rows or one state in memory. See `AsyncPersonalData.export`."""
        yield from drive_each(self._twin.export(user_id, reason=reason, with_session_data=with_session_data))

    def erase(self, user_id: str, *, reason: str = "") -> Erased:
        """Ends the user's sessions, removes what is kept of the user, and leaves a proof. See `AsyncPersonalData.erase`."""
        return drive(self._twin.erase(user_id, reason=reason))

    def hashes(self, user_id: str) -> list[str]:
        """Keyed hashes of a user's id, of which the proof of an erasure has one. Raises InvalidValue."""
        return drive(self._twin.hashes(user_id))
