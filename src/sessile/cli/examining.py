"""What `sessile doctor` looks at. Each check says what it saw, why that matters, and what mends it; none of them changes anything."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.engine import Connection, make_url

from sessile.cli.clocks import clocks
from sessile.cli.diagnosis import Diagnosis
from sessile.cli.naming import application_problem
from sessile.cli.redis_answers import configuration
from sessile.cli.schema_gaps import find_gaps
from sessile.cli.store_faults import unreachable, writing
from sessile.model.errors import ConfigurationError, SessileError, StoreUnavailable
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from sessile.runtime.settings_file import settings_file
from sessile.stores.sql.tables import metadata, platforms, sessions
from sessile.web.cookies import CookiePolicy

_SECRET: Final = ("secret_keys", "service_key", "legacy_secrets", "redis_url", "database_url")
_NAMED_MAX: Final = 5
_RESTORE: Final = "Restore a copy, then: sessile recover system --apply --yes"


def examine(database: str | None, application: str | None, *, with_audit: bool) -> Iterator[Diagnosis]:
    """Everything, in the order in which one thing needs the other."""
    try:
        settings = Settings(**({} if database is None else {"database_url": database}))
        policy = CookiePolicy(settings)
    except SessileError as error:
        why = "Nothing starts with settings that contradict each other."
        yield Diagnosis("settings", "error", error.message, why, "sessile config validate")
        return
    yield Diagnosis("settings", "ok", "They fit together.")
    yield from _file_rights()
    if settings.debug:
        why = "Whoever is on this machine, and every operator, can look at what the service sees of a request."
        cure = "Set SESSILE_DEBUG=0, then: sessile config reload"
        yield Diagnosis("settings", "warning", "SESSILE_DEBUG is on.", why, cure)
    for finding in policy.check():
        yield Diagnosis("cookie", finding.severity, finding.what, finding.why, finding.cure)
    if application is not None:
        problem = application_problem(application)
        yield (
            Diagnosis("middleware", "ok", f"{application} has sessions.")
            if problem is None
            else Diagnosis(
                "middleware", "error", problem, "Without it requests have no session.", "Add Sessile(app): docs/how-to"
            )
        )
    yield from _database(settings, with_audit=with_audit)


def _file_rights() -> Iterator[Diagnosis]:
    file = settings_file()
    if file is None or not any(
        line.strip().startswith(_SECRET) for line in file.read_text(encoding="utf-8").splitlines()
    ):
        return
    if file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        why = "Whoever has an account on this machine can sign for the service, or open its database."
        yield Diagnosis(
            "settings", "warning", f"{file} has secrets and others can read it.", why, f"chmod 600 {quote(str(file))}"
        )


def _database(settings: Settings, *, with_audit: bool) -> Iterator[Diagnosis]:
    shown = settings.database_shown
    if settings.database_url == "memory://":
        yield Diagnosis(
            "database",
            "warning",
            "The store is memory://.",
            "Everything is gone with the process.",
            "Set SESSILE_DATABASE_URL",
        )
        return
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        yield Diagnosis(
            "database",
            "warning",
            f"{shown} does not exist yet.",
            "It is made at the first start.",
            "sessile db upgrade",
        )
        return
    try:
        with SessionManager(settings) as manager:
            yield from _open_database(manager, with_audit=with_audit)
    except StoreUnavailable as error:
        yield unreachable(settings, error)
    except ConfigurationError as error:
        yield Diagnosis("database", "error", error.message, "The service refuses to start.", "sessile db upgrade")


def _open_database(manager: SessionManager, *, with_audit: bool) -> Iterator[Diagnosis]:
    gaps = manager.transact(find_gaps)
    if gaps.all:
        why = "Every verb that needs them fails."
        # What was in some columns decides who gets in: no empty one takes its place.
        cure = _RESTORE if gaps.lost else "sessile recover table --apply --yes"
        yield Diagnosis("tables", "error", f"Missing: {', '.join(gaps.all)}.", why, cure)
        return
    yield Diagnosis("tables", "ok", f"{len(metadata.tables)} tables with all their columns.")
    if unwritten := list(writing(manager)):
        yield from unwritten
        if any(one.severity == "error" for one in unwritten):
            return
    yield from manager.transact(partial(_of_rows, manager=manager))
    yield from clocks(manager)
    health = manager.health()
    if health.pool is not None:
        yield Diagnosis(
            "pool", "ok", f"{health.pool.size_max} connections at most; a look took {health.latency_ms:.1f} ms."
        )
    underway = manager.maintenance.get()
    if underway is not None:
        until = "until it is ended" if underway.until is None else f"until {underway.until:%Y-%m-%d %H:%M} UTC"
        yield Diagnosis(
            "maintenance",
            "warning",
            f"It is in force {until}.",
            "Nobody new can log in.",
            "sessile maintenance end --yes",
        )
    yield from _redis(manager)
    if with_audit:
        yield from _audit(manager)


def _of_rows(connection: Connection, *, manager: SessionManager) -> list[Diagnosis]:
    checks = (_damage, _connections, _overdue, _platform_defaults, _platform_owners)
    return [one for check in checks for one in check(connection, manager)]


def _damage(connection: Connection, _manager: SessionManager) -> Iterator[Diagnosis]:
    if connection.dialect.name == "sqlite":
        told = connection.exec_driver_sql("PRAGMA quick_check(3)").scalars().all()
        if told != ["ok"]:
            why = "What is read from it may be wrong."
            yield Diagnosis(
                "tables",
                "error",
                f"The file is damaged: {'; '.join(map(str, told))}",
                why,
                _RESTORE,
            )


def _connections(connection: Connection, manager: SessionManager) -> Iterator[Diagnosis]:
    if connection.dialect.name != "postgresql":
        return
    allowed = int(connection.execute(text("SHOW max_connections")).scalar_one())
    if manager.settings.pool_size > allowed // 2:
        what = f"pool_size is {manager.settings.pool_size}, and the server allows {allowed} connections in all."
        yield Diagnosis(
            "pool", "warning", what, "Two processes cannot both have what they want.", "Make SESSILE_POOL_SIZE smaller"
        )


def _overdue(connection: Connection, manager: SessionManager) -> Iterator[Diagnosis]:
    before = manager.clock.now() - timedelta(seconds=2 * manager.settings.sweep_interval_s)
    condition = (sessions.c.ended_at.is_(None), sessions.c.idle_expires_at < before)
    number = connection.execute(select(func.count()).select_from(sessions).where(*condition)).scalar_one()
    if number:
        why = "Nobody gets in with one, but no background work runs: old rows are not removed either."
        yield Diagnosis(
            "sweep", "warning", f"{number} sessions are long past a deadline and have not ended.", why, "sessile sweep"
        )


def _platform_defaults(connection: Connection, _manager: SessionManager) -> Iterator[Diagnosis]:
    with_default = select(platforms.c.user_id).where(platforms.c.is_default, platforms.c.is_active)
    statement = (
        select(platforms.c.user_id).where(platforms.c.is_active, platforms.c.user_id.not_in(with_default)).distinct()
    )
    for user_id in connection.execute(statement.limit(_NAMED_MAX)).scalars():
        why = "It is not settled where new sessions of this user begin."
        cure = _command("platforms", "fix-default", user_id)
        yield Diagnosis("platforms", "warning", f"{user_id} has platforms and no default.", why, cure)


def _platform_owners(connection: Connection, _manager: SessionManager) -> Iterator[Diagnosis]:
    joined = sessions.join(platforms, sessions.c.platform_id == platforms.c.platform_id)
    wrong = (platforms.c.user_id != sessions.c.user_id) | ~platforms.c.is_active | sessions.c.user_id.is_(None)
    statement = select(sessions.c.session_id).select_from(joined).where(sessions.c.ended_at.is_(None), wrong)
    for session_id in connection.execute(statement.limit(_NAMED_MAX)).scalars():
        why = "Rows were changed by hand: no verb leaves it like that."
        cure = _command("sessions", "end", session_id)
        yield Diagnosis(
            "platforms", "error", f"The session {session_id} is on a platform that its user may not use.", why, cure
        )


def _redis(manager: SessionManager) -> Iterator[Diagnosis]:
    address = manager.settings.redis_url
    if address is None:
        yield Diagnosis(
            "redis", "note", "There is no cache.", "The database answers everything, which is right for one machine."
        )
        return
    state = manager.operators.cache_state()
    if not state.startswith("up"):
        why = "The database answers everything meanwhile; nobody is logged out."
        yield Diagnosis("redis", "error", f"Redis is {state}.", why, "systemctl start redis")
        return
    yield Diagnosis("redis", "ok", f"It is {state}.")
    facts = configuration(address.get_secret_value())
    if facts.get("maxmemory", "0") != "0" and facts.get("maxmemory-policy") == "noeviction":
        why = "When its memory is full it refuses writes, and every login has to raise the fence."
        cure = "redis-cli config set maxmemory-policy allkeys-lru"
        yield Diagnosis(
            "redis", "warning", "Redis may not remove entries when its memory is full (noeviction).", why, cure
        )
    fence = manager.operators.fence()
    if fence.held_for_s > 0:
        what = f"Somebody keeps the cache unused for {fence.held_for_s:.0f} s more."
        yield Diagnosis(
            "fence", "warning", what, "The database answers everything until then.", "sessile cache flush --yes"
        )
    else:
        told = "open" if fence.is_open else "closed; it opens when it is used"
        yield Diagnosis("fence", "ok", f"Epoch {fence.number} is {told}.")


def _command(group: str, verb: str, key: str) -> str:
    """For a shell, whatever is in the id; one that begins with a dash is no option."""
    return f"sessile {group} {verb} --yes {'-- ' if key.startswith('-') else ''}{quote(key)}"


def _audit(manager: SessionManager) -> Iterator[Diagnosis]:
    report = manager.audit.verify()
    if report.faults:
        first = report.faults[0]
        what = f"{len(report.faults)} places of the audit log are not as they were written, the first in {first.stream}: {first.problem}."
        yield Diagnosis(
            "audit", "error", what, "Somebody changed rows, or a copy was put back in part.", "sessile audit verify"
        )
    else:
        yield Diagnosis("audit", "ok", f"{report.events} events in {report.streams} chains are as they were written.")
