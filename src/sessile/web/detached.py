"""A session apart from its request: for what goes on after the response, and for jobs that know a handle."""

from __future__ import annotations

from types import TracebackType
from typing import Self, cast

from sessile.model.document import Actor
from sessile.model.errors import SessionClosed, SessionNotFound, SessionReadOnly, SessionUpdateError
from sessile.model.session import Session
from sessile.runtime.manager import AsyncSessionManager
from sessile.web.documents import SessionDocuments
from sessile.web.lanes import in_lane
from sessile.web.mapping import Phase, SessionMapping
from sessile.web.request_session import RequestSession

_OUTSIDE = (
    "A detached session is used inside `async with session.detached() as later:` (in a `def` task inside `with`)."
)


class DetachedSession(SessionMapping):
    """Read anew when it is entered, and saved, as a delta, when it is left without an exception. It is no activity of the user, sets no cookie, and knows
    no log-in.

    Entering raises SessionNotFound, SessionExpired, SessionEnded, StoreUnavailable; SessionReadOnly for a view that must not be written to;
    SessionUpdateError when the session is another user's by now. Leaving raises like `WebSession.save`: what was changed in a session that ended meanwhile
    is not saved.
    """

    def __init__(self, manager: AsyncSessionManager, source: RequestSession | str) -> None:
        """`source`: the session of a request, or a handle."""
        super().__init__()
        self._manager = manager
        self._source = source

    @property
    def handle(self) -> str:
        """The session's public id."""
        return self._live().session_id

    @property
    def user_id(self) -> str | None:
        """Whose session it is; None for an anonymous visitor."""
        return self._live().user_id

    @property
    def documents(self) -> SessionDocuments:
        """The documents of this user, or of this anonymous visitor."""
        return SessionDocuments(self._manager.documents, self)

    async def save(self) -> None:
        """Commits what was changed so far. Raises SessionEnded, SessionExpired, SessionUpdateError, InvalidValue, DocumentTooLarge, StoreUnavailable."""
        record = self._live()
        operations = self._delta()
        if operations:
            assert self._tracked is not None, "there is a delta of it"
            self._record = await self._manager.change_session_data(
                record.session_id, operations, user_id=record.user_id
            )
            self._tracked.rebase()

    async def __aenter__(self) -> Self:
        if isinstance(self._source, str):
            self._record = await self._manager.get_session(self._source)
            return self
        known = self._source.known_record
        if known is None:
            raise SessionNotFound
        if known.is_read_only:
            raise SessionReadOnly
        record = await self._manager.get_session(known.session_id)
        if record.user_id != known.user_id:
            raise SessionUpdateError("The session belongs to another user by now.")
        self._record = record
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.save()
        finally:
            self._phase = Phase.DONE

    def __enter__(self) -> Self:
        """For a `def` task, which a framework runs in a worker thread of AnyIO."""
        return cast("Self", in_lane(self.__aenter__))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        in_lane(lambda: self.__aexit__(kind, error, trace))

    # -- for `documents` ---------------------------------------------------------------------------------------------------------------

    def document_actor(self) -> Actor | None:
        record = self._live()
        return Actor(user_id=record.user_id, session_id=record.session_id)

    async def document_owner(self) -> Actor:
        return cast("Actor", self.document_actor())

    def _seen(self) -> Session | None:
        if self._record is None:
            raise SessionClosed(_OUTSIDE)
        return super()._seen()

    def _live(self) -> Session:
        return cast("Session", self._seen())
