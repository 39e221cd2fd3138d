"""Holds what the devices were told against what is in the database. Reads the file with sqlite3 alone; replays the log with the reducer."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from sessile.model.canonical import canonical, state_hash
from sessile.model.operations import apply
from tests.soak.people import History, word_of


@dataclass(frozen=True)
class Line:
    """One line of a document's log."""

    version: int
    device_id: str | None
    seq: int | None
    verdict: str
    operations: Sequence[Mapping[str, Any]]
    state_hash: str | None = None


@dataclass(frozen=True)
class Log:
    """One document, as the database has it."""

    user: str
    name: str
    version: int
    epoch: str
    state: Mapping[str, Any]
    state_version: int
    lines: Sequence[Line]
    initial: Mapping[str, Any] = field(default_factory=lambda: {"todo": []})
    checkpoints: Sequence[tuple[int, Mapping[str, Any]]] = ()
    """(version, state)."""


@dataclass(frozen=True)
class Seen:
    """What one device shows of one document at the end."""

    device: str
    name: str
    position: tuple[str | None, int]
    state: Any
    pending: int


def read(database: Path) -> list[Log]:
    """Every document with its log and checkpoints."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return [_read_document(connection, row) for row in connection.execute(_DOCUMENTS).fetchall()]
    finally:
        connection.close()


def heads(database: Path) -> dict[tuple[str, str], tuple[str, int]]:
    """(user, document name) to (epoch, version)."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    try:
        rows = connection.execute("SELECT owner_user_id, name, epoch, version FROM documents").fetchall()
        return {(user, name): (epoch, version) for user, name, epoch, version in rows}
    finally:
        connection.close()


_DOCUMENTS = "SELECT document_id, owner_user_id, name, version, epoch, state, state_version FROM documents"
_LINES = "SELECT version, device_id, seq, verdict, operations, state_hash FROM changes WHERE document_id = ? ORDER BY version"
_CHECKPOINTS = "SELECT version, state FROM checkpoints WHERE document_id = ?"


def _read_document(connection: sqlite3.Connection, row: Sequence[Any]) -> Log:
    document_id, user, name, version, epoch, state, state_version = row
    decode = msgspec.json.decode
    return Log(
        user=user,
        name=name,
        version=version,
        epoch=epoch,
        state=decode(state),
        state_version=state_version,
        lines=[
            Line(version, device_id, seq, verdict, decode(operations), state_hash)
            for version, device_id, seq, verdict, operations, state_hash in connection.execute(_LINES, (document_id,))
        ],
        checkpoints=[(at, decode(saved)) for at, saved in connection.execute(_CHECKPOINTS, (document_id,))],
    )


def faults(logs: Sequence[Log], histories: Sequence[History], seen: Sequence[Seen]) -> list[str]:
    """Everything that is not as it must be; empty when all is well."""
    found: list[str] = []
    for log in logs:
        found += (f"{log.user}/{log.name}: {fault}" for fault in _faults_of_log(log))
    by_word = {
        word: (log, line) for log in logs for line in log.lines if (word := word_of(line.operations)) is not None
    }
    for history in histories:
        found += (f"{history.device}: {fault}" for fault in _faults_of_history(history, logs, by_word))
    documents = {(log.user, log.name): log for log in logs}
    for view in seen:
        log = documents[view.device.rpartition("-")[0], view.name]
        found += (f"{view.device} shows {view.name}: {fault}" for fault in _faults_of_view(view, log))
    return found


def _faults_of_log(log: Log) -> Iterator[str]:
    versions = [line.version for line in log.lines]
    if versions != list(range(1, log.version + 1)):
        yield f"the versions are not 1 to {log.version} without a gap"
        return
    words = Counter(word for line in log.lines if (word := word_of(line.operations)) is not None)
    for word, count in words.items():
        if count > 1:
            yield f"{word} is in the log {count} times"
    seqs: dict[str, int] = {}
    for line in log.lines:
        if line.seq is not None and line.device_id is not None:
            if line.seq != seqs.get(line.device_id, 0) + 1:
                yield f"version {line.version} has seq {line.seq} after {seqs.get(line.device_id, 0)} of its device"
            seqs[line.device_id] = line.seq
    yield from _faults_of_states(log)


def _faults_of_states(log: Log) -> Iterator[str]:
    wanted = {version for version, _ in log.checkpoints} | {log.state_version, log.version}
    states: dict[int, Any] = {}
    state: Any = log.initial
    for version in range(log.version + 1):
        line = log.lines[version - 1] if version else None
        if line is not None and line.verdict == "applied":
            state = apply(state, line.operations).state
        if line is not None and line.state_hash is not None and state_hash(state) != line.state_hash:
            yield f"the hash of version {version} is not that of its state"
        if version in wanted:
            states[version] = canonical(state)
    if states[log.state_version] != canonical(log.state):
        yield f"the stored state is not that of version {log.state_version}"
    for version, saved in log.checkpoints:
        if states.get(version) != canonical(saved):
            yield f"a checkpoint of version {version} has another state"


def final_state(log: Log) -> bytes:
    """The canonical form of the state at the end of the log."""
    state: Any = log.initial
    for line in log.lines:
        if line.verdict == "applied":
            state = apply(state, line.operations).state
    return canonical(state)


def _faults_of_history(history: History, logs: Sequence[Log], by_word: Mapping[str, tuple[Log, Line]]) -> Iterator[str]:
    made = {word for _, word in history.made}
    for word in history.told_twice:
        yield f"{word} was told twice"
    for _, word in history.made:
        if word not in by_word:
            was = "acknowledged" if word in history.told else "made"
            yield f"{word} was {was} and is not in the log"
        if word not in history.told:
            yield f"{word} was made and never acknowledged"
    for word, answer in history.told.items():
        if word not in by_word:
            if word not in made:
                yield f"{word} was acknowledged and is not in the log"
            continue
        line = by_word[word][1]
        if answer.verdict is not None and (answer.version, str(answer.verdict)) != (line.version, line.verdict):
            yield f"{word} was told as {answer.verdict} at {answer.version} and is {line.verdict} at {line.version}"
    yield from _faults_of_order(history, logs)


def _faults_of_order(history: History, logs: Sequence[Log]) -> Iterator[str]:
    user = history.device.rpartition("-")[0]
    for log in logs:
        if log.user == user:
            made = [word for name, word in history.made if name == log.name]
            words = [word_of(line.operations) for line in log.lines]
            logged = [word for word in words if word is not None and word.startswith(f"{history.device}/")]
            if logged != made and sorted(logged) == sorted(made):
                yield f"its changes of {log.name} are in the log in another order"


def _faults_of_view(view: Seen, log: Log) -> Iterator[str]:
    if view.pending:
        yield f"{view.pending} changes are still waiting"
    if view.position != (log.epoch, log.version):
        yield f"it is at {view.position}, the log at {(log.epoch, log.version)}"
    elif canonical(view.state) != final_state(log):
        yield "its state is another one than the log gives"
