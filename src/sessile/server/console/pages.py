"""What of the console is a page: the login, which needs no JavaScript, the shell of the application, and its files."""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qs, quote

from starlette.responses import RedirectResponse, Response

from sessile.model.errors import AuthenticationRequired, SessileError, TooManyTries
from sessile.server.refusals import FrameTooLarge, MalformedFrame, NoSuchPage
from sessile.server.routes.bundle import takes_gzip
from sessile.web.asgi import Receive, Scope
from sessile.web.problems import NO_STORE

FORM_BYTES_MAX: Final = 8 * 1024
_NEXT: Final = re.compile(r"[\w/?=&%.:,~+-]{0,800}", re.ASCII)
_FILE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,80}", re.ASCII)
_TYPES: Final = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "map": "application/json",
    "txt": "text/plain; charset=utf-8",
}
_LOGIN_CSP: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_TOLD: Final = {
    "ended:used": "This token was used already. Make another one.",
    "ended:revoked": "This token was taken back.",
    "expired:idle": "This token is too old. Make another one.",
    "expired:absolute": "This token is too old. Make another one.",
}
_UNKNOWN: Final = "This token is not known."
_PERMISSIONS: Final = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


def shell(scope: Scope) -> Response:
    """The page that loads the console, whatever address below `/console/` was asked for."""
    body = (
        '<div id="console"></div><noscript><main class="signin"><h1>Sessile</h1><p>The console needs JavaScript. '
        "On the command line there is <code>sessile sessions</code>.</p></main></noscript>"
        '<script type="module" src="static/console.js"></script>'
    )
    return _page(scope, body, csp=_PAGE_CSP, stylesheet="console.css")


def login(scope: Scope, *, going_on: str = "", error: SessileError | None = None) -> Response:
    """The form that takes a token."""
    told, status, headers = "", 200, dict[str, str]()
    if error is not None:
        status = error.http_status
        told = f'<p class="error" role="alert">{escape(_told(error))}</p>'
        if error.retry_after_s:
            headers["retry-after"] = str(error.retry_after_s)
    body = (
        '<main class="signin"><h1>Sessile console</h1>'
        f'{told}<form method="post" action="login"><input type="hidden" name="next" value="{escape(checked_next(going_on))}">'
        '<label for="token">Token</label><input id="token" name="token" type="password" autocomplete="off" autocapitalize="none" spellcheck="false" required autofocus>'
        '<button>Sign in</button></form><p class="hint">Make one on the server, good once and for 15 minutes:</p>'
        "<pre>sessile operators token --name ada --role operator</pre></main>"
    )
    return _page(scope, body, csp=_LOGIN_CSP, stylesheet="signin.css", status=status, headers=headers)


def _told(error: SessileError) -> str:
    if isinstance(error, AuthenticationRequired):
        return _TOLD.get(error.reason, _UNKNOWN)
    if isinstance(error, TooManyTries):
        return "Too many tries from here. Wait some minutes."
    return error.message


def _page(
    scope: Scope, body: str, *, csp: str, stylesheet: str, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    base = escape(f"{scope.get('root_path', '')}/console/")
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><base href="{base}"><title>Sessile console</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<link rel="icon" href="static/icon.svg"><link rel="stylesheet" href="static/{stylesheet}"></head><body>{body}</body></html>'
    )
    sent = {
        "content-security-policy": csp,
        "cache-control": NO_STORE,
        "referrer-policy": "same-origin",  # with no-referrer a browser says `Origin: null` for the form
        "permissions-policy": _PERMISSIONS,
        "x-frame-options": "DENY",
        **(headers or {}),
    }
    return Response(text, status_code=status, headers=sent, media_type="text/html")


def checked_next(going_on: str) -> str:
    """A path below `/console/`, or nothing: never another place."""
    is_own = _NEXT.fullmatch(going_on) is not None and ".." not in going_on
    return going_on.lstrip("/") if is_own else ""


def quoted(text: str) -> str:
    """For a query."""
    return quote(text, safe="/")


def redirect(scope: Scope, to: str) -> RedirectResponse:
    """To a path below `/console/`."""
    return RedirectResponse(
        f"{scope.get('root_path', '')}/console/{to}", status_code=303, headers={"cache-control": NO_STORE}
    )


async def form(scope: Scope, receive: Receive) -> dict[str, str]:
    """The login form's fields. Raises MalformedFrame, FrameTooLarge."""
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    if len(types) != 1 or types[0].split(b";", 1)[0].strip().lower() != b"application/x-www-form-urlencoded":
        raise MalformedFrame("Send the form of the login page.")
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > FORM_BYTES_MAX:
            raise FrameTooLarge("The form is larger than a token.")
        if message["type"] != "http.request" or not message.get("more_body", False):
            break
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=10, strict_parsing=bool(body))
    except ValueError:
        raise MalformedFrame("Send the form of the login page.") from None
    return {name: values[0] for name, values in fields.items()}


@cache
def _file(name: str) -> tuple[bytes, bytes, str]:
    content = files("sessile.server.console").joinpath("static", name).read_bytes()
    return content, gzip.compress(content, compresslevel=9, mtime=0), hashlib.sha256(content).hexdigest()[:16]


def static(name: str, if_none_match: str, accept_encoding: str) -> Response:
    """One of the console's own files. Raises NoSuchPage."""
    kind = _TYPES.get(name.rpartition(".")[2])
    if kind is None or _FILE.fullmatch(name) is None:
        raise NoSuchPage
    try:
        plain, packed, tag = _file(name)
    except (FileNotFoundError, IsADirectoryError):
        raise NoSuchPage("The console has not been built: npm run build in clients/browser.") from None
    is_packed = takes_gzip(accept_encoding)
    etag = f'"{tag}-gzip"' if is_packed else f'"{tag}"'
    headers = {
        "etag": etag,
        "cache-control": "public, no-cache",
        "vary": "accept-encoding",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    }
    if etag in if_none_match:
        return Response(status_code=304, headers=headers)
    if is_packed:
        headers["content-encoding"] = "gzip"
    return Response(packed if is_packed else plain, headers=headers, media_type=kind)
