"""The program of an engine in a process of its own."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sessile.testing.servers import ServerProcess
from sessile.testing.torture.engines import APPLICATIONS


class Application(ServerProcess):
    """The program of an engine, run by the interpreter that has its library."""

    def __init__(self, python: Path, program: Path, arguments: Sequence[str]) -> None:
        super().__init__()
        self._given = [
            str(python),
            "-u",
            str(APPLICATIONS / "runner.py"),
            str(program.resolve()),
            "--folder",
            str(self.folder),
            *arguments,
        ]

    def add(self, *arguments: str) -> None:
        """Arguments for its next start."""
        self._given += arguments

    @property
    def about(self) -> Mapping[str, Any]:
        """What the program tells of itself: `versions` and `abilities`."""
        told: Mapping[str, Any] = json.loads((self.folder / "about.json").read_text(encoding="utf-8"))
        return told

    def _command(self) -> Sequence[str]:
        return [*self._given, "--port", str(self.port)]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ignore", timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
