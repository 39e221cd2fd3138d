"""The background work of the blocking lane: a daemon thread for each process that serves (and one for each audit sink), without an event loop.

It starts with the first request and not with the program, so that a process which forks its workers has none to lose. Every process has one; a lease
in the database elects whose turn a piece of work is, as in the asyncio lane. What needs no election happens where it is needed: activity is written with
its request, and the look at the cache's fence is renewed by reading.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sessile.model.errors import StoreUnavailable
from sessile.runtime.background import Background
from sessile.runtime.configuration import FOLLOW_INTERVAL_S
from sessile.runtime.delivery import DELIVERY_INTERVAL_S, Delivery
from sessile.runtime.lane import drive
from sessile.runtime.settings import Settings
from sessile.runtime.watch import Watch
from sessile.telemetry.profiling import IN_BACKGROUND
from sessile.telemetry.rounds import Rounds

logger = logging.getLogger("sessile.background")

_STOP_TIMEOUT_S: Final = 5.0
"""How long `stop` waits for a round under way; the thread is a daemon, so it holds up nobody after that."""

Work = Callable[[], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Job:
    """Work that is done every `interval_s` seconds; `due_at` is a time of the monotonic clock."""

    name: str
    interval_s: float
    work: Work
    due_at: float = 0.0
    is_away: bool = False


class BlockingBackground:
    """`rounds` has what is done, and the election; this is when. The store must never suspend. Each of `deliveries` has a thread of its own, so that a receiver which
    says nothing holds up nothing else."""

    def __init__(
        self,
        rounds: Background,
        settings: Settings,
        deliveries: Sequence[Delivery] = (),
        watch: Watch | None = None,
    ) -> None:
        self._jobs = [
            Job("settings", FOLLOW_INTERVAL_S, rounds.follow_settings),
            Job("checkpoint", settings.checkpoint_interval_s, rounds.take_checkpoints),
            Job("compaction", settings.compaction_interval_s, rounds.compact),
            Job("sweep", settings.sweep_interval_s, rounds.sweep),
            Job("retention", settings.retention_interval_s, rounds.forget),
        ]
        self.watch = watch
        self._rounds = None if watch is None else watch.rounds
        if watch is not None:
            self._jobs.append(Job("watch", settings.health_interval_s, watch.round))
        self._deliveries = [Job(delivery.name, DELIVERY_INTERVAL_S, delivery.round) for delivery in deliveries]
        settings.subscribe(lambda _change: self._follow(settings))
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def _follow(self, settings: Settings) -> None:
        """Other intervals from now on; the thread looks at least every `FOLLOW_INTERVAL_S`."""
        intervals = {
            "checkpoint": settings.checkpoint_interval_s,
            "compaction": settings.compaction_interval_s,
            "sweep": settings.sweep_interval_s,
            "retention": settings.retention_interval_s,
        }
        for job in self._jobs:
            job.interval_s = intervals.get(job.name, job.interval_s)
            job.due_at = min(job.due_at, time.monotonic() + job.interval_s)

    @property
    def is_running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Starts the threads, unless there are some."""
        if self._threads:  # every request may come by here, so the lock is only for the first
            return
        with self._lock:
            if not self._threads:
                self._stopping.clear()
                self._threads = [
                    threading.Thread(target=self._run, args=(jobs,), name=name, daemon=True)
                    for name, jobs in self._groups()
                ]
                for thread in self._threads:
                    thread.start()

    def _groups(self) -> list[tuple[str, list[Job]]]:
        return [("sessile-background", self._jobs), *((f"sessile-{job.name}", [job]) for job in self._deliveries)]

    def stop(self) -> None:
        """Ends them after the round under way. Again is no harm, and so is `start` after that."""
        with self._lock:
            threads, self._threads = self._threads, []
            self._stopping.set()
        until = time.monotonic() + _STOP_TIMEOUT_S
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    def _run(self, jobs: Sequence[Job]) -> None:
        IN_BACKGROUND.set(True)
        now = time.monotonic()
        for job in jobs:
            # Workers that were started together do not ask the database together.
            job.due_at = now + job.interval_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        while not self._stopping.wait(max(0.0, min(job.due_at for job in jobs) - time.monotonic())):
            self._run_due(jobs, time.monotonic())

    def run_due(self, now: float) -> None:
        """Does what is due at `now` (monotonic seconds). Raises nothing: an outage is told once, and the work waits for its next turn."""
        self._run_due([*self._jobs, *self._deliveries], now)

    def _run_due(self, jobs: Sequence[Job], now: float) -> None:
        for job in jobs:
            if job.due_at <= now and not self._stopping.is_set():
                job.due_at = now + job.interval_s
                _do(job, self._rounds)


def _do(job: Job, rounds: Rounds | None) -> None:
    try:
        drive(job.work())
    except StoreUnavailable:
        if not job.is_away:
            logger.warning(
                "The store cannot be reached; %s goes on when it is back",
                job.name,
                extra={"event_name": "background_away"},
            )
        job.is_away = True
        if rounds is not None:
            rounds.away(job.name)
    except Exception:  # the thread must outlive one bad round; the traceback is in the log
        logger.exception("A round of %s failed", job.name, extra={"event_name": "background_failed"})
        if rounds is not None:
            rounds.failed(job.name)
    else:
        job.is_away = False
        if rounds is not None:
            rounds.done(job.name)
