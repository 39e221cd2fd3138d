"""A store that keeps its content encrypted in another one, on either lane: it waits for nothing but that one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sessile.model.content import ContentKind, key_of
from sessile.model.errors import InvalidValue
from sessile.model.health import PoolStatus
from sessile.model.session import Session
from sessile.ports import CommitGuard, Listener, SessionReader, Store, Transaction
from sessile.stores.encrypted.cipher import ContentCipher
from sessile.stores.encrypted.records import ContentRecords
from sessile.stores.encrypted.rows import around

T = TypeVar("T")
_ROWS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A batch of a re-encryption. `after` leads to the next one; None when all is done."""

    looked_at: int
    written: int
    after: str | None


class EncryptedStore:
    """Content is sealed before the inner store sees it. So its cache's guard, which stands inside, puts only sealed sessions into a cache."""

    def __init__(self, inner: Store, cipher: ContentCipher) -> None:
        self.inner = inner
        self._records = ContentRecords(cipher)
        self._open_kinds = ContentRecords(cipher)

    @property
    def writes_at_once(self) -> bool:
        return self.inner.writes_at_once

    @writes_at_once.setter
    def writes_at_once(self, value: bool) -> None:
        self.inner.writes_at_once = value

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        return await self.inner.write(self._around, work, args)

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        return await self.inner.read(self._around, work, args)

    def _around(self, tx: Transaction, work: Callable[..., T], args: Sequence[Any]) -> T:
        return work(around(tx, self._records), *args)

    async def transact(self, work: Callable[[Any], T]) -> T:
        return await self.inner.transact(work)

    def pool(self) -> PoolStatus | None:
        return self.inner.pool()

    async def poll(self) -> None:
        await self.inner.poll()

    async def tidy(self) -> None:
        await self.inner.tidy()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        return self.inner.subscribe(listener)

    def guard(self, guard: CommitGuard) -> None:
        self.inner.guard(guard)

    def opened(self, reader: SessionReader) -> SessionReader:
        """A reader of what the inner store has, whose sessions are opened one by one: what is wrong with one is nobody else's trouble."""
        return _OpenedReader(reader, self._records)

    async def rewrite(self, after: str | None, limit: int) -> Rewritten:
        """Seals up to `limit` records with the first key: those that are plain, and those of other keys. In one transaction, so it can be stopped anywhere
        and goes on with `after`; again it does no harm. Raises InvalidValue, and ContentUnreadable for a record that no key opens."""
        kind, key = _cursor(after)
        if not 1 <= limit <= _ROWS_MAX:
            raise InvalidValue("/limit", f"1 to {_ROWS_MAX} records at a time")
        looked_at, written, last = await self.inner.write(self._rewrite, kind, key, limit)
        if last is not None:
            return Rewritten(looked_at, written, "\t".join((kind.value, *last)))
        kinds = list(ContentKind)
        following = kinds.index(kind) + 1
        return Rewritten(looked_at, written, None if following == len(kinds) else f"{kinds[following].value}")

    def _rewrite(
        self, tx: Transaction, kind: ContentKind, key: tuple[str, ...], limit: int
    ) -> tuple[int, int, tuple[str, ...] | None]:
        found = tx.contents.page(kind, key, limit)
        stale = [record for record in found if not self._records.is_current(record)]
        seal, opened = self._codec(kind)
        tx.contents.replace(kind, [seal(opened(record)) for record in stale])
        return len(found), len(stale), key_of(kind, found[-1]) if len(found) == limit else None

    def _codec(self, kind: ContentKind) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
        records = self._open_kinds
        match kind:
            case ContentKind.SESSION:
                return records.seal_session, records.open_session
            case ContentKind.PRINCIPAL:
                return records.seal_principal, records.open_principal
            case ContentKind.DOCUMENT:
                return records.seal_document, records.open_document
            case ContentKind.CHANGE:
                return records.seal_change, records.open_change
            case ContentKind.CONFLICT:
                return records.seal_conflict, records.open_conflict
            case ContentKind.CHECKPOINT | ContentKind.LOG_BASE:
                return records.seal_kept, records.open_kept


class _OpenedReader:
    def __init__(self, reader: SessionReader, records: ContentRecords) -> None:
        self._reader = reader
        self._records = records

    async def get(self, session_id: str) -> Session | None:
        found = await self._reader.get(session_id)
        return None if found is None else self._records.open_session(found)


def kept_in(store: Store) -> Store:
    """The store that has the rows: inside an encrypted one, or the store itself."""
    return store.inner if isinstance(store, EncryptedStore) else store


def _cursor(after: str | None) -> tuple[ContentKind, tuple[str, ...]]:
    if after is None:
        return next(iter(ContentKind)), ()
    kind, *key = after.split("\t")
    try:
        return ContentKind(kind), tuple(key)
    except ValueError:
        raise InvalidValue("/after", "not a place that an earlier batch ended at") from None
