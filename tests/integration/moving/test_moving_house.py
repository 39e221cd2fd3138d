"""The whole move: an application with signed cookies is adopted, and who was logged in stays so."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from sessile.cli.main import app as commands

SOURCE = '''\
"""A shop."""

from fastapi import FastAPI, Request
from starlette.middleware.sessions import SessionMiddleware

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key="the old secret")


@app.post("/login/{name}")
async def login(name: str, request: Request) -> None:
    request.session["user_id"] = name
    request.session["cart"] = {"apples": 3}


@app.get("/who")
async def who(request: Request) -> dict[str, object]:
    return {"user": request.session.get("user_id"), "cart": request.session.get("cart")}
'''
ADA = {"user": "ada", "cart": {"apples": 3}}


def loaded(path: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


def browser(application: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://testserver")


async def test_who_was_logged_in_before_the_move_is_logged_in_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shop.py"
    path.write_text(SOURCE)
    async with browser(loaded(path, "shop_before")) as old:
        await old.post("/login/ada")
        assert (await old.get("/who")).json() == ADA
        cookies = dict(old.cookies)
    assert list(cookies) == ["session"]

    assert CliRunner().invoke(commands, ["adopt", str(tmp_path), "--yes"]).exit_code == 0
    assert "secret_key" not in path.read_text()
    for name, value in {
        "DATABASE_URL": f"sqlite:///{tmp_path}/sessile.db",
        "LEGACY_COOKIES": '{"session": "starlette-cookie"}',
        "LEGACY_SECRETS": "the old secret",
        "LEGACY_UNTIL": (datetime.now(UTC) + timedelta(days=14)).isoformat(),
    }.items():
        monkeypatch.setenv(f"SESSILE_{name}", value)
    application = loaded(path, "shop_after")
    try:
        async with browser(application) as new:
            first = await new.get("/who", headers={"cookie": f"session={cookies['session']}"})
            assert first.json() == ADA
            assert list(new.cookies) == ["sessile"]
            assert (await new.get("/who")).json() == ADA
        sessile = application.state.sessile
        (session,) = await sessile.manager.list_sessions("ada")
        assert session.user_id == "ada"
    finally:
        await application.state.sessile.manager.close()
