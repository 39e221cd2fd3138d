"""Nodes that are processes of their own, as a test sees them: to be killed, stopped, continued."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final, Self

from sessile.model.document import Actor
from tests.faults.history import Call, History
from tests.faults.load import Person, Station

ROOT: Final = Path(__file__).parents[2]
_ENDS_WITHIN_S: Final = 20.0


class ProcessNode:
    """`history` has what it has said. Started by `with`; killed at its end when it has not ended yet."""

    def __init__(
        self,
        lane: str,
        name: str,
        settings: Mapping[str, Any],
        people: Sequence[Person] = (),
        *,
        only_reads: bool = False,
    ) -> None:
        config = {
            "lane": lane, "name": name, "settings": dict(settings), "people": [astuple(one) for one in people],
            "only_reads": only_reads,
        }  # fmt: skip
        self.name = name
        self.history = History(period_s=settings["fence_period_s"])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.process_node", json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._ready = threading.Event()
        self._told: dict[str, Any] = {}
        self._reader = threading.Thread(target=self._hear, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.resume()
            self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self) -> None:
        """Returns when it serves from the cache."""
        assert self._ready.wait(_ENDS_WITHIN_S), f"{self.name} was not ready within {_ENDS_WITHIN_S:g} s"

    @property
    def station(self) -> Station:
        """What it wrote to, for reading it back."""
        actor = Actor(user_id=self._told["user"])
        return Station(None, Person(*self._told["writer"]), self._told["document"], actor, random.Random())  # type: ignore[arg-type]

    def end(self) -> None:
        """Ends it in order."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._over()
        assert self._process.returncode == 0, f"{self.name} ended with {self._process.returncode}"

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._over()

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _over(self) -> None:
        self._process.wait(_ENDS_WITHIN_S)
        self._reader.join(_ENDS_WITHIN_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith("\n"):
                return  # it was killed in the middle of a word
            told = json.loads(line)
            if isinstance(told, list):
                self.history.calls.append(Call(*told))
            elif "began" in told:
                self.history.end_began.setdefault(*told["began"])
            elif "returned" in told:
                self.history.end_returned.setdefault(*told["returned"])
            elif "ready" in told:
                self._ready.set()
            else:
                self._told = told


def merge(into: History, *others: History) -> None:
    """As if one process had seen all of it."""
    for other in others:
        into.calls += other.calls
        into.end_began |= other.end_began
        into.end_returned |= other.end_returned
    into.calls.sort(key=lambda call: call.began)
