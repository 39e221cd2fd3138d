"""`python -m benchmarks [NAME ...] [--rounds N] [--seconds S] [--readers N] [--sessions N] [--json] [--write]`: all of them, or those that are named."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import platform
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final, TypeVar

from rich.console import Console
from rich.table import Table

from benchmarks import (
    bus,
    changes,
    django,
    durable,
    encrypted,
    ending,
    fanout,
    flask,
    latency,
    peers,
    redis_lane,
    sessions,
    ten_million,
)
from benchmarks.telling import Tell
from scripts import figures
from tests.conftest import find_binary

T = TypeVar("T")
RESULTS: Final = Path(__file__).with_name("results.json")
Tables = dict[str, list[dict[str, Any]]]
"""Rows by the title of their table."""


@dataclass(frozen=True)
class Given:
    """What a benchmark may use."""

    options: argparse.Namespace
    folder: Path
    tell: Tell


def requests(given: Given) -> Tables:
    """A session for each request, against the same handler without one."""
    given.tell("requests with a session on SQLite")
    title = f"Requests, {sessions.CONNECTIONS} connections, 0.9 KB of JSON"
    return {title: sessions.measure(given.folder, given.options.rounds, given.options.seconds)}


def sockets(given: Given) -> Tables:
    """Durable changes through WebSockets, with and without group commit."""
    given.tell("durable changes through WebSockets on SQLite")
    return {
        "Durable changes through WebSockets": changes.measure(given.folder, given.options.rounds, given.options.seconds)
    }


def on_redis(given: Given) -> Tables:
    """A session on Redis for each request, against peers."""
    from sessile.testing.servers import ServerMissing

    given.tell("requests with a session on Redis")
    try:
        return {
            "Requests with a session on Redis": peers.measure(given.folder, given.options.rounds, given.options.seconds)
        }
    except ServerMissing as error:
        given.tell(f"not run: requests with a session on Redis ({error})")
        return {}


def in_flask(given: Given) -> Tables:
    """What reading a session adds to a request in Flask, against Flask-Session."""
    from sessile.testing.servers import ServerMissing

    if importlib.util.find_spec("flask_session") is None:
        given.tell("not run: sessions in Flask (flask-session is not installed)")
        return {}
    title = "Reading a session in Flask on Redis, CPU of the process for each request"
    try:
        return {title: flask.measure(given.folder, given.options.rounds, given.options.seconds, given.tell)}
    except ServerMissing as error:
        given.tell(f"not run: sessions in Flask ({error})")
        return {}


def in_django(given: Given) -> Tables:
    """What reading and writing a session adds to a request in Django, against cached_db."""
    from sessile.testing.servers import ServerMissing

    given.tell("requests with a session in Django")
    title = "A session in Django on Redis and PostgreSQL, CPU of the process for each request"
    try:
        return {title: django.measure(3 * given.options.rounds, int(given.options.seconds * 100))}
    except ServerMissing as error:
        given.tell(f"not run: sessions in Django ({error})")
        return {}


def durable_changes(given: Given) -> Tables:
    """Durable changes through the facade, against a transaction for each."""
    found: Tables = {}
    on_sqlite = durable.on_sqlite(
        given.folder, given.options.rounds, given.options.seconds, given.tell, durable.WRITERS
    )
    if importlib.util.find_spec("aiosqlite") is None:
        given.tell("not run: durable changes on SQLite (aiosqlite is not installed)")
        on_sqlite.close()
    else:
        found["Durable changes on SQLite"] = run(on_sqlite)
    from sessile.testing.servers import ServerMissing

    try:
        rows = run(durable.on_postgres(given.options.rounds, given.options.seconds, given.tell, durable.WRITERS))
    except ServerMissing as error:
        given.tell(f"not run: durable changes on PostgreSQL ({error})")
    else:
        found["Durable changes on PostgreSQL"] = rows
    return found


def encryption(given: Given) -> Tables:
    """Sessions and changes with encryption at rest, against the same without."""
    title = f"On SQLite, {encrypted.AT_ONCE} at once, 1 KB of content"
    return {title: run(encrypted.on_sqlite(given.folder, given.options.rounds, given.options.seconds, given.tell))}


def fan_out(given: Given) -> Tables:
    """One change to many readers, against python-socketio and the package ws for node."""
    measured = fanout.compare(
        given.folder, given.options.rounds, given.options.seconds, given.tell, given.options.readers
    )
    return {f"Fan-out to {given.options.readers} WebSockets, CPU of the server for each message": run(measured)}


def one_get(given: Given) -> Tables:
    """A GET, through our client and redis-py."""
    given.tell("a GET through our client and redis-py")
    return {"CPU of one GET of 1 KB": redis_lane.measure(given.options.rounds)}


def news(given: Given) -> Tables:
    """Messages between processes, against redis-py's pub/sub."""
    return {"CPU of one message, told and heard": run(bus.measure(given.options.rounds, given.tell))}


def endings(given: Given) -> Tables:
    """How long the end of a session takes on three nodes."""
    given.tell("the end of a session on three nodes")
    return {ending.TITLE: ending.measure()}


def typing(given: Given) -> Tables:
    """What is typed on one device, shown on another, in Chromium."""
    given.tell("what is typed on one device, shown on the other, in Chromium")
    if find_binary("chromium") is None:
        given.tell("not run: typing in Chromium (it is not installed)")
        return {}
    return {latency.TITLE: latency.measure(given.folder, given.tell)}


def many_sessions(given: Given) -> Tables:
    """A great many sessions in PostgreSQL."""
    found = ten_million.generated(given.options.sessions)
    sweep = {key: found["sweep"][key] for key in ("swept", "seconds", "per_s")}
    return {
        f"{given.options.sessions:,} sessions on PostgreSQL": ten_million.rows(found),
        "Sweep of the expired ones": [{"variant": "sweep", **sweep}],
    }


BENCHMARKS: Final[Mapping[str, Callable[[Given], Tables]]] = {
    "requests": requests,
    "peers": on_redis,
    "flask": in_flask,
    "django": in_django,
    "sockets": sockets,
    "durable": durable_changes,
    "encryption": encryption,
    "fanout": fan_out,
    "get": one_get,
    "bus": news,
    "ending": endings,
    "latency": typing,
    "many": many_sessions,
}
LONG: Final = frozenset({"many"})
"""Half an hour, and 12 GB of disk: only when named."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """On the loop that servers use, where it is installed."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.run(work)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    packages = (
        "sqlalchemy",
        "asyncpg",
        "aiosqlite",
        "uvloop",
        "uvicorn",
        "websockets",
        "python-socketio",
        "flask",
        "flask-session",
    )
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "node": _version_of("node", "--version"),
        "postgres": _version_of("psql", "--version"),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "packages": {name: _installed(name) for name in packages},
    }


def _version_of(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def keep(results: Mapping[str, Any]) -> None:
    """Writes the results into `results.json`, beside those of benchmarks that did not run now, and the page that shows them."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**known, **results}, indent=2) + "\n", encoding="utf-8")
    figures.PAGE.write_text(figures.written(), encoding="utf-8")


def table(title: str, rows: list[dict[str, Any]]) -> Table:
    shown = Table(title=title, title_justify="left")
    for name in rows[0]:
        shown.add_column(name, justify="left" if name in {"variant", "server"} else "right")
    for row in rows:
        shown.add_row(*(str(value) for value in row.values()))
    return shown


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; without any, all but {', '.join(LONG)}"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each variant in each round")
    parser.add_argument("--readers", type=int, default=fanout.READERS, help="sockets that one change goes to")
    parser.add_argument("--sessions", type=int, default=10_000_000, help="how many `many` generates")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help=f"keep the results in benchmarks/{RESULTS.name}")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - BENCHMARKS.keys())
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return options


def main() -> None:
    options = arguments()
    told, console = Console(stderr=True), Console()
    told.print(f"{options.rounds} rounds of {options.seconds} s for each variant, interleaved")
    results: dict[str, Any] = {}
    for name in options.names or [name for name in BENCHMARKS if name not in LONG]:
        with tempfile.TemporaryDirectory() as folder:
            tables = BENCHMARKS[name](Given(options, Path(folder), told.print))
        results[name] = {"measured": datetime.now(UTC).date().isoformat(), "machine": machine(), "tables": tables}
        if not options.json:
            for title, rows in tables.items():
                console.print(table(title, rows))
    if options.json:
        print(json.dumps(results, indent=2))
    if options.write:
        keep(results)


if __name__ == "__main__":
    main()
