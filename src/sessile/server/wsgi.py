"""The API in front of a WSGI application (PEP 3333): its paths are answered by the service on its thread, all others go on to the application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec

from sessile.model.errors import SessileError
from sessile.server.limits import BODY_BYTES_MAX
from sessile.server.paths import owns_path
from sessile.server.refusals import LivePushUnavailable
from sessile.server.threaded import Answer, ServiceThread
from sessile.web.problems import MEDIA_TYPE, log_fault, problem_body, problem_headers
from sessile.web.wsgi import scope_of

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_SOCKETS: Final = ("/ws",)
_FIRST: Final = ("/api/", "/ws", "/sessile.js")


class WsgiFront:
    """`service` gives the thread when it is first needed."""

    def __init__(self, app: WsgiApp, service: Callable[[], ServiceThread]) -> None:
        self.app = app
        self._service = service

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        # Nearly every request ends here; what looks like ours is then judged by the one rule.
        if not path.startswith(_FIRST) or not owns_path(path):
            return self.app(environ, start_response)
        return answer_wsgi(self._service(), environ, start_response)


def answer_wsgi(service: ServiceThread, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The whole response to a request for one of the service's paths. What would have to stay open (a socket, a stream of events) is refused, so that the client
    asks now and then instead."""
    try:
        if is_push(service, environ.get("PATH_INFO", "")):
            raise LivePushUnavailable
        answer = service.answer(scope_of(environ), _body_of(environ))
    except SessileError as error:
        if not isinstance(error, LivePushUnavailable):  # every page asks for it now and then, and nothing is wrong
            log_fault(error)
        answer = problem_answer(error)
    head = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]
    start_response(_status_line(answer.status), head)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


def is_push(service: ServiceThread, path: str) -> bool:
    """Whether the path, without a mount prefix, is one whose answer does not end."""
    return service.is_stream(path) or path in _SOCKETS or path.startswith("/ws/")


def problem_answer(error: SessileError) -> Answer:
    """An error as a whole response."""
    body = msgspec.json.encode(problem_body(error))
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem_headers(error)}
    return Answer(error.http_status, [(name.encode(), value.encode()) for name, value in headers.items()], body)


def _body_of(environ: dict[str, Any]) -> bytes:
    """One byte more than is allowed at most: then the service refuses it. A server that hands chunks on says where they end (`wsgi.input_terminated`)."""
    announced = environ.get("CONTENT_LENGTH") or ""
    if announced.isdigit():
        count = min(int(announced), BODY_BYTES_MAX + 1)
    elif environ.get("wsgi.input_terminated"):
        count = BODY_BYTES_MAX + 1
    else:
        return b""
    parts = []
    while count > 0 and (part := environ["wsgi.input"].read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Unknown"
