"""Old sessions in a Redis that speaks TLS, in a cluster, and behind Sentinel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote

import pytest

from sessile.model.errors import ConfigurationError, StoreUnavailable
from sessile.model.legacy import LegacyKind, hash_legacy
from sessile.moving.importing import Importer, Plan, Report
from sessile.moving.sources import open_source
from sessile.runtime.assemble import SystemClock
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from sessile.testing.servers import RedisClusterSet
from sessile.testing.servers.resp import RedisRefused
from tests.conftest import redis_or_skip, server_or_skip
from tests.integration.moving.recordings import Recording, recording


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    with SessionManager(Settings(database_url="memory://")) as opened:
        yield opened


def imported(address: str, manager: SessionManager, kind: LegacyKind = LegacyKind.FLASK_SESSION) -> Report:
    return Importer(Plan(kind), SystemClock(), manager).run(open_source(kind, address, SystemClock()))


def check_all(recorded: Recording, report: Report, manager: SessionManager) -> None:
    assert (report.imported, report.skipped, report.lost) == (len(recorded.cookies), {}, 0)
    for user, cookie in recorded.cookies.items():
        assert manager.legacy.arrive(hash_legacy(cookie.partition(".")[0])).session.user_id == (user or None)


def test_over_tls_with_a_password(manager: SessionManager) -> None:
    recorded = recording("flask_session_msgpack")
    server = redis_or_skip(password="a password", tls=True)
    with server:
        recorded.into_redis(server)
        check_all(recorded, imported(f"{server.url()}?ca={quote(str(server.ca_file))}", manager), manager)
        with pytest.raises(StoreUnavailable, match="SSLCertVerificationError") as refused:
            imported(server.url(), manager)
        assert "a password" not in str(refused.value)
        assert "a%20password" not in str(refused.value)


def test_every_master_of_a_cluster_is_read(manager: SessionManager) -> None:
    recorded = recording("flask_session_msgpack")
    cluster = server_or_skip(lambda: RedisClusterSet(masters=3, replicas=0))
    with cluster:
        for one in recorded.keys:
            _put(cluster, Recording({}, [one], [], None))
        check_all(recorded, imported(cluster.url(), manager), manager)


def _put(cluster: RedisClusterSet, one: Recording) -> None:
    """Where its slot is; the others answer MOVED."""
    for server in cluster.servers:
        with suppress(RedisRefused):
            one.into_redis(server)
            return
    raise LookupError("nobody has the slot")


def test_behind_sentinel_it_says_what_to_name() -> None:
    with pytest.raises(ConfigurationError, match="its master or a replica"):
        open_source(LegacyKind.FLASK_SESSION, "redis+sentinel://127.0.0.1:26379/mymaster", SystemClock())
