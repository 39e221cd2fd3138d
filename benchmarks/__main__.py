"""`python -m benchmarks [--rounds N] [--seconds S] [--json]`"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import changes, sessions


def machine() -> dict[str, str | int | None]:
    """What the figures were measured on."""
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
    }


def table(title: str, rows: list[dict[str, Any]]) -> Table:
    shown = Table(title=title, title_justify="left")
    for name in rows[0]:
        shown.add_column(name, justify="left" if name == "variant" else "right")
    for row in rows:
        shown.add_row(*(str(value) for value in row.values()))
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each variant in each round")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    told = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        told.print(f"{arguments.rounds} rounds of {arguments.seconds} s for each variant, interleaved")
        http = sessions.measure(Path(folder), arguments.rounds, arguments.seconds)
        sync = changes.measure(Path(folder), arguments.rounds, arguments.seconds)
    if arguments.json:
        print(json.dumps({"machine": machine(), "requests": http, "changes": sync}, indent=2))
        return
    console = Console()
    console.print(", ".join(f"{key} {value}" for key, value in machine().items()))
    console.print(table(f"Requests, {sessions.CONNECTIONS} connections, 0.9 KB of JSON", http))
    console.print(table("Durable changes through WebSockets", sync))


if __name__ == "__main__":
    main()
