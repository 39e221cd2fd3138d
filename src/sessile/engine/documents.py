"""Opening, reading, naming and archiving documents. What changes their state is in `changes` and `checkpoints`."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, overload

from sessile.engine.kinds import as_shown, check_name_of_kind, check_new_state, for_new
from sessile.engine.limits import NO_QUOTA, Quota
from sessile.engine.ownership import admit, claim_documents, find, find_for_change, rolled_forward
from sessile.model import token as tokens
from sessile.model.audit import AuditEvent
from sessile.model.change_format import check_value
from sessile.model.document import (
    Actor,
    Conflict,
    Delta,
    Document,
    DocumentDevice,
    LogBase,
    LoggedChange,
    Opened,
    State,
)
from sessile.model.errors import (
    AuthenticationRequired,
    DocumentNotFound,
    InvalidChange,
    SessionNotFound,
    VersionConflict,
)
from sessile.model.kind import NO_KINDS, KindRules, Kinds
from sessile.model.limits import NAME_LENGTH_MAX, REPLAY_CHANGES_MAX
from sessile.ports import Clock, Random, Store, Transaction


class DocumentEngine:
    """Open, read, list, follow, rename, archive. Raises DocumentNotFound for what is not the actor's."""

    def __init__(
        self, store: Store, clock: Clock, random: Random, kinds: Kinds = NO_KINDS, quota: Quota = NO_QUOTA
    ) -> None:
        self._quota = quota
        self._store = store
        self._clock = clock
        self._random = random
        self._kinds = kinds

    async def open(self, actor: Actor, name: str, default: State | None, kind: str | None = None) -> Opened:
        """The actor's active document of that name, made with `default` if there is none; registers the actor's device.

        A new one is of `kind`, or of the kind that claims its name. Raises SchemaUnknown for a kind that is not known, InvalidChange for
        a default that is not of it, and for a document that is there already and of another kind.
        """
        check_name(name)
        known = self._shown(await self._store.read(_open_known, actor, name, None))
        if known is None:
            rules = for_new(self._kinds, name, kind)
            state = check_value(dict(default if default is not None else rules.default if rules else {}), "/default")
            known = self._shown(await self._store.write(self._open, actor, name, None, state, rules))
        if kind is not None and known.document.schema_name != kind:
            raise InvalidChange("/kind", f"the document is of the kind {known.document.schema_name or '(none)'}")
        return known

    async def open_by_id(self, actor: Actor, document_id: str) -> Opened:
        known = self._shown(await self._store.read(_open_known, actor, None, document_id))
        if known is not None:
            return known
        return self._shown(await self._store.write(self._open, actor, None, document_id, {}, None))

    async def get(self, actor: Actor, document_id: str) -> Document:
        return as_shown(self._kinds, await self._store.read(_find, actor, document_id))

    async def list(self, actor: Actor, *, archived: bool = False) -> list[Document]:
        """The active ones, or the archived ones."""
        status = "archived" if archived else "active"
        return [as_shown(self._kinds, document) for document in await self._store.read(_list, actor, status)]

    async def since(self, actor: Actor, document_id: str, epoch: str | None, version: int | None) -> Delta:
        """Contiguous changes from a position, or a snapshot where those are not to be had (absent, of another epoch, ahead, too far back)."""
        delta = await self._store.read(_since, actor, document_id, epoch, version)
        return replace(delta, document=as_shown(self._kinds, delta.document)) if delta.snapshot else delta

    async def log(self, actor: Actor, document_id: str, before: int | None, limit: int) -> Sequence[LoggedChange]:
        """The log, newest first."""
        return await self._store.read(_log, actor, document_id, before, limit)

    async def conflicts(self, actor: Actor, document_id: str) -> Sequence[Conflict]:
        """The open ones."""
        return await self._store.read(_conflicts, actor, document_id)

    async def rename(self, actor: Actor, document_id: str, name: str) -> Document:
        """Raises VersionConflict when the owner has another active document of that name."""
        check_name(name)
        return await self._store.write(self._rename, actor, document_id, name)

    async def archive(self, actor: Actor, document_id: str) -> None:
        """Takes it out of the list and frees its name; nothing is deleted."""
        await self._store.write(self._archive, actor, document_id)

    async def unarchive(self, actor: Actor, document_id: str) -> Document:
        """Puts it back into the list. Raises VersionConflict when another document has its name by now."""
        return as_shown(self._kinds, await self._store.write(self._unarchive, actor, document_id))

    async def claim(self, actor: Actor) -> Sequence[Document]:
        """The documents that the actor's session made before somebody logged in become the user's; a name that is taken gets a number. A login
        does it by itself, unless it is set not to. Raises AuthenticationRequired for an actor without a user."""
        return [as_shown(self._kinds, document) for document in await self._store.write(self._claim, actor)]

    @overload
    def _shown(self, opened: Opened) -> Opened: ...
    @overload
    def _shown(self, opened: Opened | None) -> Opened | None: ...
    def _shown(self, opened: Opened | None) -> Opened | None:
        return None if opened is None else replace(opened, document=as_shown(self._kinds, opened.document))

    # -- inside a transaction -------------------------------------------------------------------------------------------------------

    def _open(
        self,
        tx: Transaction,
        actor: Actor,
        name: str | None,
        document_id: str | None,
        default: State,
        rules: KindRules | None,
    ) -> Opened:
        known = _open_known(tx, actor, name, document_id)
        if known is not None:
            return known
        now = self._clock.now()
        admit(tx, actor, now)
        if document_id is not None:
            document, created = find(tx, actor, document_id, lock=True), False
        else:
            document, created = self._named(tx, actor, name or "", default, rules, now)
        device = register_device(tx, document, actor, now)
        return _opened(tx, document, device, created=created)

    def _named(
        self, tx: Transaction, actor: Actor, name: str, default: State, rules: KindRules | None, now: datetime
    ) -> tuple[Document, bool]:
        found = tx.documents.by_name(actor.owner, name)
        if found is None:
            try:
                return self._new(tx, actor, name, default, rules, now), True
            except VersionConflict:  # somebody else made it since we looked
                found = tx.documents.by_name(actor.owner, name)
                if found is None:
                    raise
        return find(tx, actor, found.document_id, lock=True), False

    def _new(
        self, tx: Transaction, actor: Actor, name: str, default: State, rules: KindRules | None, now: datetime
    ) -> Document:
        check_new_state(rules, default, "/default")
        spend_document(tx, self._quota, actor, now)
        document = Document(
            document_id=tokens.uuid7(now, self._random.token_bytes(10)),
            owner=actor.owner,
            name=name,
            state=default,
            epoch=self._random.token_bytes(8).hex(),
            schema_name=rules.name if rules is not None else "",
            schema_version=rules.version if rules is not None else 1,
            created_at=now,
            updated_at=now,
            last_activity_at=now,
        )
        insert_document(tx, document, actor, now)
        return document

    def _rename(self, tx: Transaction, actor: Actor, document_id: str, name: str) -> Document:
        document = find_for_change(tx, actor, document_id, self._clock.now())
        if document.name == name:
            return document
        check_name_of_kind(self._kinds, name, document.schema_name)
        if tx.documents.by_name(document.owner, name) is not None:
            raise VersionConflict({"name": name}, "There is another document of that name.")
        now = self._clock.now()
        renamed = replace(document, name=name, updated_at=now)
        tx.documents.update([renamed], with_state=[False])
        tx.audit([document_event(renamed, "document_renamed", now, actor, name=name)])
        return renamed

    def _archive(self, tx: Transaction, actor: Actor, document_id: str) -> None:
        document = find_for_change(tx, actor, document_id, self._clock.now())
        if document.status == "archived":
            return
        now = self._clock.now()
        tx.documents.update([replace(document, status="archived", updated_at=now)], with_state=[False])
        tx.audit([document_event(document, "document_archived", now, actor)])

    def _unarchive(self, tx: Transaction, actor: Actor, document_id: str) -> Document:
        now = self._clock.now()
        document = find_for_change(tx, actor, document_id, now)
        if document.status == "active":
            return document
        if tx.documents.by_name(document.owner, document.name) is not None:
            raise VersionConflict({"name": document.name}, "There is another document of that name.")
        active = replace(document, status="active", updated_at=now)
        tx.documents.update([active], with_state=[False])
        tx.audit([document_event(active, "document_unarchived", now, actor)])
        return active

    def _claim(self, tx: Transaction, actor: Actor) -> Sequence[Document]:
        now = self._clock.now()
        if actor.user_id is None or actor.session_id is None:
            raise AuthenticationRequired("anonymous")
        admit(tx, actor, now)
        session = tx.sessions.get(actor.session_id, lock=True)
        if session is None or session.user_id != actor.user_id:
            raise AuthenticationRequired("anonymous")
        return [rolled_forward(tx, document) for document in claim_documents(tx, session, now)]


def check_name(name: object) -> None:
    """Raises InvalidChange for a name that is empty, too long, or has control characters."""
    if not isinstance(name, str) or not name or len(name) > NAME_LENGTH_MAX:
        raise InvalidChange("/name", f"a document's name has 1 to {NAME_LENGTH_MAX} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise InvalidChange("/name", "a document's name has no control characters")


def insert_document(
    tx: Transaction, document: Document, actor: Actor, now: datetime, base: LogBase | None = None, **provenance: Any
) -> None:
    """A document that was not there before, its log beginning at `base` (its present state where not given). Raises VersionConflict when the
    name is taken, SessionNotFound when its owner is a session that does not exist."""
    if document.owner.session_id is not None and tx.sessions.get(document.owner.session_id) is None:
        raise SessionNotFound
    tx.documents.insert(document)
    tx.documents.put_log_base(
        base
        or LogBase(
            document_id=document.document_id,
            version=document.version,
            generation=document.generation,
            schema_version=document.schema_version,
            state=document.state,
        )
    )
    tx.audit([document_event(document, "document_created", now, actor, name=document.name, **provenance)])


def spend_document(tx: Transaction, quota: Quota, actor: Actor, now: datetime) -> None:
    """One more document of somebody who asks through a session; what the application's own code makes is not counted. Raises TooManyTries."""
    if actor.session_id is not None:
        quota.spend(tx, f"user:{actor.user_id}" if actor.user_id is not None else f"session:{actor.session_id}", now)


def register_device(tx: Transaction, document: Document, actor: Actor, now: datetime) -> DocumentDevice | None:
    """The actor's device on this document, with the next number if it is new. The caller holds the document's lock."""
    if actor.device_id is None:
        return None
    known = tx.documents.device(document.document_id, actor.device_id)
    if known is not None:
        return known
    number = max((device.device_no for device in tx.documents.devices(document.document_id)), default=0) + 1
    device = DocumentDevice(
        document_id=document.document_id,
        device_id=actor.device_id,
        device_no=number,
        session_id=actor.session_id,
        last_active_at=now,
    )
    tx.documents.put_devices([device])
    return device


def _open_known(tx: Transaction, actor: Actor, name: str | None, document_id: str | None) -> Opened | None:
    """The answer when there is nothing to write: the document exists and the device is registered (or there is none)."""
    if document_id is not None:
        document = find(tx, actor, document_id)
    else:
        found = tx.documents.by_name(actor.owner, name or "")
        if found is None:
            return None
        document = rolled_forward(tx, found)
    device = tx.documents.device(document.document_id, actor.device_id) if actor.device_id is not None else None
    if device is None and actor.device_id is not None:
        return None
    return _opened(tx, document, device, created=False)


def _opened(tx: Transaction, document: Document, device: DocumentDevice | None, *, created: bool) -> Opened:
    return Opened(
        document=document,
        device_no=device.device_no if device else 0,
        last_seq=device.last_seq if device else 0,
        conflicts=tx.documents.open_conflicts(document.document_id),
        created=created,
    )


def _find(tx: Transaction, actor: Actor, document_id: str) -> Document:
    return find(tx, actor, document_id)


def _list(tx: Transaction, actor: Actor, status: str) -> list[Document]:
    return [rolled_forward(tx, document) for document in tx.documents.of_owner(actor.owner, status=status)]


def _since(tx: Transaction, actor: Actor, document_id: str, epoch: str | None, version: int | None) -> Delta:
    document = tx.documents.get(document_id)
    if document is None or not actor.may_open(document.owner):
        raise DocumentNotFound
    if version is not None and epoch == document.epoch and 0 <= document.version - version <= REPLAY_CHANGES_MAX:
        changes = tx.documents.changes(document_id, after=version) if version < document.version else []
        if len(changes) == document.version - version:  # otherwise part of the log was compacted away
            return Delta(document=document, from_version=version, changes=changes, snapshot=False)
    return Delta(
        document=rolled_forward(tx, document),
        from_version=document.version,
        changes=(),
        snapshot=True,
        conflicts=tx.documents.open_conflicts(document_id),
    )


def _log(tx: Transaction, actor: Actor, document_id: str, before: int | None, limit: int) -> list[LoggedChange]:
    document = find(tx, actor, document_id)
    return tx.documents.recent_changes(document.document_id, before=before, limit=limit)


def _conflicts(tx: Transaction, actor: Actor, document_id: str) -> list[Conflict]:
    return tx.documents.open_conflicts(find(tx, actor, document_id).document_id)


def document_event(document: Document, kind: str, at: datetime, actor: Actor, **data: Any) -> AuditEvent:
    """An event of the document's own stream."""
    return AuditEvent(
        stream=f"document:{document.document_id}",
        type=kind,
        at=at,
        user_id=actor.user_id,
        session_id=actor.session_id,
        document_id=document.document_id,
        data=data,
    )
