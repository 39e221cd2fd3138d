"""Records with their content sealed, and opened again. What stays readable is what a store has to search, order or join by: docs/how-to/encrypt.md.

Each kind has a form that no plain record of it can have: a state is a text and no object, operations are one text and no objects, a session's data is
not JSON. So a row says itself whether it is sealed.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec.structs import replace

from sessile.model.document import ABSENT, Checkpoint, Conflict, ConflictReason, Document, LogBase, LoggedChange
from sessile.model.errors import ContentUnreadable
from sessile.model.session import Principal, Session
from sessile.stores.encrypted.cipher import ContentCipher, from_text, is_sealed, to_text

C = TypeVar("C", bound=Checkpoint | LogBase)
_PRINCIPAL: Final = "sessile.encrypted"
_NO_DATA: Final = b"{}"


class ContentRecords:
    """The codec between the port and a store."""

    def __init__(self, cipher: ContentCipher) -> None:
        self._cipher = cipher

    # -- sessions and principals ----------------------------------------------------------------------------------------------------

    def seal_session(self, session: Session) -> Session:
        if is_sealed(session.data):  # it could not be opened, and is written as it was
            return session
        content = msgspec.msgpack.encode((session.data, dict(session.public), dict(session.device)))
        sealed = self._cipher.seal(f"session\0{session.session_id}", content)
        return replace(session, data=sealed, public={}, device={})

    def open_session(self, session: Session) -> Session:
        if not is_sealed(session.data):
            if session.data != _NO_DATA or session.public or session.device:
                self._cipher.plain()
            return session
        content = self._cipher.open(f"session\0{session.session_id}", session.data)
        data, public, device = msgspec.msgpack.decode(content)
        return replace(session, data=data, public=public, device=device)

    def try_session(self, session: Session) -> Session:
        """Opened if that can be. Otherwise as it is: a session can be ended, and swept, whether or not somebody still has its key."""
        try:
            return self.open_session(session)
        except ContentUnreadable:
            return session

    def seal_principal(self, principal: Principal) -> Principal:
        if not principal.public:
            return principal
        content = msgspec.json.encode(dict(principal.public))
        sealed = to_text(self._cipher.seal(f"principal\0{principal.user_id}", content))
        return dataclasses.replace(principal, public={_PRINCIPAL: sealed})

    def open_principal(self, principal: Principal) -> Principal:
        if principal.public.keys() != {_PRINCIPAL}:
            if principal.public:
                self._cipher.plain()
            return principal
        sealed = from_text(principal.public[_PRINCIPAL])
        public = msgspec.json.decode(self._cipher.open(f"principal\0{principal.user_id}", sealed))
        return dataclasses.replace(principal, public=public)

    # -- documents ------------------------------------------------------------------------------------------------------------------

    def seal_document(self, document: Document) -> Document:
        return replace(document, state=self._seal_state(_document_name(document), document.state))

    def open_document(self, document: Document) -> Document:
        state = self._open_state(_document_name(document), document.state)
        return document if state is document.state else replace(document, state=state)

    def seal_kept(self, kept: C) -> C:
        return dataclasses.replace(kept, state=self._seal_state(_kept_name(kept), kept.state))

    def open_kept(self, kept: C) -> C:
        state = self._open_state(_kept_name(kept), kept.state)
        return kept if state is kept.state else dataclasses.replace(kept, state=state)

    def seal_change(self, change: LoggedChange) -> LoggedChange:
        content = {
            "operations": change.operations,
            "operations_hash": to_text(change.operations_hash),
            "detail": change.detail,
            "before": [[path] if value is ABSENT else [path, value] for path, value in change.before],
            "conflicts": [{**_conflict_content(c), **_conflict_rest(c)} for c in change.conflicts],
            "resolved": change.resolved,
            "state_hash": change.state_hash,
        }
        sealed: Any = to_text(self._cipher.seal(_change_name(change), msgspec.json.encode(content)))
        return replace(
            change,
            operations=[sealed],
            operations_hash=b"",
            detail=None,
            before=(),
            conflicts=(),
            resolved=(),
            state_hash=None,
        )

    def open_change(self, change: LoggedChange) -> LoggedChange:
        sealed = cast("list[Any]", change.operations)
        if not (len(sealed) == 1 and isinstance(sealed[0], str)):
            if sealed:
                self._cipher.plain()
            return change
        content = msgspec.json.decode(self._cipher.open(_change_name(change), from_text(sealed[0])))
        return replace(
            change,
            operations=content["operations"],
            operations_hash=from_text(content["operations_hash"]),
            detail=content["detail"],
            before=[(item[0], item[1] if len(item) > 1 else ABSENT) for item in content["before"]],
            conflicts=[_conflict_from(item) for item in content["conflicts"]],
            resolved=content["resolved"],
            state_hash=content["state_hash"],
        )

    def seal_conflict(self, conflict: Conflict) -> Conflict:
        name = _conflict_name(conflict)
        sealed = to_text(self._cipher.seal(name, msgspec.json.encode(_conflict_content(conflict))))
        path = self._cipher.blind(f"conflict\0{conflict.document_id}", conflict.path)
        return replace(conflict, path=path, base=sealed, winner=ABSENT, loser=ABSENT)

    def open_conflict(self, conflict: Conflict) -> Conflict:
        if _is_plain(conflict):
            self._cipher.plain()
            return conflict
        content = msgspec.json.decode(self._cipher.open(_conflict_name(conflict), from_text(str(conflict.base))))
        values = {key: content.get(key, ABSENT) for key in ("base", "winner", "loser")}
        return replace(conflict, path=content["path"], **values)

    def is_current(self, record: Any) -> bool:
        """Whether the content of a record, as its store has it, was sealed with the first key, or is none."""
        match record:
            case Session():
                return self._cipher.is_current(record.data) or (
                    record.data == _NO_DATA and not record.public and not record.device
                )
            case Principal():
                return not record.public or self._is_current_text(record.public.get(_PRINCIPAL))
            case LoggedChange():
                return self._is_current_text(record.operations[0] if len(record.operations) == 1 else None)
            case Conflict():
                return not _is_plain(record) and self._is_current_text(record.base)
            case _:
                return not record.state or self._is_current_text(record.state)

    def _is_current_text(self, text: object) -> bool:
        return isinstance(text, str) and self._cipher.is_current(from_text(text))

    def _seal_state(self, name: str, state: Any) -> Any:
        return to_text(self._cipher.seal(name, msgspec.json.encode(state)))

    def _open_state(self, name: str, state: Any) -> Any:
        if isinstance(state, str):
            return msgspec.json.decode(self._cipher.open(name, from_text(state)))
        if state:
            self._cipher.plain()
        return state


def _document_name(document: Document) -> str:
    return f"document\0{document.document_id}\0{document.state_version}"


def _kept_name(kept: Checkpoint | LogBase) -> str:
    kind = f"checkpoint\0{kept.checkpoint_id}" if isinstance(kept, Checkpoint) else "log_base"
    return f"{kind}\0{kept.document_id}\0{kept.version}"


def _change_name(change: LoggedChange) -> str:
    return f"change\0{change.document_id}\0{change.version}"


def _conflict_name(conflict: Conflict) -> str:
    return f"conflict\0{conflict.document_id}\0{conflict.conflict_id}"


def _is_plain(conflict: Conflict) -> bool:
    """A path is empty or begins with a slash; a blind one is hexadecimal."""
    return conflict.path == "" or conflict.path.startswith("/")


def _conflict_content(conflict: Conflict) -> dict[str, Any]:
    values = {"path": conflict.path, "base": conflict.base, "winner": conflict.winner, "loser": conflict.loser}
    return {key: value for key, value in values.items() if value is not ABSENT}


def _conflict_rest(conflict: Conflict) -> dict[str, Any]:
    return {
        "conflict_id": conflict.conflict_id,
        "document_id": conflict.document_id,
        "reason": str(conflict.reason),
        "winner_device_no": conflict.winner_device_no,
        "loser_device_no": conflict.loser_device_no,
        "version": conflict.version,
        "opened_at": conflict.opened_at.isoformat(),
        "status": conflict.status,
    }


def _conflict_from(values: dict[str, Any]) -> Conflict:
    opened_at = datetime.fromisoformat(values["opened_at"])
    return Conflict(**{**values, "reason": ConflictReason(values["reason"]), "opened_at": opened_at})
