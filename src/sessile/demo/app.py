"""The demo as an application of its own: what a user of Sessile would write, in one file, plus pages."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import unicodedata
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel
from starlette.staticfiles import StaticFiles

from sessile.demo.gaps import find_gaps
from sessile.demo.headers import PageHeaders
from sessile.demo.insurers import entries_of, insurer_of
from sessile.demo.report import NAME, POLICIES, STEPS, first_state, is_report
from sessile.demo.watcher import GapWatcher
from sessile.integrations.fastapi import CurrentSession, Sessile, WebSession, require_same_origin, require_user
from sessile.model.document import CheckpointKind, Document, Operation
from sessile.model.errors import ChangeRejected, DocumentNotFound
from sessile.model.wire import iso
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.server.serving import run as serve
from sessile.web.cookie_names import is_this_machine

PAGES: Final = Path(__file__).parent / "pages"
DATABASE: Final = "sqlite:///sessile-demo.db"
NAME_LENGTH_MAX: Final = 40
_QUICK: Final = {"ping_interval_s": 5.0, "ping_timeout_s": 5.0}
"""A demo is about cut connections: they are noticed after some seconds instead of half a minute."""


class SignIn(BaseModel):
    name: str


def create_app(settings: Settings | None = None) -> FastAPI:
    """The demo's ASGI application; without settings those of the environment. Raises ConfigurationError."""
    given = (settings or Settings()).model_dump(exclude_unset=True)
    app = FastAPI(title="Sessile demo", openapi_url=None, lifespan=_watching)
    Sessile(app, **{**_QUICK, **given, "document_policies": POLICIES, "handoff_path": "/"})
    app.add_middleware(PageHeaders)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.mount("/demo", StaticFiles(directory=PAGES), name="pages")
    _add_pages(app)
    _add_report(app)
    return app


def manager_of(app: FastAPI) -> AsyncSessionManager:
    """The facade behind the demo."""
    sessile: Sessile = app.state.sessile
    return sessile.manager


@asynccontextmanager
async def _watching(app: FastAPI) -> AsyncIterator[None]:
    watcher = asyncio.create_task(GapWatcher(manager_of(app)).run(), name="demo-gaps")
    try:
        yield
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher


async def _malformed(_request: Request, _error: Exception) -> Response:
    """Without the input: it may hold what no JSON response can carry."""
    return problem(422, "invalid_request", "The request is not what this address expects.")


def problem(status: int, code: str, detail: str, **more: Any) -> JSONResponse:
    """A refusal of the demo's own, in the shape that Sessile's have (RFC 9457)."""
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail, "message": detail, **more}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def _add_pages(app: FastAPI) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/")
    async def page(session: CurrentSession, document: str | None = None) -> Response:
        """The report for who has signed in, made on first sight, or the copy that `document` names; else the way to sign in."""
        if not session.is_authenticated:
            return FileResponse(PAGES / "sign-in.html")
        report = await report_named(session, document)
        if report is None:
            return RedirectResponse("/", 303)
        if document not in (None, report.name):
            return RedirectResponse(f"/?document={quote(report.name, safe='')}", 303)
        with contextlib.suppress(ChangeRejected):  # another page or the watcher looks at this very moment
            await GapWatcher(manager_of(app)).look(report.document_id)
        return FileResponse(PAGES / "workspace.html")

    @app.post("/sign-in", dependencies=[Depends(require_same_origin)])
    async def sign_in(wanted: SignIn, session: CurrentSession) -> Response:
        """No password: whoever types a name is that person. An application checks one here."""
        name = display_name(wanted.name)
        if name is None:
            return problem(422, "invalid_name", f"A name has 1 to {NAME_LENGTH_MAX} letters, digits or signs.")
        user_id = f"demo:{name.casefold()}"
        await manager_of(app).sync_platforms(user_id, entries_of(user_id))
        await session.login(user_id, public={"name": name})
        return JSONResponse({"name": name})

    @app.post("/sign-out", dependencies=[Depends(require_same_origin)])
    async def sign_out(session: CurrentSession) -> dict[str, bool]:
        return {"ended": await session.logout()}


def _add_report(app: FastAPI) -> None:
    @app.post("/report/submit", dependencies=[Depends(require_same_origin), Depends(require_user)])
    async def submit(session: CurrentSession, document_id: str | None = None) -> Response:
        """Sends the report, or a copy, to the insurer that the session works for, if nothing that is needed is missing. Again is no harm:
        it is sent once."""
        document = await report_named(session, document_id)
        if document is None:
            raise DocumentNotFound
        sent = submission_of(document)
        if sent is not None:
            return JSONResponse(sent)
        now = manager_of(app).clock.now()
        missing = [gap for gap in find_gaps(document.state, now.date(), everything=True) if gap["required"]]
        if missing:
            return problem(409, "report_incomplete", "Something that is needed is missing.", gaps=missing)
        insurer = await insurer_of(manager_of(app), session.require_user(), session.platform_id)
        sent = {
            "number": f"IR-{document.document_id[-6:].upper()}",
            "at": iso(now),
            "to": insurer.name if insurer is not None else None,
        }
        operations: list[Operation] = [
            {"op": "test", "path": "/context/submitted", "exists": False},
            {"op": "set", "path": "/context/submitted", "value": sent},
        ]
        await session.documents.change(document.document_id, operations)
        await session.documents.checkpoint(
            document.document_id, label=f"Sent as {sent['number']}", kind=CheckpointKind.STEP, step=len(STEPS)
        )
        return JSONResponse(sent)


async def report_named(session: WebSession, named: str | None) -> Document | None:
    """The person's report, made if need be; or the copy of that name or id, None when there is none."""
    if named is None:
        return await session.documents.open(NAME, default=first_state())
    for document in await session.documents.list():
        if named in (document.name, document.document_id) and is_report(document.name):
            return document
    return None


def display_name(text: str) -> str | None:
    """The name as it is shown, with single spaces; None when it is none."""
    name = " ".join(unicodedata.normalize("NFKC", text).split())
    return name if 0 < len(name) <= NAME_LENGTH_MAX and name.isprintable() else None


def submission_of(document: Document) -> dict[str, Any] | None:
    """Number and moment of a report that was sent."""
    context = document.state.get("context")
    sent = context.get("submitted") if isinstance(context, dict) else None
    return sent if isinstance(sent, dict) else None


def run(host: str = "127.0.0.1", port: int = 8000, database: str | None = None, *, open_browser: bool = False) -> None:
    """Serves the demo until it is stopped, and prints its address. On a host that others can reach the session cookie goes over plain
    http, with a warning. Raises ConfigurationError when the address cannot be listened on."""
    is_local = is_this_machine(f"[{host}]" if ":" in host else host)
    settings = demo_settings(database, insecure_lan=not is_local)
    app = create_app(settings)
    sessile: Sessile = app.state.sessile

    def started(at_host: str, at_port: int) -> None:
        sys.stdout.write(told(at_host, at_port, settings))
        sys.stdout.flush()
        if open_browser:
            threading.Thread(target=webbrowser.open, args=(addresses(at_host, at_port)[0],), daemon=True).start()

    serve(app, host=host, port=port, drain=sessile.drain, trusted_proxies=settings.trusted_proxies, on_started=started)


def demo_settings(database: str | None, *, insecure_lan: bool) -> Settings:
    """Settings of the environment with the demo's own database file, unless one is named here or there."""
    given = Settings().model_dump(exclude_unset=True)
    if database is not None:
        given["database_url"] = database
    return Settings(**{"database_url": DATABASE, **given, **({"insecure_lan": True} if insecure_lan else {})})


def addresses(host: str, port: int) -> list[str]:
    """Where a browser finds it: on this machine first, then the address for other devices when it listens on all of them."""
    if host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not listened on
        return [f"http://{f'[{host}]' if ':' in host else host}:{port}"]
    own = own_address()
    return [f"http://127.0.0.1:{port}", *([f"http://{own}:{port}"] if own is not None else [])]


def own_address() -> str | None:
    """This machine's address in its network; None without one. Nothing is sent: connecting a datagram socket only picks a route
    (192.0.2.1 is for documentation, RFC 5737)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") else address


def told(host: str, port: int, settings: Settings) -> str:
    """What the terminal says when the demo has started."""
    local, *others = addresses(host, port)
    prefix = "sqlite:///"
    url = settings.database_url
    kept = str(Path(url.removeprefix(prefix)).resolve()) if url.startswith(prefix) else "memory only"
    lines = ["", "  Sessile demo", "", f"  address   {local}"]
    lines += [f"  phone     {other}" for other in others]
    lines += [f"  data      {kept}", "  stop      Ctrl+C (kill -9 is fine, too)", ""]
    if settings.insecure_lan:
        lines += ["  Plain http on a network: whoever shares it can read what is typed and take the session over.", ""]
    return "\n".join(lines) + "\n"
