"""What a store keeps of another library's credentials; the promises of `sessile.ports` hold here, too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sessile.model.legacy import ImportRun, LegacyToken


class LegacyRows(Protocol):
    def get(self, legacy_hash: bytes) -> LegacyToken | None: ...

    def get_many(self, hashes: Sequence[bytes]) -> dict[bytes, LegacyToken]:
        """By hash, those that there are."""
        ...

    def add(self, tokens: Sequence[LegacyToken]) -> set[bytes]:
        """Inserts those whose hash is not there; which they were. When another transaction is about to commit one of them, it waits for that."""
        ...

    def use(self, legacy_hash: bytes, at: datetime) -> None:
        """Notes the first use; later ones change nothing."""
        ...

    def of_run(self, run_id: str, *, after: bytes, limit: int) -> list[LegacyToken]:
        """Those of an import in the order of their hashes, behind the hash `after`, at most `limit`."""
        ...

    def delete(self, hashes: Sequence[bytes]) -> None: ...

    def runs(self) -> list[ImportRun]:
        """The imports of which something is left, the latest first."""
        ...

    def delete_old(self, before: datetime, limit: int) -> int:
        """Removes those that are kept until a moment before it, at most `limit`; how many."""
        ...
