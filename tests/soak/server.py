"""The server under the soak: the ordinary service on one SQLite file, an application beside it, able to kill itself at a named point, or with a planted error.

    python -m tests.soak.server --port N --database FILE [--plant NAME]

Lines on standard input:
    kill <point>     SIGKILL to itself the next time that point is reached
    away <count>     the store is away for the next so many commits
Each is answered with `taken`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time

from sessile import AsyncSessionManager, Settings
from sessile.model.errors import StoreUnavailable
from sessile.server.app import create_app
from sessile.server.serving import run
from sessile.stores.sql.transaction import SqlTransaction
from tests.soak import application, plants

SERVICE_KEY = "the-soak-has-this-service-key-4Tn9Vb"
CHECKPOINT_INTERVAL_S = 1.0
AWAY_S = 0.05


class Trigger:
    """The probe of the manager. Called on the loop and in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._point = ""
        self._away = 0

    def kill_at(self, point: str) -> None:
        with self._lock:
            self._point = point

    def be_away(self, count: int) -> None:
        with self._lock:
            self._away = count

    def __call__(self, point: str) -> None:
        with self._lock:
            is_away = point == "before_commit" and self._away > 0
            self._away -= is_away
            is_end = point == self._point
        if is_end:
            os.kill(os.getpid(), signal.SIGKILL)
        if is_away:
            time.sleep(AWAY_S)  # the clients go on sending meanwhile, as they do when a disk hangs
            raise StoreUnavailable


def listen(trigger: Trigger) -> None:
    """Runs in a thread until the other side goes away, and the process goes with it: no server outlives its soak."""
    for line in sys.stdin:
        match line.split():
            case ["kill", point]:
                trigger.kill_at(point)
            case ["away", count]:
                trigger.be_away(int(count))
            case other:
                raise ValueError(f"not a command: {other}")
        print("taken", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def watch_transactions(trigger: Trigger) -> None:
    """The point between the last statement of a transaction and its COMMIT, which the manager has no probe for."""
    written = SqlTransaction.write_events

    def write_events(tx: SqlTransaction) -> None:
        written(tx)
        trigger("in_transaction")

    setattr(SqlTransaction, "write_events", write_events)  # noqa: B010 - a patch, and meant as one


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--plant", choices=sorted(plants.PLANTS))
    arguments = parser.parse_args()
    settings = Settings(
        database_url=f"sqlite:///{arguments.database}",
        service_key=SERVICE_KEY,
        checkpoint_interval_s=CHECKPOINT_INTERVAL_S,
        ping_interval_s=2.0,
        ping_timeout_s=5.0,
        presence_linger_s=0.5,
    )
    trigger = Trigger()
    watch_transactions(trigger)
    if arguments.plant is not None:
        plants.PLANTS[arguments.plant]()
    manager = AsyncSessionManager(settings, probe=trigger)
    service = create_app(manager, standalone=True)
    application.install(service.api, manager)
    threading.Thread(target=listen, args=(trigger,), daemon=True).start()
    run(
        service,
        host="127.0.0.1",
        port=arguments.port,
        drain=service.drain,
        on_started=lambda _host, port: print(f"ready {port}", flush=True),
    )


if __name__ == "__main__":
    main()
