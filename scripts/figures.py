"""The page of figures: `benchmarks/results.json` as tables, each with what it says and what it is measured against."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).resolve().parent.parent / "benchmarks" / "results.json"
PAGE: Final = RESULTS.parent.parent / "docs" / "explanation" / "figures.md"
_INTRODUCTION: Final = """# Figures

Written by `make bench`; every table is from one run in which the variants took turns. The machine is small and shared, so **read the ratios**: each
was taken between neighbours in the same round, and the least, the middle and the greatest are given. What is compared with what is said in each section. CPU means
user and system time of the server's process alone.

A target that is missed is said to be missed, with the cause."""
_SECTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "requests": (
        "Requests on SQLite",
        (
            "One server process, one file. A session read is one query in a thread of its own; reads that wait share a transaction, and so do writes. "
            "The ratio is to the same handler in bare Starlette."
        ),
    ),
    "peers": (
        "Requests with a session on Redis",
        (
            "32 connections, one server process, PostgreSQL behind it where the library has a database. The ratios say how much of bare Starlette's rate a library "
            "reaches with the session read (and written)."
        ),
    ),
    "flask": ("Flask", "CPU that a session adds to a request, on the same Redis."),
    "django": ("Django", "CPU that a session adds to a request, on the same Redis."),
    "get": (
        "The way to Redis",
        "One GET of 1 KB. Ours writes what one turn of the loop asks for at once and decodes nothing; redis-py is the client that the peers use.",
    ),
    "bus": (
        "News between processes",
        "A message told and heard, both ends in one process. By `publish` redis-py sends each message for itself, as it is documented; a pipeline for what is told together is the best it can do.",
    ),
    "durable": (
        "Durable changes",
        (
            "Through the facade; each change is acknowledged after its commit. The ratio is to one transaction for each change, written by hand with the same driver: a lock, "
            "a line of the log, the document."
        ),
    ),
    "encryption": (
        "Encryption at rest",
        "The same work through the facade with a key and without one, in turns. The ratio is of the CPU that it takes, to the work without encryption. See [Encrypt what is kept](../how-to/encrypt.md).",
    ),
    "sockets": (
        "Durable changes through WebSockets",
        "32 sockets, each with a document of its own, on SQLite with `synchronous=FULL`.",
    ),
    "fanout": (
        "Fan-out",
        (
            "One message to many sockets, against python-socketio and the package `ws` for node. The others only copy a message from one socket to the rest; ours is a change "
            "that is committed first."
        ),
    ),
    "ending": ("How long an end takes", 'See [What "ended" means](ending.md). Milliseconds: median / p99 / longest.'),
    "latency": (
        "What is typed on one device, shown on the other",
        (
            "Two devices of one person in Chromium, a form that is bound by its markup, SQLite with `synchronous=FULL`, a key every 150 ms. From the key's event to the moment in which the "
            "other page's field has the text: the client's own wait for the next key, its outbox on the disk, the commit and both pages' work are in it. The proxy adds 100 ms to a request and "
            "its answer, on each device's connection. A key whose text came together with the next one's is not counted."
        ),
    ),
    "many": (
        "A great many sessions",
        "Generated in PostgreSQL by `python -m benchmarks many`: one user has 30,000 of them, a tenth has expired.",
    ),
}
_TARGETS: Final[Mapping[str, str]] = {
    "peers": "Targets: 4 times starsessions and litestar, 0.6 of bare Starlette (safe: 3 and 0.5). Safely reached: litestar. **Missed**: starsessions by a hair (2.98), and bare Starlette (0.45; 0.51 the day before). What is left is ordinary Python on the way "
    "through middleware, engine, cache and link; nothing of it is waiting.",
    "flask": "Targets: a third of Flask-Session as it comes, half of it tuned. **Missed**: 0.42, and 0.89 of tuned (0.43 and 0.89 in the run before it). Ours asks Redis once and writes nothing; what it costs is two clocks, cookie rules and "
    "the fence, in Python, where the tuned one unpacks a blob.",
    "django": "Target: half of cached_db. Nearly: 0.52 of it, with quartiles that reach below and above.",
    "durable": "Targets: on PostgreSQL 14 times at 64 writers (safe: 8), 5 at 8, not slower at 1; on SQLite 8. **Missed**. A whole transaction takes 0.3 ms on SQLite and 1.2 ms on PostgreSQL here, its durable commit included, so sharing it saves little, and "
    "what a change costs in Python (judging, the log, the audit of it) shows: a change alone takes a third to two thirds of the bare rate. Where a commit takes milliseconds the ratio grows with it.",
    "fanout": "Targets: 7 times python-socketio (reached), bursts of ten 3 times `ws` (reached), level with `ws` for single messages (**missed**: one write to each socket from Python).",
    "many": "Measured once, before the integrations of Flask and Django; the sweep ran in batches of 1,000, in the same process as the reads beside it. The default is 100; that was not measured.",
    "bus": "Target: 10 times redis-py's pub/sub. Reached for what is told together, against `publish`; **missed** for single messages, where waking the loop for each is most of the work.",
}


def page(results: Mapping[str, Any]) -> str:
    """The whole page, in Markdown."""
    parts = [_INTRODUCTION]
    for name, (title, told) in _SECTIONS.items():
        if name in results:
            parts += [f"## {title}\n{told}", *_tables(results[name])]
            parts += [_TARGETS[name]] if name in _TARGETS else []
    parts.append(
        '## Recovery after kill -9\nFrom "the server answers again" to "everybody is synchronized": [How the promises are tested](soak.md).'
    )
    return "\n\n".join(parts) + "\n"


def _tables(found: Mapping[str, Any]) -> list[str]:
    parts = []
    for title, rows in found["tables"].items():
        head = [name for name in rows[0] if not name.startswith("ratio_")]
        ratio = ["ratio"] if "ratio_median" in rows[0] else []
        lines = [
            f"**{title}**\n",
            "| " + " | ".join([*(name.replace("_", " ") for name in head), *ratio]) + " |",
            "|" + "---|" * (len(head) + len(ratio)),
        ]
        for row in rows:
            has_ratio = ratio and row["ratio_median"] != ""
            spread = (
                [f"{row['ratio_min']} - **{row['ratio_median']}** - {row['ratio_max']}" if has_ratio else ""]
                if ratio
                else []
            )
            lines.append("| " + " | ".join([*(_shown(row[name]) for name in head), *spread]) + " |")
        parts.append("\n".join(lines))
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    parts.append(
        f"<sub>{found['measured']}; {machine['processors']} processors, load {machine['load']}, Python {machine['python']}, SQLite {machine['sqlite']}, "
        f"{machine['postgres'] or 'no PostgreSQL'}; {versions}</sub>"
    )
    return parts


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def written() -> str:
    """What the page should say now."""
    return page(json.loads(RESULTS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
