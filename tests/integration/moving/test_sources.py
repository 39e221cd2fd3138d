"""Sessions that real libraries kept are taken over, and the cookies that they gave out lead to them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import signing
from sqlalchemy import create_engine, text

from sessile.model.errors import ConfigurationError, SessionNotFound, StoreUnavailable
from sessile.model.legacy import LegacyKind, hash_legacy
from sessile.model.values import decode
from sessile.moving.importing import Importer, Plan, Report
from sessile.moving.payload import PayloadRefused
from sessile.moving.signed import DJANGO_STORE_SALT, SignedCookies
from sessile.moving.sources import PIECE, SessionSource, open_source
from sessile.ports import Clock
from sessile.runtime.assemble import SystemClock
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from sessile.testing import FakeClock
from sessile.testing.servers import PostgresServer, RedisServer
from sessile.testing.servers.process import wait_until
from sessile.testing.shows import shows_security
from tests.conftest import postgres_or_skip
from tests.integration.moving.recordings import recording

CART = {"apples": 3, "note": "naïve", "rows": [1, {"sku": "a/b"}]}
SECRET = "the old secret of a test"
LONG: dict[str, Any] = {
    "database_url": "memory://",
    "absolute_timeout_s": 90 * 86400,
    "remember_timeout_s": 90 * 86400,
}
READING = {"hello", "scan", "pttl", "getrange"}


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    with SessionManager(Settings(database_url="memory://")) as opened:
        yield opened


def run(source: SessionSource, manager: SessionManager | None, clock: Clock | None = None, *, kind: LegacyKind, **facts: Any) -> Report:  # fmt: skip
    return Importer(Plan(kind, **facts), clock or SystemClock(), manager).run(source)


def imported(redis: RedisServer, manager: SessionManager | None, kind: LegacyKind, **facts: Any) -> Report:
    return run(open_source(kind, redis.url(), SystemClock()), manager, kind=kind, **facts)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("flask_session_msgpack", LegacyKind.FLASK_SESSION),
        ("flask_session_json", LegacyKind.FLASK_SESSION),
        ("flask_session_signed", LegacyKind.FLASK_SESSION),
        ("starsessions", LegacyKind.STARSESSIONS),
        ("litestar", LegacyKind.LITESTAR),
    ],
)
def test_what_a_real_library_wrote_comes_over(
    name: str, kind: LegacyKind, redis: RedisServer, manager: SessionManager
) -> None:
    recorded = recording(name)
    recorded.into_redis(redis)
    report = imported(redis, manager, kind)
    assert (report.imported, report.skipped, report.lost) == (len(recorded.cookies), {}, 0)
    for user, cookie in recorded.cookies.items():
        session = manager.legacy.arrive(hash_legacy(cookie.partition(".")[0])).session
        assert session.user_id == (user or None)
        data = decode(session.data)
        assert data["cart"] == CART
        assert "__metadata__" not in data
    if "eve" in recorded.cookies:
        (eve,) = manager.list_sessions("eve")
        data = decode(eve.data)
        assert (data["_user_id"], data["_permanent"]) == ("eve", True)
        if name != "flask_session_json":
            assert (data["bytes"], data["when"]) == (b"\x00\xff", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    again = imported(redis, manager, kind)
    assert (again.imported, again.known) == (0, len(recorded.cookies))


def test_a_redis_source_is_only_read_and_never_held_up(redis: RedisServer, manager: SessionManager) -> None:
    recorded = recording("flask_session_msgpack")
    recorded.into_redis(redis)
    for number in range(3 * PIECE):
        redis.run("SET", f"other:{number}", "x")
    redis.run("HSET", "session:" + "H" * 43, "a", "b")
    before = redis.run("DBSIZE")
    redis.run("CONFIG", "RESETSTAT")
    report = imported(redis, manager, LegacyKind.FLASK_SESSION)
    calls = {name.removeprefix("cmdstat_"): value for name, value in redis.info("commandstats").items()}
    ours = {name for name in calls if not name.startswith(("config", "info"))}
    assert ours == READING
    scans = int(calls["scan"].partition("calls=")[2].partition(",")[0])
    assert scans >= 3, "in small pieces"
    assert redis.run("DBSIZE") == before
    assert (report.imported, report.skipped) == (3, {"shape": 1})


def test_another_database_prefix_and_password_are_used(manager: SessionManager) -> None:
    from tests.conftest import redis_or_skip

    with redis_or_skip(password="pass/word") as server:
        name = "app*[1]:" + "A" * 43
        server.run("SET", "appX1:" + "B" * 43, b'{"user_id":"eve"}')
        server.run("SET", name, b'{"user_id":"ada"}')
        source = open_source(LegacyKind.FLASK_SESSION, server.url(), SystemClock(), prefix="app*[1]:")
        report = run(source, manager, kind=LegacyKind.FLASK_SESSION)
        assert (report.read, report.imported) == (1, 1)
        empty = open_source(LegacyKind.FLASK_SESSION, server.url(database=3), SystemClock(), prefix="app*[1]:")
        assert run(empty, manager, kind=LegacyKind.FLASK_SESSION).read == 0
        wrong = server.url().replace("word", "words")
        with pytest.raises(StoreUnavailable, match="WRONGPASS") as refused:
            run(open_source(LegacyKind.FLASK_SESSION, wrong, SystemClock()), manager, kind=LegacyKind.FLASK_SESSION)
        assert "words" not in refused.value.message


def test_who_may_not_read_all_of_it_is_told_so(redis: RedisServer, manager: SessionManager) -> None:
    recording("flask_session_msgpack").into_redis(redis)
    address = redis.url().replace("redis://", "redis://reader:secret@")
    for missing in ("pttl", "getrange", "scan"):
        may = [f"+{name}" for name in READING - {missing}]
        redis.run("ACL", "SETUSER", "reader", "reset", "on", ">secret", "~*", *may)
        with pytest.raises(StoreUnavailable, match="NOPERM"):
            run(open_source(LegacyKind.FLASK_SESSION, address, SystemClock()), manager, kind=LegacyKind.FLASK_SESSION)
    redis.run("ACL", "SETUSER", "reader", "reset", "on", ">secret", "~*", *(f"+{name}" for name in READING))
    source = open_source(LegacyKind.FLASK_SESSION, address, SystemClock())
    assert run(source, manager, kind=LegacyKind.FLASK_SESSION).imported == 3


def test_a_replica_will_do(redis: RedisServer, manager: SessionManager) -> None:
    recording("flask_session_msgpack").into_redis(redis)
    with RedisServer(replica_of=redis) as replica:
        wait_until(lambda: replica.run("DBSIZE") == 3, "the replica has everything")
        source = open_source(LegacyKind.FLASK_SESSION, replica.url(), SystemClock())
        assert run(source, manager, kind=LegacyKind.FLASK_SESSION).imported == 3


def test_a_table_of_flask_session_comes_over(tmp_path: Path) -> None:
    recorded = recording("flask_session_table")
    recorded.into_sqlite(tmp_path / "old.db")
    assert recorded.at is not None
    clock = FakeClock(recorded.at)
    with SessionManager(Settings(**LONG), clock=clock) as manager:
        source = open_source(LegacyKind.FLASK_SESSION, f"sqlite:///{tmp_path}/old.db", clock)
        report = run(source, manager, clock, kind=LegacyKind.FLASK_SESSION)
        assert (report.imported, report.skipped) == (2, {})
        session = manager.legacy.arrive(hash_legacy(recorded.cookies["ada"])).session
        assert (session.user_id, decode(session.data)["cart"]) == ("ada", CART)
        left = session.absolute_expires_at - recorded.at
        assert timedelta(days=30, hours=23) < left < timedelta(days=31), "as Flask-Session had it, in UTC"
    clock.set(recorded.at + timedelta(days=32))
    source = open_source(LegacyKind.FLASK_SESSION, f"sqlite:///{tmp_path}/old.db", clock)
    assert run(source, None, clock, kind=LegacyKind.FLASK_SESSION).skipped == {"expired": 2}


def django_row(values: dict[str, Any], secret: str = SECRET) -> str:
    signer = signing.TimestampSigner(key=secret, salt=DJANGO_STORE_SALT, fallback_keys=[])
    return str(signer.sign_object(values, compress=True))


DDL = "CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text NOT NULL, expire_date {} NOT NULL)"


def fill_django(url: str, kind: str, count: int, expires_at: datetime) -> None:
    engine = create_engine(url)
    rows = [
        {
            "key": f"{number:032d}",
            "data": django_row({"_auth_user_id": str(number % 7), "note": "x" * 300}),
            "at": expires_at,
        }
        for number in range(count)
    ]
    with engine.begin() as connection:
        connection.execute(text(DDL.format(kind)))
        connection.execute(text("INSERT INTO django_session VALUES (:key, :data, :at)"), rows)
    engine.dispose()


@pytest.mark.filterwarnings("ignore:The default datetime adapter is deprecated:DeprecationWarning")
def test_a_table_of_django_comes_over_in_pieces(tmp_path: Path, manager: SessionManager) -> None:
    url = f"sqlite:///{tmp_path}/django.db"
    fill_django(url, "datetime", 2 * PIECE + 1, datetime.now(UTC).replace(tzinfo=None) + timedelta(days=14))
    source = open_source(LegacyKind.DJANGO, url, SystemClock())
    report = run(source, manager, kind=LegacyKind.DJANGO, secrets=(SECRET,))
    assert (report.imported, report.skipped) == (2 * PIECE + 1, {})
    assert len(manager.list_sessions("3")) == 57
    assert manager.legacy.arrive(hash_legacy(f"{3:032d}")).session.user_id == "3"
    wrong = run(open_source(LegacyKind.DJANGO, url, SystemClock()), None, kind=LegacyKind.DJANGO, secrets=("other",))
    assert (wrong.imported, wrong.skipped) == (0, {"signature": 2 * PIECE + 1})


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_or_skip() as server:
        yield server


def test_a_table_on_postgresql_is_read_in_a_connection_that_cannot_write(
    postgres: PostgresServer, manager: SessionManager
) -> None:
    postgres.create_database("django")
    url = postgres.url("django")
    driver = url.replace("postgresql://", "postgresql+psycopg://")
    fill_django(driver, "timestamptz", 5, datetime.now(UTC) + timedelta(days=14))
    report = run(open_source(LegacyKind.DJANGO, url, SystemClock()), manager, kind=LegacyKind.DJANGO, secrets=(SECRET,))
    assert report.imported == 5
    from sessile.moving.sources import _engine_of

    engine = _engine_of(url)
    with engine.connect() as connection, pytest.raises(Exception, match="read-only"):
        connection.execute(text("DELETE FROM django_session"))
    engine.dispose()


@pytest.mark.parametrize("name", ["django_db", "django_cached_db"])
def test_a_table_that_django_wrote_comes_over(name: str, tmp_path: Path) -> None:
    recorded = recording(name)
    recorded.into_sqlite(tmp_path / "old.db")
    assert recorded.at is not None
    clock = FakeClock(recorded.at)
    with SessionManager(Settings(**LONG), clock=clock) as manager:
        source = open_source(LegacyKind.DJANGO, f"sqlite:///{tmp_path}/old.db", clock)
        report = run(source, manager, clock, kind=LegacyKind.DJANGO, secrets=("a newer one", SECRET))
        assert (report.imported, report.skipped) == (2, {})
        _is_sevens(manager, recorded.cookies["7"])
        session = manager.legacy.arrive(hash_legacy(recorded.cookies["7"])).session
        assert timedelta(days=13, hours=23) < session.absolute_expires_at - recorded.at < timedelta(days=14)
        assert manager.legacy.arrive(hash_legacy(recorded.cookies[""])).session.user_id is None


def _is_sevens(manager: SessionManager, cookie: str) -> None:
    session = manager.legacy.arrive(hash_legacy(cookie)).session
    data = decode(session.data)
    assert (session.user_id, data["_auth_user_id"], data["_auth_user_hash"], data["cart"]) == ("7", "7", "0" * 64, CART)


@shows_security("V1.5.2", "V-10")
def test_djangos_cache_comes_over_where_it_is_json_and_is_refused_where_it_is_a_pickle(
    redis: RedisServer, manager: SessionManager
) -> None:
    for name in ("django_cache", "django_cache_pickle", "django_cached_db"):
        recording(name).into_redis(redis)
    report = imported(redis, manager, LegacyKind.DJANGO)
    assert (report.imported, report.skipped) == (2, {"pickle": 1, "shape": 2}), "`cached_db` has a table"
    _is_sevens(manager, recording("django_cache").cookies["7"])


def test_a_signed_cookie_that_django_wrote_is_read() -> None:
    recorded = recording("django_signed_cookies")
    assert recorded.at is not None
    reader = SignedCookies(LegacyKind.DJANGO_COOKIE, [SECRET])
    for user, value in recorded.cookies.items():
        found = reader.read(value, recorded.at)
        assert (found.values.get("_auth_user_id", ""), found.values["cart"]) == (user, CART)
        with pytest.raises(PayloadRefused):
            reader.read(value, recorded.at + timedelta(days=15))


@shows_security("V1.5.2", "V-10")
def test_old_pickles_of_flask_session_are_told_and_not_read(
    redis: RedisServer, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickle, "loads", None)
    recorded = recording("flask_session_pickle")
    recorded.into_redis(redis)
    report = imported(redis, manager, LegacyKind.FLASK_SESSION)
    assert (report.imported, report.skipped) == (0, {"pickle": len(recorded.cookies)})
    assert len(report.examples["pickle"]) == len(recorded.cookies)


def test_what_is_not_taken_over_is_told_and_what_cannot_be_kept_has_a_path(
    redis: RedisServer, manager: SessionManager
) -> None:
    manager.disable_user("eve")
    values: dict[str, bytes | str] = {
        "A" * 43: '{"user_id": "ada", "price": NaN, "n": 1}',
        "B" * 43: '{"user_id": "eve"}',
        "C" * 43: "{}",
        "D" * 43: "nonsense",
        "E" * 43: '{"user_id": ["ada"]}',
        "short": '{"user_id": "ada"}',
        "F" * 43: b"{" + b" " * (1024 * 1024 + 10),
    }
    for name, value in values.items():
        redis.run("SET", f"session:{name}", value)
    report = imported(redis, manager, LegacyKind.FLASK_SESSION)
    assert report.imported == 1
    assert report.skipped == {"disabled": 1, "empty": 1, "unreadable": 1, "user": 1, "shape": 1, "too_large": 1}
    ((name, loss),) = report.losses
    assert (name, loss.path) == (hash_legacy("A" * 43).hex()[:12], "/price")
    assert decode(manager.legacy.arrive(hash_legacy("A" * 43)).session.data) == {"user_id": "ada", "n": 1}
    told = json.dumps(report.as_dict())
    assert not [legacy_id for legacy_id in values if legacy_id in told], "no credential is in a report"


def test_a_dry_run_counts_and_writes_nothing(redis: RedisServer) -> None:
    recording("flask_session_msgpack").into_redis(redis)
    report = imported(redis, None, LegacyKind.FLASK_SESSION)
    assert (report.run_id, report.imported) == (None, 3)


def test_where_the_users_id_stands_can_be_said(redis: RedisServer, manager: SessionManager) -> None:
    redis.run("SET", "session:" + "A" * 43, '{"user_id": "eve", "auth": {"uid": 12}}')
    report = imported(redis, manager, LegacyKind.FLASK_SESSION, user_keys=("/auth/uid",))
    assert report.imported == 1
    assert manager.legacy.arrive(hash_legacy("A" * 43)).session.user_id == "12"


@pytest.mark.parametrize(
    ("kind", "address", "told"),
    [
        (LegacyKind.FLASK_COOKIE, "redis://localhost", "nothing to import"),
        (LegacyKind.STARSESSIONS, "sqlite:///old.db", "begins with redis://"),
        (LegacyKind.FLASK_SESSION, "redis+sentinel://localhost/main", "its master or a replica"),
        (LegacyKind.FLASK_SESSION, "redis://:secret@host:x", "The address of the source"),
        (LegacyKind.DJANGO, "nonsense", "database URL"),
        (LegacyKind.DJANGO, "cobol://localhost/a", "database URL"),
    ],
)
def test_a_source_that_cannot_be_is_refused_and_no_password_is_repeated(
    kind: LegacyKind, address: str, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as refused:
        open_source(kind, address, SystemClock())
    assert "secret" not in refused.value.message


def test_a_source_that_is_away_is_an_outage(tmp_path: Path) -> None:
    for address in ("redis://127.0.0.1:1", f"sqlite:///{tmp_path}/nowhere.db"):
        with pytest.raises(StoreUnavailable):
            run(open_source(LegacyKind.FLASK_SESSION, address, SystemClock()), None, kind=LegacyKind.FLASK_SESSION)
    assert list(tmp_path.iterdir()) == [], "a mistyped name makes no file"


def test_an_unknown_credential_is_nobodys(manager: SessionManager) -> None:
    with pytest.raises(SessionNotFound):
        manager.legacy.arrive(hash_legacy("A" * 43))
