"""TypeScript programs of the browser client, bundled and run by node; also with a change to its source, for planted errors."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conftest import find_binary

CLIENT = Path(__file__).resolve().parents[2] / "clients" / "browser"
ESBUILD = CLIENT / "node_modules" / ".bin" / "esbuild"


class Program:
    """A program of `clients/browser`, as one file that node runs."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle

    def run(
        self,
        arguments: Sequence[str] = (),
        *,
        lines: str = "",
        timeout_s: float = 600.0,
        environment: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Its lines. Raises AssertionError with what it said when it fails."""
        node = find_binary("node") or "node"
        done = subprocess.run(
            [node, str(self.bundle), *arguments],
            input=lines, capture_output=True, text=True, check=False, timeout=timeout_s, env={**os.environ, **(environment or {})},
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-4000:]}"
        return done.stdout.splitlines()

    def show(self, arguments: Sequence[str]) -> int:
        """Runs it in front of a person: everything it says, and its exit status."""
        return subprocess.run([find_binary("node") or "node", str(self.bundle), *arguments], check=False).returncode


def bundled(program: str, folder: Path, plant: tuple[str, str, str] | None = None) -> Program:
    """`program` is a path below `clients/browser`. A plant is a file of its source, a text in it that occurs once, and what stands there instead."""
    client = CLIENT
    if plant is not None:
        client = folder / "planted"
        for part in ("src", "test"):
            shutil.copytree(CLIENT / part, client / part)
        path, old, new = plant
        source = client / path
        text = source.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} has {text.count(old)} times: {old}"
        source.write_text(text.replace(old, new), encoding="utf-8")
    bundle = folder / f"{Path(program).stem}.mjs"
    command = (
        str(ESBUILD), str(client / program), "--bundle", "--platform=node", "--format=esm", "--log-level=error", f"--outfile={bundle}",
    )  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return Program(bundle)
