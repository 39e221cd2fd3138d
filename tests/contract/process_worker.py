"""One process of `test_processes`: opens the file, says it is ready, waits for the word, does its task, prints what came of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sessile.model.document import Actor
from sessile.model.errors import SessionEnded, SessionNotFound
from sessile.model.session import EndReason
from sessile.runtime.assemble import SystemClock, SystemRandom
from sessile.runtime.lane import drive
from sessile.stores.sql import BlockingSqliteStore
from sessile.testing.lab import Bench

ROUNDS = 15
COUNT = {"op": "increment", "path": "/n", "by": 1}


def append(bench: Bench, number: int, document_id: str) -> list[Any]:
    """Changes of a device of its own, and changes by server code between them: the versions they got."""
    actor = Actor(user_id="ada", device_id=f"01900000-0000-7000-8000-00000000000{number}")
    versions = []
    for seq in range(1, ROUNDS + 1):
        versions.append(drive(bench.take(actor, document_id, seq, 0, COUNT)).version)
        versions.append(drive(bench.changes.change(actor, document_id, [COUNT], None, None)).version)
    return versions


def repeat(bench: Bench, _number: int, document_id: str) -> list[Any]:
    """The same changes of one device as the other processes: the versions they got."""
    actor = Actor(user_id="ada", device_id="01900000-0000-7000-8000-0000000000ff")
    return [drive(bench.take(actor, document_id, seq, 0, COUNT)).version for seq in range(1, ROUNDS + 1)]


def turns(bench: Bench, number: int, handles: str) -> list[Any]:
    """Rotates or logs in, or ends the session, one handle after the other: the tokens it got, and how many it ended."""
    tokens: list[str] = []
    ended = 0
    for handle in handles.split(","):
        try:
            if number == 0:
                ended += drive(bench.sessions.end(handle, EndReason.LOGOUT))
            elif number == 1:
                tokens.append(drive(bench.sessions.rotate(handle)).token)
            else:
                tokens.append(drive(bench.sessions.login(handle, "ada")).token)
        except (SessionEnded, SessionNotFound):
            continue
    return [ended, tokens]


def leases(bench: Bench, number: int, _argument: str) -> list[Any]:
    """Asks for one lease after the other: the names it got."""
    now = datetime.now(UTC)
    until = now + timedelta(hours=1)
    asked = (f"lease {n}" for n in range(ROUNDS))
    return [
        name for name in asked if drive(bench.store.write(lambda tx, n: tx.lease(n, str(number), now, until), name))
    ]


TASKS: dict[str, Callable[[Bench, int, str], list[Any]]] = {
    "append": append,
    "repeat": repeat,
    "turns": turns,
    "leases": leases,
}


def main() -> None:
    url, task, number, argument = sys.argv[1:]
    store = BlockingSqliteStore(url)
    bench = Bench(store, SystemClock(), SystemRandom())
    if task != "open":
        drive(store.open())
    print("ready", flush=True)
    sys.stdin.readline()
    if task == "open":
        drive(store.open())
        result: list[Any] = [drive(store.write(lambda tx: tx.instance("key", number)))]
    else:
        result = TASKS[task](bench, int(number), argument)
    drive(store.close())
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
