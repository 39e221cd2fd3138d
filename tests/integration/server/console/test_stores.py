"""The console on PostgreSQL with Redis, beside another process: what is found, what is ended, who is signed out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from sessile.model.operator_access import OperatorEnd, Role
from sessile.model.presence import PresenceLease
from sessile.runtime.manager import AsyncSessionManager
from sessile.stores.sql.postgres import upgrade
from sessile.testing.servers import PostgresServer, RedisServer
from tests.conftest import postgres_or_skip, redis_or_skip
from tests.integration.server.console.bench import console
from tests.integration.server.console.test_feed import reading

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with closing(redis_or_skip()) as server:
        server.start()
        yield server


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with closing(postgres_or_skip()) as server:
        assert isinstance(server, PostgresServer)
        server.start()
        url = server.create_database("console")
        upgrade(url)
        yield url


async def test_two_processes_are_one_console(database: str, redis: RedisServer) -> None:
    async with console(database_url=database, redis_url=redis.url()) as bench:
        other = AsyncSessionManager(bench.manager.settings, clock=bench.clock)
        await other.open()
        try:
            handles, tokens = [], []
            for number in range(3):
                issued = await other.create_session("ada", device={"label": f"Phone {number}"})
                bench.clock.advance(1)
                handles.append(issued.session.session_id)
                tokens.append(issued.token)
            now = bench.clock.now()
            lease = PresenceLease(
                node_id="n2",
                session_id=handles[0],
                device_id=handles[0],
                label="Phone 0",
                seen_at=now,
                lease_until=now.replace(year=2030),
            )
            await other.presence.connected([lease])
            operator = await bench.sign_in(Role.ADMIN)
            assert (await operator.json("/about"))["redis"].startswith("up (")
            found = await operator.json("/sessions", q='user:ada device:"phone 1"')
            assert [row["session_id"] for row in found["sessions"]] == [handles[1]]
            bench.count_anew()
            counts = (await operator.json("/overview"))["counts"]
            assert (counts["online"], counts["quiet"], counts["live"]) == (1, 2, 3)
            for token in tokens:
                assert (await other.authenticate(token)).user_id == "ada"
            async with reading(bench, operator, "watch=sessions&q=user:ada&every_ms=250") as reader:
                assert (await reader.next("sessions_reset"))["total"] == 3
                await other.set_idle_deadline(handles[2], bench.clock.now().replace(year=2030))
                while handles[2] not in {row["session_id"] for row in (await reader.next("sessions"))["changed"]}:
                    pass
                done = await operator.post("/sessions/end", q="user:ada", reason="drill")
                assert (done.json()["ended"], done.json()["sockets"]) == (3, 1)
                for token in tokens:
                    with pytest.raises(Exception, match="ended"):
                        await other.authenticate(token)
                (known,) = await other.operator_access.credentials()
                await other.operator_access.end(known.credential_id, OperatorEnd.REVOKED, by="root")
                assert await reader.next("end") == {"reason": "revoked"}
            assert (await operator.get("/overview")).json()["reason"] == "ended:revoked"
            verified = await other.audit.verify()
            assert list(verified.faults) == []
        finally:
            await other.close()
