"""The server under the soak: the ordinary application on one SQLite file, able to kill itself at a named point, or with a planted error.

    python -m tests.soak.server --port N --database FILE [--plant NAME]

Lines on standard input arm it: `kill <point> <count>` kills the process with SIGKILL when that point is reached for the count-th time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading

from sessile import AsyncSessionManager, Settings
from sessile.server.app import create_app
from sessile.server.serving import run
from tests.soak import plants

SERVICE_KEY = "the-soak-has-this-service-key"
CHECKPOINT_INTERVAL_S = 1.0


class Trigger:
    """The probe of the manager. Called on the loop and in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: dict[str, int] = {}

    def arm(self, point: str, count: int) -> None:
        with self._lock:
            self._armed = {point: count}

    def __call__(self, point: str) -> None:
        with self._lock:
            left = self._armed.get(point)
            if left is None:
                return
            self._armed[point] = left - 1
        if left <= 1:
            os.kill(os.getpid(), signal.SIGKILL)


def listen(trigger: Trigger) -> None:
    """Runs in a thread until the other side goes away, and the process goes with it: no server outlives its soak."""
    for line in sys.stdin:
        match line.split():
            case ["kill", point, count]:
                trigger.arm(point, int(count))
            case other:
                raise ValueError(f"not a command: {other}")
    os.kill(os.getpid(), signal.SIGKILL)


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
    if arguments.plant is not None:
        plants.PLANTS[arguments.plant]()
    service = create_app(AsyncSessionManager(settings, probe=trigger), standalone=True)
    threading.Thread(target=listen, args=(trigger,), daemon=True).start()
    run(
        service,
        host="127.0.0.1",
        port=arguments.port,
        drain=service.drain,
        on_started=lambda _host, port: print(f"ready {port}", flush=True),
    )


if __name__ == "__main__":
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    main()
