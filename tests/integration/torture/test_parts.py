"""The parts of the torture suite that a verdict depends on: cookies as browsers read them, environments of peers, what lies in the stores."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessile.testing.servers import RedisServer
from sessile.testing.torture import Engine, environments
from sessile.testing.torture.browser import Answer, Browser, SetCookie
from sessile.testing.torture.environments import EngineMissing, python_of
from sessile.testing.torture.storage import RedisSide, SqliteSide
from tests.conftest import redis_or_skip

PEER = Engine("peer", "Peer", Path("peer.py"), packages=("peer[redis]", "uvicorn"))


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("a=1; Path=/", "1"),
        ("a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "1"),
        ("a=1; Max-Age=0", None),
        ("a=1; Max-Age=-1", None),
        ("a=1; Max-Age=x", "1"),
        ("a=''; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly", None),
        ("a=1; Expires=Fri, 01 Jan 2100 00:00:00 GMT", "1"),
        ("a=1; Expires=never", "1"),
        ("a=b=c; Secure", "b=c"),
    ],
)
def test_a_cookie_is_kept_or_removed_as_a_browser_would(header: str, value: str | None) -> None:
    browser = Browser(0)
    browser.jar["a"] = "before"
    browser.keep(Answer(200, (("set-cookie", header),), {}, ""))
    assert browser.jar == ({} if value is None else {"a": value})


def test_what_is_shown_of_a_cookie_has_neither_value_nor_times() -> None:
    shown = SetCookie.parse("a=secret; Path=/; Max-Age=60; Secure; SameSite=Lax").shown
    assert shown == "a, path=/, max-age, secure, samesite=Lax"
    assert "secret" not in repr(SetCookie.parse("a=secret"))


class Installer:
    """In the place of `venv` and pip: makes the folder, and remembers what it was asked for."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.commands: list[str] = []

    def __call__(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        self.commands.append(command[2])
        if "--clear" in command or command[2] == "venv":
            Path(command[-1]).mkdir(parents=True, exist_ok=True)
        return subprocess.CompletedProcess(command, int(self.fails == command[2]))


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "sessile" / "torture"


def test_an_environment_is_made_once_and_anew_when_asked(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    installer = Installer()
    monkeypatch.setattr(environments, "_run", installer)
    python = python_of(PEER)
    assert python.parent.parent.parent == folder
    assert python_of(PEER) == python
    assert installer.commands == ["venv", "pip"]
    assert python_of(PEER, is_fresh=True) == python
    assert installer.commands == ["venv", "pip"] * 2


@pytest.mark.parametrize(
    ("fails", "told"), [("venv", "a virtual environment"), ("pip", "peer[redis], uvicorn could not")]
)
def test_what_cannot_be_installed_is_tried_again_next_time(
    monkeypatch: pytest.MonkeyPatch, folder: Path, fails: str, told: str
) -> None:
    monkeypatch.setattr(environments, "_run", Installer(fails))
    with pytest.raises(EngineMissing) as raised:
        python_of(PEER)
    assert told in str(raised.value)
    assert str(folder) not in str(raised.value)
    working = Installer()
    monkeypatch.setattr(environments, "_run", working)
    python_of(PEER)
    assert working.commands == ["venv", "pip"]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_or_skip() as server:
        yield server


def test_commands_and_changes_are_counted_without_our_own(redis: RedisServer) -> None:
    side = RedisSide(redis)
    commands, changes = side.commands(), side.changes()
    side.dump()
    assert (side.commands() - commands, side.changes() - changes) == (0, 0)
    redis.run("SET", "a", "1", "EX", 100)
    redis.run("GET", "a")
    assert (side.commands() - commands, side.changes() - changes) == (2, 1)
    redis.run("EXPIRE", "a", 50)
    assert (side.commands() - commands, side.changes() - changes) == (3, 2)


def test_every_kind_of_value_is_dumped_and_values_are_replaced(redis: RedisServer) -> None:
    side = RedisSide(redis)
    side.empty()
    for command in (("SET", "text", "one"), ("HSET", "map", "field", "two"), ("SADD", "set", "three"), ("RPUSH", "list", "four"), ("ZADD", "sorted", 1, "five")):  # fmt: skip
        redis.run(*command)
    assert {"text", "one", "field", "two", "three", "four", "five"} <= set(side.dump().split())
    redis.run("EXPIRE", "text", 100)
    assert side.overwrite(b"\xff") == 2
    assert (redis.run("GET", "text"), redis.run("HGET", "map", "field")) == (b"\xff", b"\xff")
    assert redis.run("TTL", "text") in {99, 100}
    side.empty()
    assert side.keys() == []


def test_commits_of_others_are_seen_in_sqlite(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("CREATE TABLE kept (id TEXT, data BLOB)")
    side = SqliteSide(tmp_path / "x.db", "kept", "data")
    before = side.changes()
    assert other.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    assert side.changes() == before
    other.execute("INSERT INTO kept VALUES ('secret', x'ff')")
    assert side.changes() != before
    assert "secret" in side.dump()
    assert "ff" in side.dump()
    side.damage(b"gone")
    assert other.execute("SELECT data FROM kept").fetchone() == (b"gone",)
    side.delete_rows()
    assert side.rows() == 0
    side.close()
    other.close()
