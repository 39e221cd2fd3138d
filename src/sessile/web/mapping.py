"""The dict in the session: knows when it was read, and what was changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, MutableMapping
from enum import Enum
from typing import Any, Self

from sessile.model.delta import DataOperation, Tracked
from sessile.model.errors import InvalidValue, SessileError, SessionClosed, SessionDamaged, SessionReadOnly
from sessile.model.session import Session

logger = logging.getLogger("sessile.web")


class Phase(Enum):
    OPEN = "open"
    STARTED = "started"
    """The first byte of the response is out: its headers can say nothing new."""
    DONE = "done"


class SessionMapping(MutableMapping[str, Any]):
    """Any read marks the session as `accessed`, which makes the response private. Values are what `sessile.model.values` can keep.

    Raises StoreUnavailable on any use when the session could not be looked up, SessionDamaged when the stored data cannot be read (a request is nobody's
    then, and goes on), SessionClosed when it is written to (or, where nothing had
    been read before, read) after the response has started, SessionReadOnly for a view that must not be written to.
    """

    _merging_lists: frozenset[str] = frozenset()
    """Keys whose lists merge: see `sessile.model.delta`."""
    _goes_on_over_damage = False
    """Whether a session whose data cannot be read is nobody's from then on; else it is an error."""
    _damaged: Session | None = None
    """That session. A login or a log-out ends it; nothing else touches it."""
    _tracked: Tracked | None = None
    _accessed = False
    _phase = Phase.OPEN
    _record: Session | None = None
    _reason: str | None = None
    _failure: SessileError | None = None

    def __init__(
        self, record: Session | None = None, reason: str | None = None, failure: SessileError | None = None
    ) -> None:
        self._record, self._reason, self._failure = record, reason, failure

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

    def get(self, key: str, default: Any = None) -> Any:
        return self._data().get(key, default)

    def copy(self) -> dict[str, Any]:
        """A dict of its own, one level deep: for what wants a real one, as `json.dumps` does."""
        return self._data().copy()

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return self._data() | dict(other)

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return dict(other) | self._data()

    def __ior__(self, other: Mapping[str, Any]) -> Self:
        self.update(other)
        return self

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
        if self._tracked is not None and self._accessed:
            return self._tracked.value
        self._seen()
        return self._held().value

    def _readable(self) -> Session | None:
        """The record, if what is kept of it can be read. Who asks who is here is told nobody else than who reads the dict: an application that looked at the
        user first would else go on with a user and without what it had noted of them."""
        record = self._seen()
        if record is not None and self._tracked is None and record.data != b"{}":
            self._held()
            return self._record
        return record

    def _held(self) -> Tracked:
        """The data, without counting as a use. Raises SessionDamaged."""
        if self._tracked is None:
            record = self._record
            try:
                self._tracked = Tracked(record.data if record is not None else b"{}", self._merging_lists)
            except InvalidValue as error:
                assert record is not None, "an empty dict can be read"
                # Whatever becomes of it, the log has it; the bytes themselves are the user's and stay out of it.
                logger.error(  # noqa: TRY400 - who made it unreadable is not known here
                    "The stored data of session %s cannot be read: %s",
                    record.session_id,
                    error.message,
                    extra={"event_name": "session_damaged"},
                )
                if not self._goes_on_over_damage:
                    raise SessionDamaged(record.session_id) from None
                self._damaged, self._record, self._reason = record, None, "damaged"
                self._tracked = Tracked(b"{}", self._merging_lists)
        return self._tracked

    def _writable(self) -> dict[str, Any]:
        self._open_for_change()
        return self._data()

    def _delta(self) -> list[DataOperation]:
        return self._tracked.operations if self._tracked is not None else []
