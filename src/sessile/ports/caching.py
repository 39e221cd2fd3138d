"""The seam between the core and what is faster than the store, and may vanish: the cache, and the messenger that carries news."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from sessile.model.fence import CachePlace, Fence, Miss, Publication, SessionChanges
from sessile.model.health import CacheLink
from sessile.model.session import Session

if TYPE_CHECKING:
    from sessile.ports import Transaction


class Stopwatch(Protocol):
    def seconds(self) -> float:
        """Seconds since some moment: goes on while the machine sleeps, and is never set back."""
        ...


class Pause(Protocol):
    async def sleep(self, seconds: float) -> None:
        """Returns after that time; the blocking lane's never suspends."""
        ...


class FenceRows(Protocol):
    """The one row of the fence (`sessile.model.fence`)."""

    def look(self) -> Fence:
        """As it is committed. There is one from the beginning: closed, without a server."""
        ...

    def raise_(
        self, nonce: str, *, server: str | None = None, expected: int | None = None, held_s: float = 0.0
    ) -> Fence:
        """Begins the next epoch, closed: on `server` (None: the same as before). With `expected` only if that is the present number; the row as it
        is now either way."""
        ...

    def open(self, number: int) -> Fence:
        """Opens that epoch unless it is over, open already, or held; the row as it is now."""
        ...

    def hold(self, number: int, held_s: float) -> Fence:
        """Keeps that epoch closed for so many seconds from now, if it is not open; the row as it is now."""
        ...


class Cache(Protocol):
    """Entries for sessions on a server that may vanish at any time, and come back empty, older, or as another one. Each call names its place and is
    carried out only by `place.server`. Raises CacheUnavailable, and nothing else."""

    async def server(self) -> str:
        """The identity of the server that would be asked now; connects if need be."""
        ...

    async def get(self, place: CachePlace, session_id: str) -> bytes | Miss:
        """The value (empty: known to be no session), in one round trip."""
        ...

    async def lease(self, place: CachePlace, session_id: str, token: bytes) -> bool:
        """True when the key was absent and now holds the lease. Whatever happens to the key from now on kills the lease."""
        ...

    async def fill(self, place: CachePlace, session_id: str, token: bytes, entry: bytes, ttl_s: float) -> None:
        """Puts the value if the key still holds this lease. Need not wait for the answer, and raises nothing."""
        ...

    async def mark(self, place: CachePlace, tokens: Sequence[tuple[str, bytes]]) -> None:
        """Puts a mark into each key, whatever was there; returns when all are there."""
        ...

    async def publish(self, place: CachePlace, publications: Sequence[Publication]) -> None:
        """Where its own mark stands: puts the value. Another's mark stays. Any other content is removed. An absent key stays absent."""
        ...

    def status(self) -> CacheLink:
        """How the way to it is; asks nobody."""
        ...

    async def close(self) -> None: ...


class Messenger(Protocol):
    """Carries news between processes beside the store: fast, and some of it may be lost."""

    @property
    def is_up(self) -> bool: ...

    def publish(self, payload: bytes) -> None:
        """Sends without waiting; raises nothing."""
        ...


@runtime_checkable
class NewsTeller(Protocol):
    """A store that several processes share, and whose news a messenger may carry."""

    def carry_by(self, messenger: Messenger) -> None: ...

    def hear(self, payload: str | bytes) -> None:
        """What the messenger brought from another process."""
        ...

    def missed(self) -> None:
        """For some time nothing may have been heard."""
        ...


class SessionReader(Protocol):
    """Where an engine looks for a session that somebody names."""

    async def get(self, session_id: str) -> Session | None:
        """The session as it was committed last. Raises StoreUnavailable."""
        ...


class CommitGuard(Protocol):
    """Stands around the commits of a store, for what they do to sessions. `plan` and `within` run inside the transaction, while the rows are locked."""

    def plan(self, tx: Transaction, changes: SessionChanges) -> Any:
        """What has to be done; None: nothing."""
        ...

    async def mark(self, plans: Sequence[Any]) -> None:
        """Before the commit: marks the entries. Raises nothing."""
        ...

    def within(self, tx: Transaction, plan: Any) -> None:
        """After `mark`, in the same transaction: raises the fence where marking failed."""
        ...

    async def settle(self, plan: Any) -> None:
        """After the commit: publishes, and returns when nobody can be served what was there before, as far as the change asks for that."""
        ...

    async def doubt(self, plan: Any) -> None:
        """Instead of `settle`, when nobody knows whether the commit happened. Raises nothing."""
        ...
