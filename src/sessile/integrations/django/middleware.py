"""`SessionMiddleware`: Django's, with the rules of the other frameworks.

The session is looked up at its first use. What was changed is committed before the response leaves; a cookie is set exactly when the token changed (or
`set_expiry` moved its age), so that a late response cannot overwrite the cookie of a newer log-in; and a response that used the session says so to caches.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any, Final

import msgspec
from django.conf import settings as django_settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.core.exceptions import DisallowedHost, ImproperlyConfigured
from django.core.signals import got_request_exception, setting_changed
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import NoReverseMatch, reverse
from django.utils.cache import patch_vary_headers

from sessile.integrations.django.configuration import cookie_attributes
from sessile.integrations.django.cookies import COOKIES_KEY, USER_AGENT_KEY
from sessile.integrations.django.process import here
from sessile.integrations.django.store import SessionStore
from sessile.model.errors import SessileError
from sessile.web import trace
from sessile.web.asgi import Scope
from sessile.web.binding import REGISTRATION_PATH
from sessile.web.fingerprint import BROWSER_KEY
from sessile.web.problems import MEDIA_TYPE, NO_STORE, log_fault, problem_body, problem_headers

logger = logging.getLogger("sessile.web")
ENGINE: Final = "sessile.integrations.django"
CURRENT: Final[ContextVar[SessionStore | None]] = ContextVar("sessile.django.current", default=None)
"""The session of the request under way."""
_ERROR: Final = "_sessile_error"
_HEADERS: Final = (
    ("HTTP_COOKIE", b"cookie"),
    ("HTTP_AUTHORIZATION", b"authorization"),
    ("HTTP_SESSILE_PLATFORM", b"sessile-platform"),
)


class _Cookie:
    """Two of Django's settings, which cost more to ask for than anything else that each request needs. Looked at again when tests change them."""

    _found: tuple[str, bool] | None = None

    def look(self) -> tuple[str, bool]:
        """The name, and whether it is sent with every response."""
        found = self._found
        if found is None:
            saves_always = bool(django_settings.SESSION_SAVE_EVERY_REQUEST)
            found = self._found = (str(django_settings.SESSION_COOKIE_NAME), saves_always)
        return found

    def forget(self, *, setting: str, **_named: Any) -> None:
        if setting in {"SESSION_COOKIE_NAME", "SESSION_SAVE_EVERY_REQUEST"}:
            self._found = None


_cookie: Final = _Cookie()
setting_changed.connect(_cookie.forget)


class SessionMiddleware(DjangoSessionMiddleware):
    """In the place of Django's own, for WSGI and ASGI. Errors of ours become problem responses (RFC 9457): an outage is 503 and nobody's log-out.
    Raises ImproperlyConfigured for settings that cannot be."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if django_settings.SESSION_ENGINE != ENGINE:
            raise ImproperlyConfigured(
                f'This middleware belongs to SESSION_ENGINE = "{ENGINE}"; it is {django_settings.SESSION_ENGINE!r}'
            )
        here()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.async_mode:
            return self.__acall__(request)
        self.process_request(request)
        before = CURRENT.set(request.session)
        try:
            response = self.get_response(request)
        finally:
            CURRENT.reset(before)
        return self.process_response(request, response)

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        self.process_request(request)
        before = CURRENT.set(request.session)
        try:
            response = await self.get_response(request)
        finally:
            CURRENT.reset(before)
        session = request.session
        if isinstance(session, SessionStore) and session.wants_work(saves_always=_saves_always(request)):
            return await session._core.process.in_thread(self.process_response, request, response)
        return self.process_response(request, response)

    def process_request(self, request: HttpRequest) -> None:
        process = here()
        request.session = SessionStore.of_request(process, _scope_of(request), request.COOKIES.get(_cookie.look()[0]))

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """What a view raised."""
        if not isinstance(exception, SessileError):
            return None
        setattr(request, _ERROR, exception)
        return problem_response(exception)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        session = request.session
        if not isinstance(session, SessionStore):
            return response
        error = getattr(request, _ERROR, None)
        if error is not None and response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            response = problem_response(error)  # it was raised in another middleware, where only Django could catch it
        is_failing = error is not None or response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        if not is_failing:
            try:
                session.commit(saves_always=_saves_always(request))
            except SessileError as failure:
                if failure.http_status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    logger.exception(
                        "The session could not be saved: %s", failure.code, extra={"event_name": "session_unsaved"}
                    )
                error, response = failure, problem_response(failure)
        self._tell(request, session, response)
        session.close_for_response(is_streaming=bool(getattr(response, "streaming", False)))
        trace.done(
            session._core.scope,
            session._core,
            status=response.status_code if error is None else None,
            error=error,
        )
        return response

    def _tell(self, request: HttpRequest, session: SessionStore, response: HttpResponseBase) -> None:
        if session.accessed:
            if response.has_header("Vary"):
                patch_vary_headers(response, ("Cookie",))
            else:
                response["Vary"] = "Cookie"
            response["Cache-Control"] = NO_STORE
        else:
            return  # nothing of it was looked at, so there is nothing to tell
        platform = session._core.platform_header()
        if platform is not None:
            response["Sessile-Platform"] = platform.decode("ascii")
        told = session.cookie_to_tell(saves_always=_saves_always(request))
        if told is None:
            return
        token, max_age_s = told
        name = _cookie.look()[0]
        if token:
            response.set_cookie(
                name, token, **cookie_attributes(max_age_s, request.scheme or "http", _host_of(request))
            )
            for header, what in session._core.binding_offer(_api_root(), is_secure=request.is_secure()):
                response[header.decode("ascii")] = what.decode("ascii")
        else:
            response.delete_cookie(
                name,
                path=django_settings.SESSION_COOKIE_PATH,
                domain=django_settings.SESSION_COOKIE_DOMAIN,
                samesite=django_settings.SESSION_COOKIE_SAMESITE,
            )
            for header, what in here().cookies.forget_site(is_secure=request.is_secure()):
                response[header.decode("ascii")] = what.decode("ascii")


def _api_root() -> str | None:
    """Where the project has put the API's URLs; None where it has not."""
    with suppress(NoReverseMatch):
        path: str = reverse("sessile:api", kwargs={"path": REGISTRATION_PATH[1:]})
        return path.removesuffix(REGISTRATION_PATH)
    return None


def _saves_always(request: HttpRequest) -> bool:
    name, saves_always = _cookie.look()
    return saves_always and name in request.COOKIES


def _host_of(request: HttpRequest) -> str:
    """As the browser wrote it; a host that Django does not allow counts as another machine."""
    try:
        return request.get_host()
    except DisallowedHost:
        return ""


def problem_response(error: SessileError) -> HttpResponse:
    """The whole response."""
    log_fault(error)
    response = HttpResponse(msgspec.json.encode(problem_body(error)), status=error.http_status, content_type=MEDIA_TYPE)
    for name, value in problem_headers(error).items():
        response[name] = value
    return response


def _scope_of(request: HttpRequest) -> Scope:
    """What of a request decides about its session."""
    meta = request.META
    headers = [
        (raw, value.encode("latin-1", "replace")) for name, raw in _HEADERS if (value := meta.get(name)) is not None
    ]
    return {
        "type": "http",
        "method": request.method,
        "path": request.path,
        "headers": headers,
        COOKIES_KEY: request.COOKIES,
        USER_AGENT_KEY: meta.get("HTTP_USER_AGENT"),
        BROWSER_KEY: (meta.get("HTTP_USER_AGENT"), meta.get("HTTP_ACCEPT_LANGUAGE")),
        "client": (meta.get("REMOTE_ADDR"), 0),
    }


def _remember_error(*, request: HttpRequest | None = None, **_named: Any) -> None:
    """An error of ours in another middleware, which Django turns into a plain 500 before we see it."""
    error = sys.exc_info()[1]
    if isinstance(error, SessileError) and request is not None:
        setattr(request, _ERROR, error)


got_request_exception.connect(_remember_error)


def session_of(request: HttpRequest) -> SessionStore:
    """The session of a request, with its type. Does not count as a read. Raises ImproperlyConfigured where there is no session middleware."""
    session = getattr(request, "session", None)
    if not isinstance(session, SessionStore):
        raise ImproperlyConfigured(
            f'{ENGINE}.SessionMiddleware is not in MIDDLEWARE, or SESSION_ENGINE is not "{ENGINE}"'
        )
    return session
