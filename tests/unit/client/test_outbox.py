"""What was stored is there after anything that can happen to the process; a file that is not ours is left alone."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from sessile.client.effects import Pending
from sessile.client.errors import OutboxUnavailable
from sessile.client.outbox import Outbox
from sessile.client.outbox_file import OutboxFile
from sessile.model.errors import ConfigurationError


def numbered(prefix: str = "device") -> OutboxFile:
    return OutboxFile(None, names(prefix))


def names(prefix: str = "device"):
    numbers = count(1)
    return lambda: f"{prefix}-{next(numbers)}"


def draft(nonce: str, value: object = 1) -> Pending:
    return Pending(
        nonce=nonce, operations=[{"op": "set", "path": "/a", "value": value}], base_version=3, generation=None
    )


def seqs(box: OutboxFile, name: str) -> list[tuple[str | None, int | None]]:
    return [(entry.device_id, entry.seq) for entry in box.entries(name)]


def test_a_change_comes_back_as_it_was_stored() -> None:
    box = numbered()
    stored = box.add("intake", draft("n1", {"ä": [1, 2.5, None]}), {"x": 1})
    assert (stored.device_id, stored.seq) == ("device-1", 1)
    assert box.entries("intake") == [stored]
    assert box.waiting() == [("intake", {"x": 1})]


def test_each_document_is_numbered_for_itself_without_gaps() -> None:
    box = numbered()
    for nonce in "abc":
        box.add("one", draft(f"1{nonce}"), None)
        box.add("two", draft(f"2{nonce}"), None)
    assert [seq for _, seq in seqs(box, "one")] == [seq for _, seq in seqs(box, "two")] == [1, 2, 3]


def test_the_same_nonce_is_stored_once() -> None:
    box = numbered()
    assert box.add("one", draft("n"), None) == box.add("one", draft("n"), None)
    assert len(box.entries("one")) == 1


def test_an_ack_takes_out_what_it_covers_and_numbers_go_on() -> None:
    box = numbered()
    for nonce in "abc":
        box.add("one", draft(nonce), None)
    box.acknowledge("one", "somebody-else", 3)
    assert box.acknowledged("one") == 0
    box.acknowledge("one", "device-1", 2)
    assert box.acknowledged("one") == 2
    box.acknowledge("one", "device-1", 3)
    assert box.acknowledged("one") == 3
    assert box.waiting() == []
    assert box.add("one", draft("d"), None).seq == 4


def test_numbers_go_on_behind_what_the_server_knows() -> None:
    box = numbered()
    box.continue_after("one", "device-1", 7)
    box.continue_after("one", "somebody-else", 70)
    assert box.add("one", draft("a"), None).seq == 8
    box.continue_after("one", "device-1", 2)
    assert box.add("one", draft("b"), None).seq == 9


def test_a_new_identity_numbers_everything_again_in_the_same_order() -> None:
    box = numbered()
    for nonce in "abcd":
        box.add("one" if nonce != "c" else "two", draft(nonce), None)
    box.acknowledge("one", "device-1", 1)
    assert box.renew("device-1") == "device-2"
    assert [entry.nonce for entry in box.entries("one")] == ["b", "d"]
    assert seqs(box, "one") == [("device-2", 1), ("device-2", 2)]
    assert seqs(box, "two") == [("device-2", 1)]
    assert box.add("one", draft("e"), None).seq == 3
    assert box.renew("device-1") == "device-2", "another process that comes late follows"
    assert box.acknowledged("one") == 0


def test_a_claimed_outbox_knows_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite3"
    box = OutboxFile(path, names())
    assert box.identity().owner is None
    box.claim("user:ann")
    box.close()
    assert OutboxFile(path, names("other")).identity() == OutboxFile(path, names()).identity()
    assert OutboxFile(path, names()).identity().owner == "user:ann"


def test_two_processes_on_a_file_are_one_device(tmp_path: Path) -> None:
    first, second = OutboxFile(tmp_path / "box", names("a")), OutboxFile(tmp_path / "box", names("b"))
    assert first.identity() == second.identity()
    for number in range(6):
        (first if number % 2 else second).add("one", draft(str(number)), None)
    assert [(entry.nonce, entry.seq) for entry in first.entries("one")] == [(str(n), n + 1) for n in range(6)]


CRASH = """
import sys
from pathlib import Path
from sessile.client.effects import Pending
from sessile.client.outbox_file import OutboxFile
box = OutboxFile(Path(sys.argv[1]), lambda: "device")
for number in range(100_000):
    entry = box.add("one", Pending(nonce=str(number), operations=[], base_version=0, generation=0), None)
    print(entry.seq, flush=True)
"""


def test_what_was_stored_survives_kill_9(tmp_path: Path) -> None:
    """A process stores and says so; it is killed in the middle. Everything it said is there, in order, and nothing is there twice."""
    path = tmp_path / "box.sqlite3"
    said = 0
    for wanted in (1, 25, 80):
        with subprocess.Popen(
            [sys.executable, "-c", CRASH.replace("str(number)", f"'{wanted}.' + str(number)"), path],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                said = int(line)
                if said >= wanted:
                    break
            os.kill(process.pid, signal.SIGKILL)
        stored = [entry.seq for entry in OutboxFile(path, names()).entries("one")]
        assert stored == list(range(1, len(stored) + 1))
        assert len(stored) >= said >= wanted


def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite3"
    OutboxFile(path, names()).add("one", draft("n"), None)
    assert {entry.stat().st_mode & 0o777 for entry in tmp_path.iterdir()} == {0o600}


def test_a_stored_change_is_on_the_disk(tmp_path: Path) -> None:
    """FULL is what makes a commit survive a loss of power (sqlite.org, PRAGMA synchronous)."""
    box = OutboxFile(tmp_path / "box.sqlite3", names())
    assert box._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert box._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.sqlite3"
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE precious (a)")
    with pytest.raises(ConfigurationError, match="not an outbox"):
        OutboxFile(path, names())
    assert sqlite3.connect(path).execute("SELECT name FROM sqlite_schema").fetchall() == [("precious",)]


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "newer.sqlite3"
    OutboxFile(path, names())._connection.execute("PRAGMA user_version=99")
    with pytest.raises(ConfigurationError, match="format 99"):
        OutboxFile(path, names())


def test_a_file_that_is_no_database_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no database" * 100, encoding="utf-8")
    with pytest.raises(OutboxUnavailable):
        OutboxFile(path, names())


def test_a_change_that_cannot_be_stored_is_not_half_stored(tmp_path: Path) -> None:
    box = OutboxFile(tmp_path / "box.sqlite3", names())
    box._connection.execute(
        "CREATE TRIGGER full BEFORE INSERT ON changes BEGIN SELECT raise(ABORT, 'disk is full'); END"
    )
    with pytest.raises(OutboxUnavailable, match="disk is full"):
        box.add("one", draft("n"), None)
    box._connection.execute("DROP TRIGGER full")
    assert box.add("one", draft("m"), None).seq == 1


async def test_calls_run_to_their_end_and_in_order_when_their_callers_are_cancelled(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box.sqlite3")
    await box.open()
    calls = [asyncio.create_task(box.add("one", draft(str(number)), None)) for number in range(20)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    stored = [entry.seq for entry in await box.entries("one")]
    assert stored == list(range(1, len(stored) + 1))
    assert {entry.nonce for entry in await box.entries("one")} == {str(number) for number in range(20)}
    await box.close()


async def test_a_closed_outbox_says_so(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box.sqlite3")
    await box.open()
    await box.close()
    await box.close()
    with pytest.raises(OutboxUnavailable, match="closed"):
        await box.identity()
