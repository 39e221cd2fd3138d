"""Whose a document is: finding it for an actor, and handing an anonymous session's documents to the user who logs in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sessile.model.audit import AuditEvent
from sessile.model.document import Actor, Document, LoggedChange, Owner, Verdict
from sessile.model.errors import DocumentNotFound
from sessile.model.expiry import check_alive
from sessile.model.limits import NAME_LENGTH_MAX
from sessile.model.operations import apply
from sessile.model.session import Session
from sessile.ports import Transaction


def find(tx: Transaction, actor: Actor, document_id: str, *, lock: bool = False) -> Document:
    """The document with its state at its version. Raises DocumentNotFound for an unknown one and for somebody else's alike."""
    document = (
        tx.documents.get_many([document_id], lock=True).get(document_id) if lock else tx.documents.get(document_id)
    )
    if document is None or not actor.may_open(document.owner):
        raise DocumentNotFound
    return rolled_forward(tx, document)


def find_for_change(tx: Transaction, actor: Actor, document_id: str, now: datetime) -> Document:
    """The same, locked, for who is about to write. Raises SessionEnded or SessionExpired when the actor's session is over by now."""
    admit(tx, actor, now)
    return find(tx, actor, document_id, lock=True)


def admit(tx: Transaction, actor: Actor, now: datetime) -> None:
    """A request that was under way when its session ended writes nothing any more. Sessions are locked before documents."""
    session = tx.sessions.get(actor.session_id, lock=True) if actor.session_id is not None else None
    if session is not None:
        check_alive(session, now)


def rolled_forward(tx: Transaction, document: Document) -> Document:
    """Large states are written now and then only; what the log has more is applied here."""
    if document.state_version == document.version:
        return document
    return roll(document, tx.documents.changes(document.document_id, after=document.state_version))


def roll(document: Document, changes: Iterable[LoggedChange]) -> Document:
    if document.state_version == document.version:
        return document
    state = document.state
    for change in changes:
        if change.verdict is Verdict.APPLIED:
            state = apply(state, change.operations).state
    return replace(document, state=state, state_version=document.version)


def claim_documents(tx: Transaction, session: Session, now: datetime) -> list[Document]:
    """The documents that this session made anonymously become the user's; a name that is taken gets a number, both stay."""
    user = Owner(user_id=session.user_id)
    found: list[Document] = []
    for document in tx.documents.of_owner(Owner(session_id=session.session_id), status=None):
        # An archived one has no claim to its name.
        name = _free_name(tx, user, document.name) if document.status == "active" else document.name
        claimed = replace(document, owner=user, name=name, updated_at=now)
        tx.documents.update([claimed], with_state=[False])
        found.append(claimed)
        tx.audit(
            [
                AuditEvent(
                    stream=f"document:{document.document_id}",
                    type="document_claimed",
                    at=now,
                    user_id=session.user_id,
                    session_id=session.session_id,
                    document_id=document.document_id,
                    data={"name": claimed.name},
                )
            ]
        )
    return found


def _free_name(tx: Transaction, owner: Owner, name: str) -> str:
    candidate, number = name, 1
    while tx.documents.by_name(owner, candidate) is not None:
        number += 1
        suffix = f" ({number})"
        candidate = name[: NAME_LENGTH_MAX - len(suffix)] + suffix
    return candidate
