"""What people wrote is in no file of the database and in no key of Redis; keys are exchanged while it is used; rows that were moved do not open."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis as client
from sqlalchemy import create_engine, text

from sessile import Actor, AsyncSessionManager, ConfigurationError, SessionManager, Settings
from sessile.model.change_format import parse_operations
from sessile.model.document import Change, Submission
from sessile.model.errors import ContentUnreadable
from sessile.stores.sql.postgres import upgrade
from sessile.testing.servers import PostgresServer, RedisServer
from sessile.testing.shows import shows_security
from tests.conftest import postgres_or_skip, redis_or_skip

MARKER = "Zebrafink-Marke-7731"
"""In everything that people write here."""
FORMS = {
    MARKER.encode(),
    MARKER.encode().hex().encode(),
    *(base64.b64encode(b"x" * n + MARKER.encode())[4:-4] for n in range(3)),
}
ADA = Actor(user_id="ada", device_id="01900000-0000-7000-8000-00000000000a")
PHONE = Actor(user_id="ada", device_id="01900000-0000-7000-8000-00000000000b")


def key(name: str) -> str:
    return f"{name}:{base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()}"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    server = postgres_or_skip()
    with closing(server):
        server.start()
        yield server


def migrated(server: PostgresServer, name: str) -> str:
    url = server.create_database(name)
    upgrade(url)
    return url


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = redis_or_skip()
    with closing(server):
        server.start()
        yield server


def settings(url: str, *keys: str, strict: bool = False, redis: RedisServer | None = None) -> Settings:
    return Settings(
        database_url=url,
        encryption_keys=[key(name) for name in keys],
        encryption_strict=strict,
        redis_url=None if redis is None else redis.url(),
        fence_period_s=0.05,
    )


def write(manager: SessionManager) -> tuple[str, str]:
    """Session data, a state, operations, a conflict, a checkpoint: all with the marker. The handle and the document."""
    session = manager.create_session(
        "ada", data={"note": MARKER}, public={"name": MARKER}, device={"label": MARKER}
    ).session
    opened = manager.documents.open(ADA, "form", default={"note": MARKER, "big": MARKER * 100})
    document_id = opened.document.document_id
    manager.documents.open(PHONE, "form")
    for actor, value in ((ADA, "a"), (PHONE, "b")):
        operations = parse_operations([{"op": "set", "path": "/note", "value": f"{MARKER} {value}"}])
        change = Change(operations=operations, base_version=0, generation=0, device_id=actor.device_id, seq=1)
        (logged,) = manager.documents.submit(Submission(document_id, [change], actor)).logged
        assert logged.version
    manager.documents.checkpoint(ADA, document_id)
    return session.session_id, document_id


def check(manager: SessionManager, handle: str, document_id: str) -> None:
    session = manager.get_session(handle)
    assert session.public == {"name": MARKER}
    assert session.device == {"label": MARKER}
    assert MARKER.encode() in session.data
    opened = manager.documents.open(ADA, "form")
    assert opened.document.state["note"] == f"{MARKER} b"
    (conflict,) = opened.conflicts
    assert (conflict.path, conflict.loser, conflict.base) == ("/note", f"{MARKER} a", MARKER)
    (checkpoint,) = manager.documents.checkpoints(ADA, document_id)
    restored = manager.documents.restore(ADA, document_id, checkpoint.checkpoint_id, dry_run=True)
    assert restored.checkpoint.state["big"] == MARKER * 100


def found_in(content: bytes) -> list[bytes]:
    return [form for form in FORMS if form in content or form.upper() in content]


def test_no_file_of_sqlite_has_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with SessionManager(settings(url, "k1", strict=True)) as manager:
        check(manager, *write(manager))
        files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"sessile1" in files
        assert found_in(files) == []
    plain = tmp_path / "plain"
    plain.mkdir()
    with SessionManager(settings(f"sqlite:///{plain}/a.db")) as manager:
        write(manager)
        assert found_in(b"".join(path.read_bytes() for path in plain.iterdir())), "the look itself finds it"


def test_no_dump_of_postgres_has_it(postgres: PostgresServer) -> None:
    url = migrated(postgres, "encrypted")
    with SessionManager(settings(url, "k1", strict=True)) as manager:
        check(manager, *write(manager))
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    dump = b""
    with engine.connect() as connection:
        names = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'sessile'")).scalars().all()
        for name in names:
            for row in connection.execute(text(f'SELECT * FROM sessile."{name}"')):
                dump += b" ".join(v if isinstance(v, bytes) else str(v).encode() for v in row)
    engine.dispose()
    assert b"sessile1" in dump
    assert found_in(dump) == []


@shows_security("V-24")
async def test_no_key_of_redis_has_it_and_the_cache_serves(redis: RedisServer, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with SessionManager(settings(url, "k1")) as blocking:
        handle, _ = write(blocking)
    manager = AsyncSessionManager(settings(url, "k1", redis=redis))
    async with manager:
        for _ in range(200):
            assert (await manager.get_session(handle)).public == {"name": MARKER}
            if (status := (await manager.health()).cache) is not None and status.hits > 2:
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail("the cache was never used")
        content = _dump(redis)
        assert b"sessile1" in content
        assert found_in(content) == []


def _dump(redis: RedisServer) -> bytes:
    with closing(client.Redis.from_url(redis.url())) as connection:
        keys = list(connection.scan_iter())
        return b"".join(name + (connection.get(name) or b"") for name in keys)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_keys_are_exchanged_batch_by_batch(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/a.db"
    else:
        url = migrated(request.getfixturevalue("postgres"), "exchanged")
    with SessionManager(settings(url)) as manager:
        handle, document_id = write(manager)
        assert not manager.encryption.is_on
        with pytest.raises(ConfigurationError):
            manager.encryption.rewrite()
    with SessionManager(settings(url, "k1", strict=True)) as manager, pytest.raises(ContentUnreadable, match="STRICT"):
        manager.get_session(handle)
    for ring in (("k1",), ("k2", "k1")):
        with SessionManager(settings(url, *ring)) as manager:
            check(manager, handle, document_id)
            written, after, rounds = 0, None, 0
            while True:
                done = manager.encryption.rewrite(after=after, limit=1)
                written, after, rounds = written + done.written, done.after, rounds + 1
                assert rounds < 100
                if after is None:
                    break
            assert written >= 8, "session, principal, document, base, two changes, conflict, checkpoint"
            after, again = None, 0
            while True:
                done = manager.encryption.rewrite(after=after)
                again, after = again + done.written, done.after
                if after is None:
                    break
            assert again == 0
    with SessionManager(settings(url, "k2", strict=True)) as manager:
        check(manager, handle, document_id)
    with SessionManager(settings(url, "k1")) as manager:
        for look in (lambda: manager.get_session(handle), lambda: manager.documents.open(ADA, "form")):
            with pytest.raises(ContentUnreadable, match="`k2`"):
                look()


def test_a_session_is_ended_and_swept_without_its_key(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with SessionManager(settings(url, "k1")) as manager:
        handle = manager.create_session(None, data={"note": MARKER}).session.session_id
        theirs = manager.create_session("eve", data={"note": MARKER}).session.session_id
    with SessionManager(settings(url, "k2")) as manager:
        assert manager.cleanup_user_sessions("eve") == 1
        with pytest.raises(ContentUnreadable):
            manager.get_session(handle)
    with SessionManager(settings(url, "k1")) as manager:
        assert manager.validate_session(handle)
        assert not manager.validate_session(theirs)


@shows_security("V-24")
def test_content_that_was_moved_to_another_row_does_not_open(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with SessionManager(settings(url, "k1")) as manager:
        handle, document_id = write(manager)
        other = manager.create_session("eve", data={"admin": True}).session.session_id
        mine = manager.documents.open(
            Actor(user_id="eve", device_id=PHONE.device_id), "form", default={"x": 1}
        ).document.document_id
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE sessions SET data = (SELECT data FROM sessions WHERE session_id = :b) WHERE session_id = :a"),
            {"a": handle, "b": other},
        )
        connection.execute(
            text(
                "UPDATE documents SET state = (SELECT state FROM documents WHERE document_id = :b) WHERE document_id = :a"
            ),
            {"a": document_id, "b": mine},
        )
    engine.dispose()
    with SessionManager(settings(url, "k1")) as manager:
        with pytest.raises(ContentUnreadable):
            manager.get_session(handle)
        with pytest.raises(ContentUnreadable):
            manager.documents.open(ADA, "form")
        assert manager.get_session(other).user_id == "eve"
