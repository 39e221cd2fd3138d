"""What every test may use: coroutines as tests, seeded randomness, binaries that may be missing on a laptop but not in CI."""

from __future__ import annotations

import asyncio
import inspect
import os
import random
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from sessile.testing.servers import PostgresServer, RedisServer, ServerMissing
from tests.made_once import made_once
from tests.sqlite_template import copied_databases
from tests.virtual_time import VirtualTimeLoop

T = TypeVar("T")
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
SEED = int(os.environ.get("SESSILE_TEST_SEED", "20260401"))

# ci: the same examples in every run, so a failure is never somebody else's. soak: many, new ones each time; the
# failing one is printed and can be repeated.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100, print_blob=True)
settings.register_profile(
    "soak", deadline=None, max_examples=5_000, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

BINARIES = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "node": ("node",),
    "npm": ("npm",),
    "nginx": ("nginx", "/usr/sbin/nginx"),
}
"""Names under which a binary is found; one that is not listed is looked for under its own name."""


PACED = frozenset({"deployment", "e2e", "faults", "nodes", "soak"})


def pytest_report_header(config: pytest.Config) -> str:
    """The line that lets a run be repeated."""
    profile = os.environ.get("HYPOTHESIS_PROFILE", "ci")
    return f"sessile: SESSILE_TEST_SEED={SEED} HYPOTHESIS_PROFILE={profile} CI={IN_CI}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests look at the clock are spread evenly among the others, so that a run on several workers never has only such ones under way."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    among: list[tuple[float, list[pytest.Item]]] = []
    for paced in (True, False):
        chosen = [tests for path, tests in files.items() if PACED.isdisjoint(path.parts) is not paced]
        if paced:
            chosen.reverse()  # the soak is the longest
        among += [((number + 0.5) / len(chosen), tests) for number, tests in enumerate(chosen)]
    among.sort(key=lambda place: place[0])
    items[:] = [item for _, tests in among for item in tests]


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test on an event loop of its own. The contract suite's lanes, further down the tree, come first."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    loop_factory = VirtualTimeLoop if pyfuncitem.get_closest_marker("virtual_time") else None
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(pyfuncitem.obj(**arguments))
    return True


def find_binary(name: str) -> str | None:
    """Path of a binary, or None. An environment variable with the name in capitals (CHROMIUM) goes first."""
    named = os.environ.get(name.upper().replace("-", "_"))
    candidates = (named,) if named else BINARIES.get(name, (name,))
    return next((path for path in map(shutil.which, candidates) if path), None)


@pytest.fixture(scope="session")
def require() -> Callable[[str], str]:
    """`require("chromium")` returns the path. Missing: an error in CI, a skip that says so elsewhere."""

    def look(name: str) -> str:
        path = find_binary(name)
        if path is not None:
            return path
        if IN_CI:
            pytest.fail(f"{name} is not installed, and CI must not leave these tests out", pytrace=False)
        pytest.skip(f"not run: {name} is not installed here")

    return look


@pytest.fixture(scope="session", autouse=True)
def _copied_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with copied_databases(tmp_path_factory.mktemp("sqlite")), made_once():
        yield


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Randomness that is the same in every run of this test: SESSILE_TEST_SEED and the test's own name."""
    return random.Random(SEED ^ zlib.crc32(request.node.nodeid.encode()))


def server_or_skip(make: Callable[[], T]) -> T:
    """What `make` gives: servers that are not started yet. Missing: an error in CI, a skip that says so elsewhere."""
    try:
        return make()
    except ServerMissing as error:
        if IN_CI:
            pytest.fail(f"{error}, and CI must not leave these tests out", pytrace=False)
        pytest.skip(f"not run: {error}")


def postgres_or_skip() -> PostgresServer:
    """A server that is not started yet, see `server_or_skip`."""
    return server_or_skip(PostgresServer)


def redis_or_skip(**options: Any) -> RedisServer:
    """A server with the options of RedisServer that is not started yet, see `server_or_skip`."""
    return server_or_skip(lambda: RedisServer(**options))
