"""An import: reads a source piece by piece, checks each session, and takes it over. Nothing comes twice, so it can be stopped at any moment and run again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from sessile.engine.legacy import Import
from sessile.model.legacy import Arrival, ImportOutcome, LegacyKind, has_own_shape, hash_legacy
from sessile.moving.payload import Content, Loss, PayloadRefused, content_of, decoded
from sessile.moving.signed import DJANGO_STORE_SALT, django_reader, from_json
from sessile.moving.sources import Found, SessionSource
from sessile.ports import Clock
from sessile.runtime.blocking import SessionManager

LOSSES_TOLD_MAX: Final = 1000
EXAMPLES_MAX: Final = 20
UNDONE_AT_ONCE: Final = 100

WHY: Final = {
    "shape": "the key or id is not one that the library makes",
    "pickle": "a pickle: it could run code, so it is never read",
    "unreadable": "neither JSON nor MessagePack",
    "too_large": "too large to be read",
    "signature": "its signature was not made with one of the secrets",
    "user": "what stands where the user's id should be is none",
    "empty": "nobody's, with nothing in it",
    "expired": "over already",
    "disabled": "the user may not log in",
}
"""Why a session is not taken over."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to import. `secrets` are those that sign a table of Django's; `dry_run` reads only, and does not look at our database either."""

    kind: LegacyKind
    user_keys: Sequence[str] = ()
    secrets: Sequence[str] = field(default=(), repr=False)
    remembered: bool = False
    accept: timedelta = timedelta(days=14)
    batch: int = 100


@dataclass(slots=True)
class Report:
    """What became of a source. Sessions are named by the first 12 characters of the SHA-256 of their id, never by the id."""

    run_id: str | None = None
    read: int = 0
    imported: int = 0
    known: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    """Of each reason, some of the sessions."""
    lost: int = 0
    losses: list[tuple[str, Loss]] = field(default_factory=list)
    """Values that could not be kept, in which session; at most 1000 of them."""

    def skip(self, reason: str, session: str) -> None:
        self.skipped[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < EXAMPLES_MAX:
            examples.append(session)

    def lose(self, session: str, losses: Sequence[Loss]) -> None:
        self.lost += len(losses)
        room = LOSSES_TOLD_MAX - len(self.losses)
        self.losses += [(session, loss) for loss in losses[:room]]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "run_id": self.run_id,
            "read": self.read,
            "imported": self.imported,
            "known": self.known,
            "skipped": dict(sorted(self.skipped.items())),
            "examples": dict(sorted(self.examples.items())),
            "lost": self.lost,
            "losses": [{"session": session, "path": loss.path, "reason": loss.reason} for session, loss in self.losses],
        }


Progress = Callable[[Report], None]


class Importer:
    """`manager` is open; None: a dry run, which counts as imported what could be. Raises ConfigurationError for a plan that cannot be."""

    def __init__(self, plan: Plan, clock: Clock, manager: SessionManager | None) -> None:
        self._plan = plan
        self._clock = clock
        self._manager = manager
        self._read = _reader_of(plan)

    def run(self, source: SessionSource, progress: Progress | None = None) -> Report:
        """Everything that is there, in transactions of `batch` sessions. Raises StoreUnavailable, and then what was done so far stays done."""
        legacy = self._manager.legacy if self._manager is not None else None
        report = Report(run_id=legacy.new_run_id() if legacy is not None else None)
        until = self._clock.now() + self._plan.accept
        self._import = Import(report.run_id, self._plan.kind, until, self._plan.remembered)
        waiting: list[tuple[str, Arrival]] = []
        if progress is not None:
            progress(report)
        for piece in source.pieces():
            for found in piece:
                arrival = self._checked(found, report)
                if arrival is not None:
                    waiting.append(arrival)
            while len(waiting) >= self._plan.batch:
                self._take_over(waiting[: self._plan.batch], report)
                del waiting[: self._plan.batch]
                if progress is not None:
                    progress(report)
        self._take_over(waiting, report)
        if progress is not None:
            progress(report)
        return report

    def _checked(self, found: Found, report: Report) -> tuple[str, Arrival] | None:
        report.read += 1
        name = hashlib.sha256(found.id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        try:
            content = self._read(self._payload_of(found))
        except PayloadRefused as error:
            report.skip(error.reason, name)
            return None
        if content.is_empty and not content.losses:
            report.skip("empty", name)
            return None
        report.lose(name, content.losses)
        arrival = Arrival(
            hash=hash_legacy(found.id), user_id=content.user_id, data=content.data, expires_at=found.expires_at
        )
        return name, arrival

    def _payload_of(self, found: Found) -> bytes:
        if found.expires_at is not None and found.expires_at <= self._clock.now():
            raise PayloadRefused("expired", WHY["expired"])
        if not has_own_shape(self._plan.kind, found.id):
            raise PayloadRefused("shape", WHY["shape"])
        if found.payload is None:
            raise PayloadRefused(found.problem, WHY[found.problem])
        return found.payload

    def _take_over(self, waiting: Sequence[tuple[str, Arrival]], report: Report) -> None:
        if not waiting:
            return
        if self._manager is None:
            report.imported += len(waiting)
            return
        outcomes = self._manager.legacy.take_over(self._import, [arrival for _, arrival in waiting])
        for (name, _), outcome in zip(waiting, outcomes, strict=True):
            if outcome is ImportOutcome.IMPORTED:
                report.imported += 1
            elif outcome is ImportOutcome.KNOWN:
                report.known += 1
            else:
                report.skip(str(outcome), name)


def undo(
    manager: SessionManager, run_id: str, *, with_used: bool, progress: Callable[[int, int], None] | None = None
) -> tuple[int, int]:
    """Takes an import back; how many sessions ended, and how many stay because they are in use."""
    ended = kept = 0
    after: bytes | None = b""
    while after is not None:
        batch = manager.legacy.undo(run_id, after=after, limit=UNDONE_AT_ONCE, with_used=with_used)
        ended, kept, after = ended + batch.ended, kept + batch.kept, batch.after
        if progress is not None:
            progress(ended, kept)
    return ended, kept


def _reader_of(plan: Plan) -> Callable[[bytes], Content]:
    if plan.kind is not LegacyKind.DJANGO or not plan.secrets:
        return lambda payload: content_of(plan.kind, decoded(payload), plan.user_keys)
    unsign = django_reader(plan.secrets, DJANGO_STORE_SALT)

    def read(payload: bytes) -> Content:
        try:
            text = payload.decode("ascii")
        except UnicodeDecodeError as error:
            raise PayloadRefused("signature", WHY["signature"]) from error
        values = from_json(unsign(text).payload)
        if not isinstance(values, dict):
            raise PayloadRefused("unreadable", WHY["unreadable"])
        return content_of(plan.kind, values, plan.user_keys)

    return read
