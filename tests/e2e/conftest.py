"""Chromium, the demo as a process, devices in front of it; and what is kept of a test that failed."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, expect, sync_playwright

from tests.architecture.tree import ROOT
from tests.conftest import find_binary
from tests.e2e.cut_proxy import CutProxy
from tests.e2e.recording import Recording, recordings
from tests.e2e.served import Served, demo_at, free_port
from tests.e2e.tabs import Device, Tab, new_context, wait_equal

RESULTS = ROOT / "test-results"
IS_SOAK = os.environ.get("SESSILE_SOAK") == "1"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-features=Translate,MediaRouter,OptimizationHints",
    "--in-process-gpu",
]
"""What a test does not look at costs a third of what a browser does here."""
HANDS_OUT_SECRETS = frozenset({"test_handoff", "test_logins"})
"""Modules whose answers are kept whole also in the ordinary run; of all others addresses, headers and frames are. A sixth of a test's CPU goes into that."""
IS_TRACED = IS_SOAK or os.environ.get("SESSILE_TRACE") == "1"
"""Whether a failed test leaves a trace beside its screenshots."""
_FAILED = pytest.StashKey[bool]()

expect.set_options(timeout=15_000)


@pytest.fixture(scope="module", autouse=True)
def _no_secret_is_told() -> Iterator[None]:
    """When the last server of a module has ended, all that was recorded in it is searched for secrets."""
    recordings.begin()
    yield
    assert recordings.findings() == []


@pytest.fixture(scope="module")
def browser(require: Callable[[str], str]) -> Iterator[Browser]:
    """One Chromium for a module. Ended with it: while Playwright runs, no other test could run an event loop in this thread.

    Outside the soak it is Chromium's headless shell where there is one: the same engine at two thirds of the CPU, without what shows tabs to people.
    Whoever asks for that (what is hidden or frozen, the back-forward cache, bound devices) launches the whole browser, see lifecycle.py."""
    shell = None if IS_SOAK or "CHROMIUM" in os.environ else find_binary("chromium-headless-shell")
    executable = shell or require("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One demo for a module; every test signs in as a person of its own."""
    with demo_at(tmp_path_factory.mktemp("demo")) as server:
        yield server


@pytest.fixture
def person(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses, and that other people's names can be made of."""
    words = re.sub(r"\W+", " ", request.node.name.removeprefix("test_"))
    return f"{words[:24].strip()} {zlib.crc32(request.node.nodeid.encode()):08x}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report: pytest.TestReport = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


@pytest.fixture
def new_device(request: pytest.FixtureRequest, browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Device]]:
    """`new_device(origin)` is a browser profile of its own. When the test fails, its screenshots (SESSILE_TRACE=1: and its trace) stay in
    test-results/. A page on which a script failed, or that broke its own policy, fails the test."""
    made: list[Device] = []

    def new(origin: str, **options: Any) -> Device:
        label = f"device-{len(made) + 1}"
        recording = Recording(tmp_path, f"{re.sub(r'[^a-z0-9]+', '_', request.node.name)[:60]} {label}")
        is_whole = IS_SOAK or request.path.stem in HANDS_OUT_SECRETS
        context = new_context(browser, **(recording.options if is_whole else {}), **options)
        recording.follow(context)
        if not is_whole:
            recording.follow_answers(context)
        if IS_TRACED:
            context.tracing.start(name=request.node.name)
        made.append(Device(context, origin, label, recording))
        return made[-1]

    yield new
    failed = request.node.stash.get(_FAILED, False)
    folder = RESULTS / re.sub(r"\W+", "-", request.node.nodeid.removeprefix("tests/e2e/"))
    for device in made:
        if failed:
            _keep(device, folder)
        device.close()
    if not failed:
        assert [problem for device in made for problem in device.problems] == []


@pytest.fixture
def four_tabs(new_device: Callable[..., Device], person: str) -> Callable[..., list[Tab]]:
    """`four_tabs(origin)`, or one origin for each device: two devices of one person, two tabs each, all synchronized."""

    def open_tabs(origin: str, other_origin: str | None = None) -> list[Tab]:
        first, second = new_device(origin), new_device(other_origin or origin)
        tabs = [first.sign_in(person), first.open_tab(), second.sign_in(person), second.open_tab()]
        wait_equal(tabs)
        return tabs

    return open_tabs


def _keep(device: Device, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, tab in enumerate(device.tabs, 1):
        with suppress(Error):  # a tab that crashed has no picture, and the test's own failure is what counts
            tab.page.screenshot(path=folder / f"{device.label}-tab-{number}.png", timeout=5000)
    if IS_TRACED:
        device.context.tracing.stop(path=folder / f"{device.label}.zip")
    if device.problems:
        (folder / f"{device.label}-problems.txt").write_text("\n".join(device.problems))


@pytest.fixture
def new_proxy() -> Iterator[Callable[..., CutProxy]]:
    """`new_proxy(server)` is a network in front of a server that a test can cut."""
    made: list[CutProxy] = []

    def new(server: Served, *, blocks_sockets: bool = False) -> CutProxy:
        made.append(CutProxy(server.port, free_port(), blocks_sockets=blocks_sockets))
        return made[-1]

    yield new
    for proxy in made:
        proxy.close()
