"""Several processes on one SQLite file, all started at the same moment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sessile.model.document import Actor
from sessile.model.errors import SessionEnded, SessionNotFound
from sessile.model.session import Session
from sessile.runtime.assemble import SystemClock, SystemRandom
from sessile.runtime.lane import drive
from sessile.stores.sql import BlockingSqliteStore
from sessile.testing.lab import Bench
from tests.contract.process_worker import ROUNDS

WORKER = Path(__file__).with_name("process_worker.py")
ROOT = WORKER.parents[2]
ADA = Actor(user_id="ada")


def race(url: str, task: str, argument: str = "", *, processes: int = 3) -> list[list[Any]]:
    """What each process printed; fails with its error output when one did not come to a good end."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.contract.process_worker", url, task, str(number), argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for number in range(processes)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n", worker.communicate()[1]
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        results = []
        for worker in workers:
            output, errors = worker.communicate(timeout=60)
            assert worker.returncode == 0, errors
            results.append(json.loads(output))
        return results
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sessile.db"


def open_bench(url: str) -> Bench:
    bench = Bench(BlockingSqliteStore(url), SystemClock(), SystemRandom())
    drive(bench.store.open())
    return bench


def test_every_change_gets_a_version_of_its_own(url: str) -> None:
    bench = open_bench(url)
    document_id = drive(bench.documents.open(ADA, "form", {})).document.document_id
    versions = [version for result in race(url, "append", document_id) for version in result]
    assert sorted(versions) == list(range(1, len(versions) + 1))
    document = drive(bench.documents.get(ADA, document_id))
    assert (document.version, document.state) == (len(versions), {"n": len(versions)})
    log = drive(bench.store.read(lambda tx: tx.documents.changes(document_id, after=0)))
    of_devices = Counter((change.device_id, change.seq) for change in log if change.seq is not None)
    assert (len(of_devices), set(of_devices.values())) == (3 * ROUNDS, {1})
    drive(bench.store.close())


def test_a_change_that_all_of_them_send_is_taken_once(url: str) -> None:
    bench = open_bench(url)
    document_id = drive(bench.documents.open(ADA, "form", {})).document.document_id
    results = race(url, "repeat", document_id)
    assert results[0] == results[1] == results[2] == list(range(1, ROUNDS + 1))
    assert drive(bench.documents.get(ADA, document_id)).state == {"n": ROUNDS}
    drive(bench.store.close())


def test_no_token_outlives_a_logout_that_other_processes_raced(url: str) -> None:
    bench = open_bench(url)
    issued = [drive(bench.sessions.create("ada")) for _ in range(ROUNDS)]
    handles = [one.session.session_id for one in issued]
    results = race(url, "turns", ",".join(handles))
    assert results[0][0] == ROUNDS
    for token in (
        [one.token for one in issued] + results[1][1] + [t for t in results[2][1] if t.split(".")[0] in handles]
    ):
        with pytest.raises((SessionEnded, SessionNotFound)):
            drive(bench.sessions.authenticate(token))
    for session in drive(bench.sessions.of_user("ada")):
        assert isinstance(session, Session)
        assert session.session_id not in handles, "only a login that came after the end began a session, and a new one"
    drive(bench.store.close())


def test_a_lease_is_given_to_one_process(url: str) -> None:
    drive(open_bench(url).store.close())
    results = race(url, "leases")
    assert sorted(name for result in results for name in result) == sorted(f"lease {n}" for n in range(ROUNDS))


@pytest.mark.parametrize("attempt", range(3))
def test_processes_that_open_a_new_file_at_once_agree(url: str, attempt: int) -> None:
    results = race(url, "open", processes=4)
    assert len({result[0] for result in results}) == 1
    again = open_bench(url)
    assert drive(again.store.read(lambda tx: tx.instance("key"))) == results[0][0]
    drive(again.store.close())
