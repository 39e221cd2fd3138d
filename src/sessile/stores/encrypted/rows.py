"""A transaction whose rows are sealed on their way in and opened on their way out. Everything that has no content is the store's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from msgspec.structs import replace

from sessile.model.batch import Progress, Surroundings
from sessile.model.document import Checkpoint, Conflict, Document, LogBase, LoggedChange, Owner
from sessile.model.session import Lifetime, Principal, Session
from sessile.model.session_query import SessionQuery
from sessile.ports import Transaction
from sessile.stores.encrypted.records import ContentRecords

T = TypeVar("T")
_SESSIONS: Final = frozenset({"touch", "live_users", "delete", "delete_principal", "changes", "census"})
_DOCUMENTS: Final = frozenset(
    {
        "versions", "ids_of_owner", "delete", "needing_checkpoint", "delete_changes", "needing_compaction", "devices", "device", "put_devices",
        "delete_checkpoints", "delete_old_checkpoints",
    }
)  # fmt: skip
_CONSOLE: Final = frozenset(
    {
        "credential", "put_credential", "credentials", "forget_credentials", "count", "states", "leases_of", "leases", "count_leases", "nodes",
        "audit_before",
    }
)  # fmt: skip
_PLAIN: Final = frozenset(
    {
        "platforms", "handoffs", "legacy", "presence", "fence", "deliveries", "audit", "audit_stream", "audit_streams", "audit_chain", "old_audit",
        "forget_audit", "close_audit", "audit_of_user", "erase_audit", "recent_audit", "audit_behind", "latest_audit", "unchained_audit", "emit", "lease",
        "instance", "put_instance", "count", "counted", "forget_counts", "events",
    }
)  # fmt: skip
"""What has no content. A method that is added to the ports belongs into one of these lists, or is sealed below; until then it does not exist here."""


class _Around:
    """`_passed` names what goes to the inner object as it is."""

    _passed: frozenset[str]

    def __init__(self, inner: Any, records: ContentRecords) -> None:
        self._inner = inner
        self._records = records

    def __getattr__(self, name: str) -> Any:
        if name in type(self)._passed:
            return getattr(self._inner, name)
        raise AttributeError(f"{type(self).__name__} has no {name}: is it sealed?")


class EncryptedSessionRows(_Around):
    _passed = _SESSIONS

    def get(self, session_id: str, *, lock: bool = False) -> Session | None:
        found = self._inner.get(session_id, lock=lock)
        return None if found is None else self._records.open_session(found)

    def get_many(self, session_ids: Sequence[str], *, lock: bool = False) -> dict[str, Session]:
        found = self._inner.get_many(session_ids, lock=lock)
        return {key: self._records.open_session(session) for key, session in found.items()}

    def insert(self, session: Session) -> None:
        self._inner.insert(self._records.seal_session(session))

    def insert_many(self, sessions: Sequence[Session]) -> None:
        self._inner.insert_many(self._sealed(sessions))

    def update(self, session: Session) -> None:
        self._inner.update(self._records.seal_session(session))

    def update_many(self, sessions: Sequence[Session]) -> None:
        self._inner.update_many(self._sealed(sessions))

    def confirm(self, sessions: Sequence[Session]) -> None:
        self._inner.confirm(self._sealed(sessions))  # they go to the cache

    def of_user(
        self, user_id: str, now: datetime, *, lock: bool = False, after: str = "", limit: int | None = None
    ) -> list[Session]:
        return self._tried(self._inner.of_user(user_id, now, lock=lock, after=after, limit=limit))

    def of_provider(self, provider_session: str, now: datetime) -> list[Session]:
        return self._tried(self._inner.of_provider(provider_session, now))

    def live(self, now: datetime, *, after: str = "", limit: int) -> list[Session]:
        return self._tried(self._inner.live(now, after=after, limit=limit))

    def expired(self, now: datetime, limit: int) -> list[Session]:
        return self._tried(self._inner.expired(now, limit))

    def kept_of_user(self, user_id: str, *, lock: bool = False, after: str = "", limit: int) -> list[Session]:
        return self._tried(self._inner.kept_of_user(user_id, lock=lock, after=after, limit=limit))

    def ended_before(self, moment: datetime, limit: int) -> list[Session]:
        return self._tried(self._inner.ended_before(moment, limit))

    def ended_since(self, user_id: str, moment: datetime) -> list[Session]:
        return self._tried(self._inner.ended_since(user_id, moment))

    def principal(self, user_id: str, *, lock: bool = False) -> Principal | None:
        found = self._inner.principal(user_id, lock=lock)
        return None if found is None else self._records.open_principal(found)

    def put_principal(self, principal: Principal) -> None:
        self._inner.put_principal(self._records.seal_principal(principal))

    def _sealed(self, sessions: Sequence[Session]) -> list[Session]:
        return [self._records.seal_session(session) for session in sessions]

    def _tried(self, sessions: Sequence[Session]) -> list[Session]:
        return [self._records.try_session(session) for session in sessions]


class EncryptedDocumentRows(_Around):
    _passed = _DOCUMENTS

    def get(self, document_id: str) -> Document | None:
        return _maybe(self._records.open_document, self._inner.get(document_id))

    def get_many(self, document_ids: Sequence[str], *, lock: bool = False) -> dict[str, Document]:
        return self.opened(self._inner.get_many(document_ids, lock=lock))

    def by_name(self, owner: Owner, name: str) -> Document | None:
        return _maybe(self._records.open_document, self._inner.by_name(owner, name))

    def of_owner(self, owner: Owner, *, status: str | None = "active") -> list[Document]:
        return [self._records.open_document(found) for found in self._inner.of_owner(owner, status=status)]

    def insert(self, document: Document) -> None:
        self._inner.insert(self._records.seal_document(document))

    def update(self, documents: Sequence[Document], *, with_state: Sequence[bool]) -> None:
        pairs = zip(documents, with_state, strict=True)
        sealed = [self._records.seal_document(document) if state else document for document, state in pairs]
        self._inner.update(sealed, with_state=with_state)

    def changes(self, document_id: str, *, after: int, limit: int | None = None) -> list[LoggedChange]:
        return self._lines(self._inner.changes(document_id, after=after, limit=limit))

    def recent_changes(self, document_id: str, *, before: int | None, limit: int) -> list[LoggedChange]:
        return self._lines(self._inner.recent_changes(document_id, before=before, limit=limit))

    def change_of_device(self, document_id: str, device_id: str, seq: int) -> LoggedChange | None:
        return _maybe(self._records.open_change, self._inner.change_of_device(document_id, device_id, seq))

    def change_by_key(self, document_id: str, idempotency_key: str) -> LoggedChange | None:
        return _maybe(self._records.open_change, self._inner.change_by_key(document_id, idempotency_key))

    def insert_changes(self, changes: Sequence[LoggedChange]) -> None:
        self._inner.insert_changes([self._records.seal_change(change) for change in changes])

    def log_base(self, document_id: str) -> LogBase | None:
        return _maybe(self._records.open_kept, self._inner.log_base(document_id))

    def put_log_base(self, base: LogBase) -> None:
        self._inner.put_log_base(self._records.seal_kept(base))

    def surroundings(self, after: Mapping[str, int | None]) -> dict[str, Surroundings]:
        found = self._inner.surroundings(after)
        return {
            key: Surroundings(self._lines(s.log), s.devices, self._conflicts(s.conflicts)) for key, s in found.items()
        }

    def record(self, progress: Sequence[Progress]) -> None:
        self._inner.record([self._sealed(one) for one in progress])

    def open_conflicts(self, document_id: str) -> list[Conflict]:
        return self._conflicts(self._inner.open_conflicts(document_id))

    def put_conflicts(self, conflicts: Sequence[Conflict]) -> None:
        self._inner.put_conflicts([self._records.seal_conflict(conflict) for conflict in conflicts])

    def insert_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._inner.insert_checkpoint(self._records.seal_kept(checkpoint))

    def checkpoint(self, document_id: str, checkpoint_id: str) -> Checkpoint | None:
        return _maybe(self._records.open_kept, self._inner.checkpoint(document_id, checkpoint_id))

    def checkpoint_by_request(self, document_id: str, request_id: str) -> Checkpoint | None:
        return _maybe(self._records.open_kept, self._inner.checkpoint_by_request(document_id, request_id))

    def checkpoints(self, document_id: str) -> list[Checkpoint]:
        return [self._records.open_kept(found) for found in self._inner.checkpoints(document_id)]

    def opened(self, found: Mapping[str, Document]) -> dict[str, Document]:
        return {key: self._records.open_document(document) for key, document in found.items()}

    def _lines(self, lines: Sequence[LoggedChange]) -> list[LoggedChange]:
        return [self._records.open_change(line) for line in lines]

    def _conflicts(self, conflicts: Sequence[Conflict]) -> list[Conflict]:
        return [self._records.open_conflict(conflict) for conflict in conflicts]

    def _sealed(self, progress: Progress) -> Progress:
        records = self._records
        return replace(
            progress,
            document=records.seal_document(progress.document) if progress.with_state else progress.document,
            logged=[records.seal_change(change) for change in progress.logged],
            conflicts=[records.seal_conflict(conflict) for conflict in progress.conflicts],
        )


class EncryptedConsoleRows(_Around):
    _passed = _CONSOLE

    def search(
        self, query: SessionQuery, now: datetime, *, after: str | None, limit: int, newest_first: bool
    ) -> list[Session]:
        found = self._inner.search(query, now, after=after, limit=limit, newest_first=newest_first)
        return [self._records.try_session(session) for session in found]


class EncryptedTransaction(_Around):
    _passed = _PLAIN

    def __init__(self, inner: Transaction, records: ContentRecords) -> None:
        super().__init__(inner, records)
        self.sessions = EncryptedSessionRows(inner.sessions, records)
        self.documents = EncryptedDocumentRows(inner.documents, records)
        self.console = EncryptedConsoleRows(inner.console, records)

    def hold(
        self, session_ids: Sequence[str], document_ids: Sequence[str], *, with_state: bool
    ) -> tuple[dict[str, Lifetime], dict[str, Document]]:
        lifetimes, documents = self._inner.hold(session_ids, document_ids, with_state=with_state)
        return lifetimes, self.documents.opened(documents) if with_state else documents


def around(inner: Transaction, records: ContentRecords) -> Transaction:
    """The transaction, as the engine may use it."""
    return cast("Transaction", EncryptedTransaction(inner, records))


def _maybe(opened: Callable[[T], T], found: T | None) -> T | None:
    return None if found is None else opened(found)
