"""What `sessile doctor` says of clocks: of this machine, of the database's and of Redis's, and which of them is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.engine import Connection

from sessile.cli.diagnosis import Diagnosis, Severity
from sessile.cli.redis_answers import time_of
from sessile.ports import Clock
from sessile.runtime.blocking import SessionManager
from sessile.stores.sql.tables import sessions

WARNING_S: Final = 2.0
ERROR_S: Final = 30.0
DATABASE: Final = "the database"
REDIS: Final = "Redis"
_CURE: Final = "timedatectl set-ntp true"
_WHY: Final = {
    DATABASE: "Deadlines are judged by each application's own clock; what the database notes by itself is dated otherwise.",
    REDIS: "What it keeps runs out by its own clock: when that is put right at one go, copies and marks run out early or late.",
}
_WHY_OURS: Final = "Deadlines are judged by this machine's clock: sessions end too early, or live too long."


def clocks(manager: SessionManager) -> Iterator[Diagnosis]:
    """Compares them, each with half the time that the question took taken off."""
    ahead_s = manager.transact(partial(_last_seen, clock=manager.clock))
    offsets = {}
    database_s = manager.transact(partial(_of_database, clock=manager.clock))
    if database_s is not None:
        offsets[DATABASE] = database_s
    redis_s = _of_redis(manager)
    if redis_s is not None:
        offsets[REDIS] = redis_s
    found = list(named(offsets))
    if ahead_s > WARNING_S:
        what = f"A session was last seen {ahead_s:.0f} s in the future."
        why = "A clock that went back keeps sessions alive longer than it should; of two machines one is wrong."
        found.append(Diagnosis("clock", "error", what, why, _CURE))
    yield from found
    if not found:
        yield Diagnosis("clock", "ok", f"{manager.clock.now():%Y-%m-%d %H:%M:%S} UTC; all times are kept in UTC.")


def named(offsets: Mapping[str, float]) -> Iterator[Diagnosis]:
    """Which clock is wrong. `offsets` is how far each other one is ahead of this machine's, in seconds: where two agree, the third is it."""
    off = {name: ahead_s for name, ahead_s in offsets.items() if abs(ahead_s) > WARNING_S}
    if not off:
        return
    spread_s = max(offsets.values()) - min(offsets.values())
    if len(offsets) > 1 and len(off) == len(offsets) and spread_s <= WARNING_S:
        ahead_s = next(iter(off.values()))
        what = f"This machine's clock is {_far(-ahead_s)} those of {' and '.join(off)}, which agree."
        yield Diagnosis("clock", _severity(ahead_s), what, _WHY_OURS, _CURE)
        return
    agreeing = [name for name in offsets if name not in off]
    for name, ahead_s in off.items():
        told = (
            f"{agreeing[0]} agrees with this machine"
            if agreeing
            else "which of them is wrong is not to be seen from here"
        )
        where = f"on the machine of {name}" if agreeing else f"on this machine and on that of {name}"
        what = f"The clock of {name} is {_far(ahead_s)} this machine's; {told}."
        severity: Severity = "warning" if name == REDIS else _severity(ahead_s)
        yield Diagnosis("clock", severity, what, _WHY[name], f"{_CURE}  # {where}")


def _far(ahead_s: float) -> str:
    return f"{abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'}"


def _severity(ahead_s: float) -> Severity:
    return "error" if abs(ahead_s) > ERROR_S else "warning"


def _last_seen(connection: Connection, clock: Clock) -> float:
    latest = connection.execute(select(func.max(sessions.c.last_seen_at))).scalar_one()
    return 0.0 if latest is None else (latest - clock.now()).total_seconds()


def _of_database(connection: Connection, clock: Clock) -> float | None:
    if connection.dialect.name != "postgresql":
        return None
    before = clock.now()
    told = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    after = clock.now()
    ahead_s: float = (told - (before + (after - before) / 2)).total_seconds()
    return ahead_s


def _of_redis(manager: SessionManager) -> float | None:
    address = manager.settings.redis_url
    if address is None:
        return None
    before_s = manager.clock.now().timestamp()
    told_s = time_of(address.get_secret_value())
    after_s = manager.clock.now().timestamp()
    return None if told_s is None else told_s - (before_s + after_s) / 2
