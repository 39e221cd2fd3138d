"""The dict in the session: knows when it was read, and what was changed."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from enum import Enum
from typing import Any

from sessile.model.delta import DataOperation, Tracked
from sessile.model.errors import SessileError, SessionClosed, SessionReadOnly
from sessile.model.session import Session


class Phase(Enum):
    OPEN = "open"
    STARTED = "started"
    """The first byte of the response is out: its headers can say nothing new."""
    DONE = "done"


class SessionMapping(MutableMapping[str, Any]):
    """Any read marks the session as `accessed`, which makes the response private. Values are what `sessile.model.values` can keep.

    Raises StoreUnavailable on any use when the session could not be looked up, SessionClosed when it is written to (or, where nothing had
    been read before, read) after the response has started, SessionReadOnly for a view that must not be written to.
    """

    def __init__(
        self, record: Session | None = None, reason: str | None = None, failure: SessileError | None = None
    ) -> None:
        self._record = record
        self._reason = reason
        self._failure = failure
        self._tracked: Tracked | None = None
        self._accessed = False
        self._phase = Phase.OPEN

    @property
    def accessed(self) -> bool:
        """Whether the response so far depends on the session."""
        return self._accessed

    @property
    def modified(self) -> bool:
        """Whether there are changes that are not saved. Compares what is there with what was loaded, at any depth."""
        return self._tracked is not None and self._tracked.is_modified

    @property
    def is_read_only(self) -> bool:
        return self._record is not None and self._record.is_read_only

    def __getitem__(self, key: str) -> Any:
        return self._data()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._writable()[key] = value

    def __delitem__(self, key: str) -> None:
        del self._writable()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data())

    def __len__(self) -> int:
        return len(self._data())

    def __contains__(self, key: object) -> bool:
        return key in self._data()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SessionMapping):
            return self._data() == other._data()
        return self._data() == other

    __hash__ = None  # type: ignore[assignment]  # mutable, like any dict

    def __repr__(self) -> str:
        """Neither data nor user: a repr ends up in logs. Does not count as a read."""
        return f"<{type(self).__name__}{' accessed' if self._accessed else ''}>"

    def _seen(self) -> Session | None:
        """The record, for whoever is about to depend on it."""
        if not self._accessed and self._phase is Phase.STARTED:
            raise SessionClosed(
                "The session was read for the first time after the response had started, which was not marked as private. "
                "Read it before the first byte is sent."
            )
        self._accessed = True
        if self._failure is not None:
            raise self._failure
        return self._record

    def _open_for_change(self) -> Session | None:
        """The record, for whoever is about to change something."""
        record = self._seen()
        if self._phase is not Phase.OPEN:
            raise SessionClosed
        if self.is_read_only:
            raise SessionReadOnly
        return record

    def _data(self) -> dict[str, Any]:
        record = self._seen()
        if self._tracked is None:
            self._tracked = Tracked(record.data if record is not None else b"{}")
        return self._tracked.value

    def _writable(self) -> dict[str, Any]:
        self._open_for_change()
        return self._data()

    def _delta(self) -> list[DataOperation]:
        return self._tracked.operations if self._tracked is not None else []
