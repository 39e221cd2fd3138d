"""`flask.session`: the dict-like session of every framework, with what Flask's own and Flask-Session's have beside the dict."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from flask.sessions import SessionMixin

from sessile.integrations.flask.application import ApplicationSessions
from sessile.model.delta import is_readable
from sessile.model.errors import SessileError
from sessile.model.session import Session, Standing
from sessile.runtime.lane import drive
from sessile.web import trace
from sessile.web.blocking_session import BlockingSession
from sessile.web.loading import Loaded, Source, load
from sessile.web.wsgi import WsgiScope

PERMANENT: Final = "_permanent"
"""Flask's own key for it: data that moved here from another interface goes on meaning the same."""


class FlaskSession(BlockingSession, SessionMixin):
    """A dict that belongs to the browser, and who is here. Changes at any depth are noticed and committed before the response is sent; what the request
    did not change is not written.

    Any use can raise StoreUnavailable, which the browser sees as 503 and never as a log-out.
    """

    def __init__(self, sessions: ApplicationSessions, environ: Mapping[str, Any]) -> None:
        super().__init__(sessions.finished, sessions.cookies, WsgiScope(environ))
        self._sessions = sessions

    _merging_lists = frozenset({"_flashes"})  # `flash()` in two requests at once: both are shown
    _wants_permanent: bool | None = None
    _is_new = True
    _is_marked = False
    _sends_again = False
    is_traced = False
    """Whether somebody looked at the trace when it was looked up."""
    refused: SessileError | None = None
    """The error of ours that the response tells of."""

    def _looked_up(self) -> Loaded:
        if not self._sessions.manager.serving.has_begun:
            self._sessions.begin_serving()
        loaded = drive(load(self._manager, self._cookies, self._scope))
        self._is_new = loaded.record is None
        self.is_traced = trace.is_on()
        if self.is_traced:
            trace.loaded(self._scope, loaded)
        return loaded

    # -- what Flask's sessions have --------------------------------------------------------------------------------------------------------

    @property
    def permanent(self) -> bool:
        """Whether the browser keeps the cookie when it is closed. False unless it was set; a session that is remembered (`login(remember=True)`) is kept in
        any case. How long a session lives on the server does not depend on it."""
        if self._wants_permanent is not None:
            return self._wants_permanent
        return bool(self.get(PERMANENT, False))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        """Asks the store for nothing: applications set it before every request. Nobody gets a session for this alone."""
        self._wants_permanent = bool(value)

    @property
    def new(self) -> bool:  # type: ignore[override]
        """Whether the browser came without a live session."""
        self._seen()
        return self._is_new

    @property
    def modified(self) -> bool:
        """Whether there are changes that are not saved, at any depth. Setting it is allowed and needed nowhere."""
        return self._is_marked or super().modified

    @modified.setter
    def modified(self, value: bool) -> None:
        self._is_marked = bool(value)

    @property
    def accessed(self) -> bool:
        """Whether the response so far depends on the session. Flask sets it whenever somebody gets hold of `flask.session`; what counts here is whether
        anything was asked of it."""
        return self._accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        """Ignored, see above."""

    def copy(self) -> dict[str, Any]:
        """A plain dict, one level deep."""
        return dict(self._data())

    @property
    def sid(self) -> str | None:
        """Flask-Session's name for a session's id. Here it is the handle: public, and no credential."""
        return self.handle

    @property
    def is_login_old(self) -> bool:
        """Whether this session is a remembered one whose user proved who they are longer ago than an ordinary session can live."""
        record = self._visible()
        if record is None or not record.is_remembered or record.authenticated_at is None:
            return False
        ordinary = timedelta(seconds=self._manager.settings.absolute_timeout_s)
        return self._manager.clock.now() - record.authenticated_at > ordinary

    # -- verbs that are a little different here -----------------------------------------------------------------------------------------------

    def extend(self) -> None:
        """Moves the idle deadline as activity does, at once, and sends a permanent session's cookie again. Nothing moves the absolute deadline. Raises
        AuthenticationRequired, and SessionEnded or SessionExpired when it is over by now."""
        super().extend()
        self._sends_again = True

    def csrf_token(self) -> str:
        """A token for a hidden field `csrf_token` of a form in this page. A visitor without a session gets an anonymous one, so that a log-in form has a token,
        too. Raises SessionReadOnly, StoreUnavailable."""
        if self.handle is None and not self.is_read_only:
            self._open_for_change()
            drive(self._begin())
        return super().csrf_token()

    # -- for the interface ------------------------------------------------------------------------------------------------------------------

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was asked of it so far, so that there is nothing to save and the store was not asked either."""
        return not self._is_loaded and self._wants_permanent is None

    @property
    def wants_permanence(self) -> bool:
        """Whether something was said about `permanent`."""
        return self._wants_permanent is not None

    def settle_permanence(self) -> None:
        """What was said about `permanent` goes into the session, where there is one. An outage is left to those who use the session."""
        wanted = self._wants_permanent
        if wanted is None:
            return
        if not self._is_loaded:
            if self._cookies.read(self._scope).token is None:
                return
            self._load()
        record = self._record
        if self._failure is not None or (not self._has_data if record is None else record.is_read_only):
            return
        known = self._peek()
        if known is None:
            return
        if bool(known.get(PERMANENT, False)) != wanted:
            self[PERMANENT] = wanted
            self._sends_again = True

    @property
    def adds_headers(self) -> bool:
        return self._sends_again or super().adds_headers

    @property
    def sets_cookie(self) -> bool:
        return super().sets_cookie or self._token_to_repeat() is not None

    def cookie_header(self) -> bytes | None:
        header = super().cookie_header()
        token = self._token_to_repeat() if header is None else None
        if token is None or self._record is None:
            return header
        return self._cookies.set_header(self._scope, token, self._cookie_age(self._record))

    def _cookie_age(self, record: Session) -> timedelta | None:
        is_kept = record.is_remembered or (self._peek() or {}).get(PERMANENT, False)
        return super()._cookie_age(record) if is_kept else None

    def _token_to_repeat(self) -> str | None:
        """The browser's own token, when its cookie is to get another age."""
        record = self._record
        if not self._sends_again or record is None or self._new_token is not None or self._source is not Source.COOKIE:
            return None
        return self._cookies.read(self._scope).token if record.standing is Standing.CURRENT else None

    @property
    def _has_data(self) -> bool:
        return self._tracked is not None and bool(self._tracked.value)

    def _peek(self) -> Mapping[str, Any] | None:
        """The dict, without counting as a use; None where it cannot be read, which is left to those who use the session."""
        if self._tracked is None and self._record is not None and not is_readable(self._record.data):
            return None
        return self._held().value
