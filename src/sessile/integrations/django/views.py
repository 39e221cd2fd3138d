"""Sessile's API and browser client as views of Django: `urls.py` has their paths."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from sessile.integrations.django.middleware import problem_response
from sessile.integrations.django.service import Conversation, service_here, service_thread
from sessile.server.refusals import LivePushUnavailable
from sessile.server.threaded import Answer
from sessile.web.asgi import Scope
from sessile.web.wsgi import scope_of

RawHeaders = Iterable[tuple[bytes, bytes]]


@csrf_exempt
async def api(request: HttpRequest, path: str) -> HttpResponseBase:
    """Answered on this event loop under ASGI, by a thread of its own under WSGI. The service checks by itself where a request comes from."""
    root = request.path.removesuffix(path).rstrip("/")
    if isinstance(request, ASGIRequest):
        return await _answered(_mounted(request.scope, request, root), request.body)
    if service_thread().is_stream("/" + path):
        return problem_response(LivePushUnavailable())
    scope = _mounted(scope_of(request.META), request, root)
    # The loop that Django made for this view is there for nothing else, so nobody minds that it waits.
    return _whole(service_thread().answer(scope, request.body))


def _mounted(scope: Scope, request: HttpRequest, root: str) -> Scope:
    """Scheme and host are as Django's settings believe them. Raises DisallowedHost."""
    host = (b"host", request.get_host().encode("latin-1"))
    headers = [host, *((name, value) for name, value in scope["headers"] if name != b"host")]
    return {**scope, "scheme": request.scheme, "headers": headers, "root_path": root, "path": request.path}


async def _answered(scope: Scope, body: bytes) -> HttpResponseBase:
    conversation = Conversation(await service_here(), scope, body)
    start = await conversation.start()
    status, headers = start["status"], start.get("headers", ())
    if any(name == b"content-length" for name, _ in headers):
        return _whole(Answer(status, headers, b"".join([part async for part in conversation.rest()])))
    return _told(StreamingHttpResponse(conversation.rest(), status=status), headers)


def _whole(answer: Answer) -> HttpResponseBase:
    return _told(HttpResponse(answer.body, status=answer.status), answer.headers)


def _told(response: HttpResponseBase, headers: RawHeaders) -> HttpResponseBase:
    del response["Content-Type"]
    for name, value in headers:
        text = value.decode("latin-1")
        if name.lower() == b"set-cookie":
            response.cookies.load(text)
        else:
            response[name.decode("latin-1")] = text
    return response
