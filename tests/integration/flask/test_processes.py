"""The same results under threads, greenlets and several processes, also when the application was used before the fork."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from sessile.stores.sql.postgres import upgrade
from sessile.testing.servers import free_port
from sessile.testing.shows import shows_security
from tests.architecture.tree import ROOT
from tests.conftest import postgres_or_skip, redis_or_skip

pytestmark = pytest.mark.server
JSON = {"Content-Type": "application/json"}


@contextmanager
def served(kind: str, log: Path, **environment: str) -> Iterator[str]:
    """The shop's origin. The test is left out where the server is not installed."""
    if kind in {"gevent", "waitress"}:
        pytest.importorskip(kind)
    known = {name: value for name, value in os.environ.items() if not name.startswith("SESSILE_")}
    port = free_port()
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.flask.serving", kind, str(port)],
            cwd=ROOT,
            env={**known, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            assert process.stdout.readline() == b"ready\n", log.read_text()
            yield f"http://localhost:{port}"
        finally:
            process.stdin.close()
            if kind != "prefork":
                process.terminate()
            process.wait(20)
            process.stdout.close()


def visit(origin: str) -> set[int]:
    """What a shop must do, whoever serves it; the processes that answered."""
    with ExitStack() as stack:
        browser = stack.enter_context(httpx.Client(verify=False, base_url=origin, timeout=30))
        assert browser.get("/me").json()["data"] == {}
        assert not browser.cookies
        browser.post("/basket/first").raise_for_status()
        anonymous = browser.cookies["sessile"]

        def add(number: int) -> int:
            with httpx.Client(verify=False, base_url=origin, timeout=30, cookies={"sessile": anonymous}) as tab:
                return tab.post(f"/basket/{number}").status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(add, range(8))) == {200}
        basket = {"first": 1, **{str(number): 1 for number in range(8)}}
        browser.post("/login/ann").raise_for_status()
        assert browser.cookies["sessile"] != anonymous
        pids = set()
        for _ in range(8):
            with httpx.Client(verify=False, base_url=origin, timeout=30, cookies=browser.cookies) as tab:
                seen = tab.get("/me").json()
                assert (seen["user"], seen["data"]) == ("ann", {"basket": basket})
                pids.add(seen["pid"])
        state = browser.get("/api/session_state")
        assert (state.status_code, state.json()["user"]) == (200, {"id": "ann", "name": "ann"})
        opened = browser.put(
            "/api/v0/documents/by-name/intake", content=json.dumps({"default": {}}), headers={**JSON, "Origin": origin}
        )
        assert opened.status_code in {200, 201}, opened.text
        kept = browser.cookies["sessile"]
        browser.post("/logout").raise_for_status()
        for _ in range(4):
            with httpx.Client(verify=False, base_url=origin, timeout=30, cookies={"sessile": kept}) as tab:
                assert tab.get("/need").json()["reason"] == "ended:logout"
        return pids


def check_log(log: Path) -> None:
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("kind", ["waitress", "gevent", pytest.param("prefork", marks=pytest.mark.soak)])
def test_on_a_sqlite_file(tmp_path: Path, kind: str) -> None:
    log = tmp_path / "log"
    with served(kind, log, SESSILE_DATABASE_URL=f"sqlite:///{tmp_path / 's.db'}") as origin:
        pids = visit(origin)
    check_log(log)
    assert len(pids) == 1 if kind != "prefork" else len(pids) >= 2


@pytest.fixture(scope="module")
def shared() -> Iterator[dict[str, str]]:
    """PostgreSQL and Redis."""
    with ExitStack() as stack:
        postgres, redis = postgres_or_skip(), redis_or_skip()
        for server in (postgres, redis):
            stack.callback(server.close)
            server.start()
        url = postgres.create_database("shop")
        upgrade(url)
        yield {"SESSILE_DATABASE_URL": url, "SESSILE_REDIS_URL": redis.url()}


@pytest.mark.parametrize("kind", [pytest.param("waitress", marks=pytest.mark.soak), "prefork"])
def test_on_postgresql_and_redis(shared: dict[str, str], tmp_path: Path, kind: str) -> None:
    log = tmp_path / "log"
    with served(kind, log, **shared) as origin:
        visit(origin)
    check_log(log)


@shows_security("V-13")
def test_two_requests_at_once_keep_what_each_of_them_wrote(tmp_path: Path) -> None:
    """Both have loaded the session before either commits; the framework's usual way keeps one of the two."""
    log = tmp_path / "log"
    with (
        served("waitress", log, SESSILE_DATABASE_URL=f"sqlite:///{tmp_path / 's.db'}") as origin,
        httpx.Client(verify=False, base_url=origin, timeout=30) as browser,
        ThreadPoolExecutor(2) as pool,
    ):
        browser.post("/basket/first").raise_for_status()
        asked = [
            pool.submit(httpx.post, f"{origin}/meet/{sku}", cookies=dict(browser.cookies), timeout=30) for sku in "ab"
        ]
        assert [one.result().status_code for one in asked] == [200, 200]
        assert browser.get("/me").json()["data"] == {"basket": {"first": 1, "a": 1, "b": 1}}
