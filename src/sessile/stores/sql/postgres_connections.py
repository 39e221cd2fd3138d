"""Connections to PostgreSQL on an event loop, ready for the next transaction.

SQLAlchemy's pool makes and counts them. To take one from it and to give it back takes as long as a statement, so one that becomes free stays
here, and goes back only when somebody waits for the pool.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool

from sessile.model.health import PoolStatus
from sessile.stores.sql.breaker import Breaker
from sessile.stores.sql.drivers import told

ROLLBACK = "ROLLBACK"


class Connections:
    """Of an engine for which every statement stands for itself (AUTOCOMMIT): transactions are begun and ended here, by statements."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._ready: list[AsyncConnection] = []
        self._waiting = 0
        self._is_closed = False
        self._breaker = Breaker()
        event.listen(engine.sync_engine, "checkout", _check_connected)

    @asynccontextmanager
    async def transaction(self, begin: str) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction, which the caller ends. After an error it is rolled back, or thrown away when that is not to be had."""
        connection = await self._begun(begin)
        try:
            yield connection
        except BaseException as error:
            await self._abandon(connection, error)
            raise
        finally:
            await self._give(connection)

    @asynccontextmanager
    async def ordinary(self) -> AsyncIterator[AsyncConnection]:
        """One that behaves as SQLAlchemy says, transactions included: for an application's own work."""
        if self._ready:
            await self._ready.pop().close()
        with self._breaker.trying():
            connection = await self._connect()
        try:
            yield await connection.execution_options(isolation_level="READ COMMITTED")
        finally:
            await connection.close()

    async def close(self) -> None:
        """Lets go of all; what is still at work goes when it is given back."""
        self._is_closed = True
        ready, self._ready = self._ready, []
        for connection in ready:
            await connection.close()
        await self._engine.dispose()

    def status(self) -> PoolStatus:
        pool = self._engine.sync_engine.pool
        assert isinstance(pool, QueuePool)
        return PoolStatus(
            pool.checkedin() + pool.checkedout(),
            max(0, pool.checkedout() - len(self._ready)),
            pool.size(),
            self._waiting,
        )

    async def _begun(self, begin: str) -> AsyncConnection:
        with self._breaker.trying():
            connection = await self._take()
            try:
                await run(connection, begin)
            except BaseException as error:
                await self._abandon(connection, error)
                await self._give(connection)
                raise
            return connection

    async def _take(self) -> AsyncConnection:
        while self._ready:
            connection = self._ready.pop()
            if not raw(connection).is_closed():
                return connection
            await connection.invalidate()
            await connection.close()
        return await self._connect()

    async def _abandon(self, connection: AsyncConnection, error: BaseException) -> None:
        if connection.invalidated:  # SQLAlchemy saw that it is lost
            return
        if isinstance(
            error, TimeoutError
        ):  # nobody answers, and the connections that are ready now were made before that
            self._breaker.trip()
            stale, self._ready = self._ready, []
            for other in stale:
                await other.invalidate()
                await other.close()
        elif not raw(connection).is_closed():
            try:
                await run(connection, ROLLBACK)
            except (DBAPIError, OSError, TimeoutError):
                pass
            else:
                return
        await connection.invalidate()

    async def _give(self, connection: AsyncConnection) -> None:
        if self._waiting or self._is_closed or connection.invalidated:
            await connection.close()
            return
        try:
            if connection.in_transaction():  # as SQLAlchemy sees it, since its first statement
                await connection.rollback()
        except BaseException:
            await connection.invalidate()
            await connection.close()
            raise
        self._ready.append(connection)

    async def _connect(self) -> AsyncConnection:
        self._waiting += 1
        try:
            return await self._engine.connect()
        finally:
            self._waiting -= 1


def raw(connection: AsyncConnection) -> Any:
    """The connection of asyncpg itself."""
    assert connection.sync_connection is not None, "it is connected"
    return connection.sync_connection.connection.driver_connection


async def run(connection: AsyncConnection, statements: str) -> str:
    """The tag of the last statement. Raises what SQLAlchemy would raise."""
    try:
        done: str = await raw(connection).execute(statements)
    except Exception as error:
        raise told(error) from error
    return done


def _check_connected(_connection: Any, record: Any, _proxy: Any) -> None:
    """A connection that the server closed while nobody used it costs nobody a refusal: the pool makes another one."""
    if record.driver_connection.is_closed():
        raise DisconnectionError
