"""Commands of one version or another, as an operator runs them beside the nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[2] / "src"
"""Where this version is."""


def sessile(package: Path, *words: str, url: str) -> tuple[int, Any]:
    """A command of the version in `package`, with --json: its status and what it said."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SESSILE_")}
    done = subprocess.run(
        [sys.executable, "-m", "sessile.cli.main", *words, "--database", url, "--json"],
        env={**clean, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or json.dumps({"error": done.stderr}))
