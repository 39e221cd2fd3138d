"""Applications in process, one for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sessile.integrations.flask import session
from tests.integration.flask.site import Site, site


@pytest.fixture(params=["memory", "sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'sessile.db'}"


@pytest.fixture
def here() -> Iterator[Site]:
    """In memory, with the routes that most tests use."""
    with site() as made:
        yield with_routes(made)


def with_routes(made: Site) -> Site:
    app = made.app

    @app.post("/login/<name>")
    def login(name: str):
        session.login(name, public={"name": name})
        return ""

    @app.post("/logout")
    def logout():
        return {"ended": session.logout()}

    @app.post("/set/<key>/<value>")
    def put(key: str, value: str):
        session[key] = value
        return "saved"

    @app.get("/me")
    def me():
        return {"user": session.user_id, "data": dict(session), "reason": session.reason}

    @app.get("/quiet")
    def quiet():
        return "here"

    return made
