"""Ends the servers of a test run that could not do it: killed with -9, out of memory, its terminal closed.

Runs as a process of its own, by path and without the package, so that it starts at once. It is told on stdin, one JSON line each,
what was made and what is gone again. When that pipe ends, the run has ended, in whatever way, and what is left is ended, too.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PATIENCE_S = 5.0


def follow(lines: Iterable[str]) -> tuple[dict[int, tuple[int, str]], set[str]]:
    """What is left when the lines end: the stop signal and the birth of each process by its pid, and the folders."""
    processes: dict[int, tuple[int, str]] = {}
    folders: set[str] = set()
    for line in lines:
        told = json.loads(line)
        if "started" in told:
            processes[told["started"]] = (told["signal"], birth(told["started"]))
        elif "ended" in told:
            processes.pop(told["ended"], None)
        elif "made" in told:
            folders.add(told["made"])
        else:
            folders.discard(told["removed"])
    return processes, folders


def birth(pid: int) -> str:
    """When a process began, in ticks since boot: a pid alone may be somebody else's by now. Empty when that cannot be told."""
    facts = _facts(pid)
    return facts[19] if facts else ""


def end(processes: dict[int, tuple[int, str]]) -> None:
    """Stops them as an operator would, for shared memory and the like; after five seconds as the kernel would."""
    left = {pid: how for pid, (how, born) in processes.items() if birth(pid) == born}
    for pid, how in left.items():
        _send(pid, signal.SIGCONT)
        _send(pid, how)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and any(lives(pid) for pid in left):
        time.sleep(0.05)
    for pid in left:
        _send(pid, signal.SIGKILL)


def _facts(pid: int) -> list[str]:
    """What the kernel tells of a process behind its name; empty when it tells nothing."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def lives(pid: int) -> bool:
    """Whether there is such a process, and it is not dead and only waiting to be seen to."""
    # A run that ends in order waits for us, and cannot see to its dead children meanwhile.
    if _facts(pid)[:1] == ["Z"]:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _send(pid: int, how: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, how)


if __name__ == "__main__":
    processes_left, folders_left = follow(sys.stdin)
    end(processes_left)
    for folder in folders_left:
        shutil.rmtree(folder, ignore_errors=True)
