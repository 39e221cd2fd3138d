"""The prompt: what its verbs do, and what it survives."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from typing import Any

import pytest

from sessile.model.platform import PlatformEntry
from tests.integration.cli.conftest import Place

pytestmark = pytest.mark.server


def typed(place: Place, *lines: str) -> list[Any]:
    """What it answers, an answer a line; it ends well whatever was typed."""
    ran = place.run("console", "--yes", "--json", typed="".join(f"{line}\n" for line in lines))
    assert ran.status == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def test_each_verb_does_what_it_says(place: Place) -> None:
    with place.manager() as manager:
        manager.sync_platforms("Ada", [PlatformEntry(platform_id="Shop", name="Shop")])
    (made,), listed, platforms = typed(place, "create Ada Shop", "list", "platform Ada")
    assert (made["user"], made["platform"]) == ("Ada", "Shop"), "letter case is kept"
    assert [one["session"] for one in listed] == [made["session"]]
    assert [one["default"] for one in platforms] == [True]
    handle = made["session"]
    (got,), (valid,), (ended,), (after,) = typed(
        place, f"GET {handle}", f"validate {handle}", f"destroy {handle}", f"validate {handle}"
    )
    assert (got["user"], valid["live"], ended["ended"], after["live"]) == ("Ada", True, True, False)
    assert typed(place, "list Ada", "cleanup", "cookie", "quit", "list") == [[], [{"ended": 0}], []]
    assert len(typed(place, "help", "exit")[0]) == 10


def test_bad_input_is_answered_and_the_prompt_goes_on(sqlite: Place) -> None:
    answers = typed(
        sqlite,
        "nonsense",
        'get "',
        "get",
        "get a b",
        "get nothing",
        "",
        "create Ada Nowhere",
        "\x1b[31m",
        "__class__",
        "list",
    )
    assert all("error" in one for one in answers[:-1])
    assert len(answers) == 9
    assert answers[-1] == []


def test_ctrl_c_takes_back_a_line_and_ctrl_d_ends(sqlite: Place) -> None:
    control, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sessile.cli.main", "console"],
        stdin=terminal, stdout=terminal, stderr=terminal, env={**os.environ, **sqlite.environment}, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    shown = b""

    def wait_for(prompts: int, told: bytes = b"") -> None:
        nonlocal shown
        while shown.count(b"sessile> ") < prompts or told not in shown:
            assert select.select([control], [], [], 60)[0], shown
            shown += os.read(control, 1000)

    try:
        wait_for(1)
        while shown.count(b"sessile> ") < 2:
            process.send_signal(signal.SIGINT)
            # One between the prompt and the waiting for keys is seen with the next key only: then nothing comes, and it is sent again.
            while shown.count(b"sessile> ") < 2 and select.select([control], [], [], 10)[0]:
                shown += os.read(control, 1000)
        os.write(control, b"list\n")
        wait_for(3, b"None.")
        os.write(control, b"\x04")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait(60)
        os.close(control)
