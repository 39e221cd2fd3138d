"""The seam between the core and what only the operators' console asks of a store: their credentials, and lists over everybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sessile.model.audit import AuditEvent, AuditPlace
from sessile.model.operator_access import OperatorCredential
from sessile.model.presence import PresenceLease
from sessile.model.session import Session
from sessile.model.session_query import SessionQuery, SessionState


class ConsoleRows(Protocol):
    def credential(self, credential_id: str, *, lock: bool = False) -> OperatorCredential | None: ...

    def put_credential(self, credential: OperatorCredential) -> None:
        """Inserts, or replaces the one of the same id."""
        ...

    def credentials(self, now: datetime) -> list[OperatorCredential]:
        """Those that are good, oldest first."""
        ...

    def forget_credentials(self, before: datetime, limit: int) -> int:
        """Removes those whose absolute deadline was before that moment, at most `limit`; how many."""
        ...

    def search(
        self, query: SessionQuery, now: datetime, *, after: str | None, limit: int, newest_first: bool
    ) -> list[Session]:
        """Sessions in the order of their handles (that of their beginnings), behind the handle `after` where given."""
        ...

    def count(self, query: SessionQuery, now: datetime) -> int:
        """How many `search` would find in all."""
        ...

    def states(self, now: datetime) -> Mapping[SessionState, int]:
        """How many live sessions are in each state; those of none are left out."""
        ...

    def leases_of(self, session_ids: Sequence[str], now: datetime) -> list[PresenceLease]:
        """All that have not lapsed of these sessions, with those of documents, in the order of their keys."""
        ...

    def leases(
        self,
        now: datetime,
        *,
        node_id: str | None,
        label: str,
        session_id: str | None,
        after: Sequence[str],
        limit: int,
    ) -> list[PresenceLease]:
        """Leases of sessions themselves that have not lapsed, in the order of (session, node, device), behind that place where given. `label` is a part of
        it, in small letters."""
        ...

    def count_leases(self, now: datetime, *, node_id: str | None, label: str, session_id: str | None) -> int:
        """How many `leases` would find in all."""
        ...

    def nodes(self, now: datetime) -> list[tuple[str, int, int, int]]:
        """Processes that hold leases which have not lapsed, by name: node, sessions, devices, tabs."""
        ...

    def audit_before(self, place: AuditPlace | None, limit: int) -> list[AuditEvent]:
        """Events of all streams, newest first, before that place; None: from the last one on."""
        ...
