"""Chromium as people run it: pages that are hidden, frozen, or in the back-forward cache. Playwright's own launch makes every page look visible
and switches that cache off, so none of this could happen there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import BrowserContext, CDPSession, Error, Page, sync_playwright

from tests.e2e.recording import Recording, recordings

START_TIMEOUT_S = 60.0
_WORK = "ms => { const end = performance.now() + ms; while (performance.now() < end); }"


@contextmanager
def living_browser(executable: str, arguments: list[str]) -> Iterator[BrowserContext]:
    """The default profile of a Chromium of its own, with nothing pretended."""
    profile = Path(tempfile.mkdtemp(prefix="sessile-chromium-"))
    command = [executable, "--headless=new", *arguments, "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [*command, "about:blank"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{_port(process, profile)}"
        with sync_playwright() as playwright:
            browser = playwright.chromium.connect_over_cdp(address, no_defaults=True)
            context = browser.contexts[0]
            context.set_default_timeout(30_000)
            recording = Recording(profile, "living browser")
            recording.follow(context)
            recording.follow_answers(context)
            yield context
            with suppress(Error):
                recording.look_at_cookies(context)
            recordings.add(recording)
            with suppress(Error):
                browser.close()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(profile, ignore_errors=True)


def _port(process: subprocess.Popen[bytes], profile: Path) -> int:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "Chromium ended by itself"
        with suppress(FileNotFoundError, ValueError, IndexError):
            return int((profile / "DevToolsActivePort").read_text().splitlines()[0])
        time.sleep(0.02)
    raise AssertionError("Chromium did not start")


def freeze(page: Page) -> None:
    _life(page, "frozen")


def thaw(page: Page) -> None:
    _life(page, "active")


def _life(page: Page, state: str) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Page.setWebLifecycleState", {"state": state})
    session.detach()


def go_back(page: Page) -> None:
    """Through the history, and so out of the back-forward cache. (Playwright's `go_back` waits for a load that does not come then.)"""
    session = page.context.new_cdp_session(page)
    history = session.send("Page.getNavigationHistory")
    entry = history["entries"][history["currentIndex"] - 1]
    session.send("Page.navigateToHistoryEntry", {"entryId": entry["id"]})
    with suppress(Error):  # it belonged to the page that was left
        session.detach()


def renderer_pid(page: Page) -> int:
    """The process that runs a page. DevTools lists processes and does not say whose they are: so the page works for a moment, and the one that worked is it."""
    assert page.context.browser is not None
    session = page.context.browser.new_browser_cdp_session()
    for work_ms in (150, 300, 600, 1200, 2400, 2400):  # the machine may be busy with other things
        before = _renderers(session)
        page.evaluate(_WORK, work_ms)
        worked = sorted((cpu_s - before.get(pid, 0.0), pid) for pid, cpu_s in _renderers(session).items())
        (most_s, pid), second_s = worked[-1], worked[-2][0] if len(worked) > 1 else 0.0
        if most_s > work_ms / 10_000 and most_s > 3 * second_s:
            session.detach()
            return pid
    raise AssertionError(f"no process stands out among {_renderers(session)}")


def _renderers(session: CDPSession) -> dict[int, float]:
    """Seconds of CPU by process id."""
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return {one["id"]: one["cpuTime"] for one in processes if one["type"] == "renderer"}


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process of this test's own Chromium, halted in the middle of whatever it does: pages, workers, sockets."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
