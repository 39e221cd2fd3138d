"""A site under TLS whose sessions are bound to their devices, and a certificate that one Chromium trusts."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fastapi import Depends, FastAPI, WebSocket
from fastapi.responses import HTMLResponse

from sessile import Settings
from sessile.integrations.fastapi import CurrentSession, Sessile, require_fresh
from sessile.integrations.starlette import session_of
from sessile.runtime.manager import AsyncSessionManager
from sessile.web.binding import REFRESH_PATH
from tests.e2e.recording import recordings

HOSTS = ("app.test", "other.test")
_PAGE = """<!doctype html><title>Bound</title><p>{who}</p>
<img src="/pixel?1"><img src="/pixel?2"><img src="/pixel?3"><img src="/static/a"><script src="/static/b"></script>"""


class MovingClock:
    """The server's time, ahead of the browser's by what a test says."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class BoundSite:
    port: int
    spki: str
    """What Chromium's `--ignore-certificate-errors-spki-list` takes."""
    clock: MovingClock
    manager: AsyncSessionManager
    seen: list[dict[str, Any]] = field(default_factory=list)
    is_troubled: bool = False

    @property
    def origin(self) -> str:
        return f"https://{HOSTS[0]}:{self.port}"

    @property
    def other_origin(self) -> str:
        return f"https://{HOSTS[1]}:{self.port}"

    def asked(self) -> list[str]:
        """The paths that were asked for, files aside, since the last call."""
        seen, self.seen[:] = [str(entry["path"]) for entry in self.seen], []
        return [path for path in seen if not path.startswith("/static") and path != "/favicon.ico"]


@contextmanager
def bound_site(folder: Path, port: int, **settings: Any) -> Iterator[BoundSite]:
    """It runs in a thread of its own."""
    certificate, key, spki = _make_certificate(folder)
    clock = MovingClock()
    url = f"sqlite:///{folder / 'sessile.db'}"
    manager = AsyncSessionManager(Settings(database_url=url, dbsc=True, **settings), clock=clock)
    site = BoundSite(port, spki, clock, manager)
    config = uvicorn.Config(
        _watched(_application(manager), site), host="127.0.0.1", port=port, ssl_certfile=str(certificate),
        ssl_keyfile=str(key), log_level="error",
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < until, "the site did not start"
        time.sleep(0.02)
    try:
        yield site
    finally:
        server.should_exit = True
        thread.join(30)
        recordings.add_server(folder)


def _application(manager: AsyncSessionManager) -> FastAPI:
    app = FastAPI()
    Sessile(app, manager)

    @app.get("/")
    async def page(session: CurrentSession) -> HTMLResponse:
        return HTMLResponse(_PAGE.format(who=session.user_id or f"nobody: {session.reason}"))

    @app.post("/login")
    async def login(session: CurrentSession) -> dict[str, Any]:
        await session.login("ada")
        return {"handle": session.handle}

    @app.post("/logout")
    async def logout(session: CurrentSession) -> None:
        await session.logout()

    @app.get("/who")
    @app.get("/pixel")
    async def who(session: CurrentSession) -> dict[str, Any]:
        return {"user": session.user_id, "bound": session.is_bound, "reason": session.reason}

    @app.get("/static/{name}")
    async def static(name: str) -> HTMLResponse:
        return HTMLResponse("")

    @app.get("/fresh", dependencies=[Depends(require_fresh(3600))])
    async def fresh() -> None:
        return None

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        session = session_of(websocket)
        await websocket.accept()
        await websocket.send_text(f"{session.user_id} {session.is_bound}")
        await websocket.close()

    return app


def _watched(app: FastAPI, site: BoundSite) -> Any:
    async def watched(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            site.seen.append({"path": scope["path"], "headers": headers})
            if site.is_troubled and scope["path"] == REFRESH_PATH:
                await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
                await send({"type": "http.response.body", "body": b""})
                return
        await app(scope, receive, send)

    return watched


def _make_certificate(folder: Path) -> tuple[Path, Path, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOSTS[0])])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=2))
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    certificate_file, key_file = folder / "site.crt", folder / "site.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    no_password = serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password))
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return certificate_file, key_file, base64.b64encode(hashlib.sha256(public).digest()).decode("ascii")
