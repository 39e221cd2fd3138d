"""What is broken in the database itself: killed, full of conflicts, out of connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import psycopg

from sessile.model.errors import StoreUnavailable
from tests.faults.cells import repeated
from tests.faults.conftest import HOLD_S, World
from tests.faults.nodes import Node

_SABOTAGE: Final = """
CREATE OR REPLACE FUNCTION sessile.sabotage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF random() < 0.3 THEN RAISE EXCEPTION 'sabotage' USING ERRCODE = CASE WHEN random() < 0.5 THEN '40001' ELSE '40P01' END; END IF;
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER sabotage BEFORE INSERT OR UPDATE ON sessile.sessions FOR EACH ROW EXECUTE FUNCTION sessile.sabotage();
CREATE OR REPLACE TRIGGER sabotage BEFORE INSERT ON sessile.changes FOR EACH ROW EXECUTE FUNCTION sessile.sabotage()
"""
_NO_SABOTAGE: Final = "DROP TRIGGER sabotage ON sessile.sessions; DROP TRIGGER sabotage ON sessile.changes"


def postgres_killed(world: World) -> Iterator[None]:
    world.postgres.kill()
    yield
    world.postgres.start()


def postgres_killed_often(world: World) -> Iterator[None]:
    def kill() -> None:
        world.postgres.kill()
        world.postgres.start()

    with repeated(kill, HOLD_S / 10):
        yield


def postgres_stopped(world: World) -> Iterator[None]:
    """SIGSTOP of all its processes."""
    world.postgres.pause()
    yield
    world.postgres.resume()


def connections_ended(world: World) -> Iterator[None]:
    """An operator ends all connections, again and again."""
    statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'sessile'"
    with (
        psycopg.connect(world.database_url, autocommit=True) as connection,
        repeated(lambda: connection.execute(statement), 0.1),
    ):
        yield


def serialization_fails(world: World) -> Iterator[None]:
    """A third of all writes meets a serialization failure or a deadlock."""
    with psycopg.connect(world.database_url, autocommit=True) as connection:
        connection.execute(_SABOTAGE)
        yield
        connection.execute(_NO_SABOTAGE)


def deadlocks(world: World) -> Iterator[None]:
    """Somebody locks the rows of documents and of their devices, in the other order, and rarely gives way."""
    ids = [station.document_id for station in world.round.stations]
    before = world.postgres.log().count("deadlock detected")
    with psycopg.connect(world.database_url, options="-c deadlock_timeout=200ms") as connection:

        def lock() -> None:
            with suppress(psycopg.errors.DeadlockDetected), connection.transaction():
                connection.execute(
                    "SELECT 1 FROM sessile.document_devices WHERE document_id = ANY(%s) FOR UPDATE", (ids,)
                )
                time.sleep(0.005)
                connection.execute("SELECT 1 FROM sessile.documents WHERE document_id = ANY(%s) FOR UPDATE", (ids,))

        with repeated(lock, 0.02):
            yield
    assert world.postgres.log().count("deadlock detected") > before, "there was no deadlock"


def pool_exhausted(world: World) -> Iterator[None]:
    """Somebody else's work holds all connections of every pool."""
    hogs = [
        threading.Thread(target=_hog, args=(node, 2 * HOLD_S))
        for node in world.nodes
        for _ in range(node.settings.pool_size)
    ]
    for hog in hogs:
        hog.start()
    yield
    for hog in hogs:
        hog.join()


def _hog(node: Node, seconds: float) -> None:
    def sleep(connection: psycopg.Connection) -> None:
        connection.exec_driver_sql(f"SELECT pg_sleep({seconds})")  # type: ignore[attr-defined]  # SQLAlchemy's

    with suppress(StoreUnavailable):  # then others have them all
        node.run(node.call("transact", sleep))


def everything(*cells: Callable[[World], Iterator[None]]) -> Callable[[World], Iterator[None]]:
    """All of them at once."""

    def cell(world: World) -> Iterator[None]:
        begun = [one(world) for one in cells]
        for one in begun:
            next(one)
        yield
        for one in begun:
            next(one, None)

    return cell
