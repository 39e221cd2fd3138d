"""What the browsers of these tests send, get and keep, and what the servers behind them log and store: searched for secrets when a module is done.

A profile is recorded by Playwright as a HAR file (requests, answers, bodies; scripts and styles aside) and by its sockets' frames. Every HttpOnly cookie is a
secret from the moment it is set, and each code and address of a hand-off; besides, whatever looks like a token is one.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, Response, WebSocket

from tests.secret_scan import TOKEN, found_in

COOKIE_LENGTH_MIN: Final = 20
_FILES: Final = re.compile(r"^(?!.*\.(?:js|css|svg|png|ico|map|woff2?)(?:\?|$)).*$")
_AUTHORIZATION: Final = re.compile(r'authorization="[^"]*"')
_COOKIES: Final = frozenset({"cookie", "set-cookie"})
_SHOWN: Final = ("request body", "response body", "frame")
"""Where a code of a hand-off belongs: one page asks for it, another one gives it back."""


@dataclass(frozen=True)
class Piece:
    """A part of what was recorded. `kind` is what sort of place it is."""

    kind: str
    where: str
    content: bytes


@dataclass
class Secrets:
    """By their names."""

    tokens: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)

    def keep_cookie(self, where: str, name: str, value: str) -> None:
        secret = value.rpartition(".")[2]
        if len(secret) >= COOKIE_LENGTH_MIN and secret not in self.tokens.values():
            self.tokens[f"cookie {name} of {where} ({len(self.tokens)})"] = secret

    def keep_handoff(self, where: str, answer: dict[str, Any]) -> None:
        for name, secret in (("code", answer.get("code")), ("address", urlsplit(str(answer.get("url", ""))).fragment)):
            if secret:
                self.codes[f"hand-off {name} of {where} ({len(self.codes)})"] = str(secret)

    def found(self, piece: Piece) -> list[str]:
        names = found_in(piece.content, self.tokens, with_hash=piece.kind != "row")
        if piece.kind not in _SHOWN:
            names |= found_in(piece.content, self.codes, with_hash=False)
        if not names and TOKEN.search(piece.content) is not None:
            names.add("something that looks like a token")
        return [f"{piece.where}: {name}" for name in sorted(names)]


class Recording:
    """One browser profile. `options` are for the context that is to be recorded."""

    def __init__(self, folder: Path, label: str) -> None:
        self.label = label
        self._har = folder / f"{label}.har"
        self._pieces: list[Piece] = []
        self._cookies: list[tuple[str, str]] = []

    @property
    def options(self) -> dict[str, Any]:
        return {"record_har_path": self._har, "record_har_content": "embed", "record_har_url_filter": _FILES}

    def follow(self, context: BrowserContext) -> None:
        for page in context.pages:
            self._follow_page(page)
        context.on("page", self._follow_page)

    def follow_answers(self, context: BrowserContext) -> None:
        """For a context that is not recorded as a HAR file, because that switches its cache off: addresses and headers, no bodies."""
        context.on("response", self._take_answer)

    def _take_answer(self, response: Response) -> None:
        where = f"{response.request.method} {urlsplit(response.url).path}"
        self._add("url", f"{where}: address", response.url)
        for kind, headers in (("request", response.request.headers), ("response", response.headers)):
            shown = _headers([{"name": name, "value": value} for name, value in headers.items()])
            self._add("header", f"{where}: {kind} headers", shown)

    def _follow_page(self, page: Page) -> None:
        page.on("websocket", self._follow_socket)

    def _follow_socket(self, socket: WebSocket) -> None:
        self._add("url", f"socket {socket.url}", socket.url)
        socket.on("framesent", lambda payload: self._add("frame", "frame sent", payload))
        socket.on("framereceived", lambda payload: self._add("frame", "frame received", payload))

    def _add(self, kind: str, where: str, content: str | bytes) -> None:
        raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        self._pieces.append(Piece(kind, f"{self.label}: {where}", raw))

    def look_before_the_end(self, context: BrowserContext) -> None:
        """Before the context is closed: its cookies are secrets, and what it keeps besides must have none."""
        kept = context.storage_state(indexed_db=True)
        self._cookies += [(one["name"], one["value"]) for one in kept["cookies"] if one["httpOnly"]]
        self._add("storage", "the browser's storage", json.dumps(kept["origins"]))

    def look_at_cookies(self, context: BrowserContext) -> None:
        """The same where opening another page would disturb what is tested: what is kept besides is not looked at."""
        self._cookies += [(one["name"], one["value"]) for one in context.cookies() if one["httpOnly"]]

    def take(self, secrets: Secrets) -> list[Piece]:
        """After the context was closed: all that was recorded. Adds to the secrets what was handed out."""
        for name, value in self._cookies:
            secrets.keep_cookie(self.label, name, value)
        if self._har.exists():
            for entry in json.loads(self._har.read_bytes())["log"]["entries"]:
                self._pieces += self._of_entry(entry, secrets)
            self._har.unlink()
        return self._pieces

    def _of_entry(self, entry: dict[str, Any], secrets: Secrets) -> Iterator[Piece]:
        request, response = entry["request"], entry["response"]
        where = f"{self.label}: {request['method']} {urlsplit(request['url']).path}"
        for cookie in (*request["cookies"], *response["cookies"]):
            secrets.keep_cookie(self.label, cookie["name"], cookie["value"])
        yield Piece("url", f"{where}: address", request["url"].encode())
        yield Piece("header", f"{where}: request headers", _headers(request["headers"]))
        yield Piece("header", f"{where}: response headers", _headers(response["headers"]))
        yield Piece("request body", f"{where}: request body", request.get("postData", {}).get("text", "").encode())
        body = _body(response["content"])
        yield Piece("response body", f"{where}: response body", body)
        if request["method"] == "POST" and request["url"].endswith("/handoff") and body.startswith(b"{"):
            secrets.keep_handoff(self.label, json.loads(body))


def _headers(headers: list[dict[str, str]]) -> bytes:
    shown = "\n".join(f"{one['name']}: {one['value']}" for one in headers if one["name"].lower() not in _COOKIES)
    # Of an offer to bind: a handle and a keyed hash. It looks like a token and is none, see `test_d1_...` in tests/integration/binding_rules.py.
    return _AUTHORIZATION.sub('authorization=""', shown).encode()


def _body(content: dict[str, Any]) -> bytes:
    text = content.get("text", "")
    return base64.b64decode(text) if content.get("encoding") == "base64" else text.encode("utf-8", "surrogatepass")


class Recordings:
    """All of a module."""

    def __init__(self) -> None:
        self.secrets = Secrets()
        self.pieces: list[Piece] = []

    def begin(self) -> None:
        """Another module."""
        self.secrets, self.pieces = Secrets(), []

    def add(self, recording: Recording) -> None:
        self.pieces += recording.take(self.secrets)

    def add_server(self, folder: Path) -> None:
        """What a server left in its folder: its log, and a database with its journal."""
        for file in sorted(folder.iterdir()):
            if file.suffix == ".log":
                self.pieces.append(Piece("log", f"log {file.name}", file.read_bytes()))
            elif ".db" in file.name:
                self.pieces.append(Piece("row", f"database {file.name}", file.read_bytes()))

    def findings(self) -> list[str]:
        """Each secret that is where it does not belong."""
        joined: dict[str, list[bytes]] = {}
        for piece in self.pieces:
            joined.setdefault(piece.kind, []).append(piece.content)
        suspicious = {
            kind for kind, contents in joined.items() if self.secrets.found(Piece(kind, kind, b"\n".join(contents)))
        }
        return [finding for piece in self.pieces if piece.kind in suspicious for finding in self.secrets.found(piece)]


recordings = Recordings()
"""Of the module under way: a server that ends adds its folder here."""
