"""One PostgreSQL server for the contract tests; each test has a database of its own, copied from a migrated one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sessile.stores.sql.postgres import upgrade
from sessile.testing.servers import PostgresServer, RedisServer
from tests.conftest import postgres_or_skip, redis_or_skip

TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = postgres_or_skip()
    try:
        server.start()
        upgrade(server.create_database(TEMPLATE))
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    server = redis_or_skip()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def run_sql(postgres: PostgresServer) -> Iterator[Callable[[str], object]]:
    """On a connection that stays: starting psql takes longer than what it is asked."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        run: Any = connection.execute
        yield run


@pytest.fixture
def database(postgres: PostgresServer, run_sql: Callable[[str], object]) -> Iterator[Callable[[Path], str]]:
    """The URL of the test's own database, made when it is first asked for."""
    made: dict[Path, str] = {}

    def url(place: Path) -> str:
        if place not in made:
            name = f"test_{next(_NUMBERS)}"
            run_sql(f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE} STRATEGY file_copy')
            made[place] = postgres.url(name)
        return made[place]

    yield url
    for made_url in made.values():
        run_sql(f'DROP DATABASE "{made_url.rpartition("/")[2]}" WITH (FORCE)')


_NUMBERS = itertools.count(1)
