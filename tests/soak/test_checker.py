"""The checker is only worth something if it finds what is forged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sessile.client.events import ChangeSettled
from sessile.client.records import Answer
from sessile.model.canonical import state_hash
from sessile.model.document import Operation, Verdict
from tests.soak.checker import Line, Log, Seen, faults
from tests.soak.people import History, Person


def line(version: int, seq: int, *, device: str = "ann-1", verdict: str = "applied", **more: Any) -> Line:
    said = {"op": "set", "path": f"/last_word/{device}", "value": f"{device}/{seq}"}
    return Line(version, f"id-of-{device}", seq, verdict, [said], **more)


def word(seq: int, device: str = "ann-1") -> str:
    return f"{device}/{seq}"


def state(seq: int) -> dict[str, Any]:
    return {"todo": [], "last_word": {"ann-1": word(seq)}}


def good() -> tuple[list[Log], list[History], list[Seen]]:
    lines = [line(1, 1), line(2, 2), line(3, 3, verdict="rejected"), line(4, 4, state_hash=state_hash(state(4)))]
    log = Log("ann", "intake", 4, "e", state(4), 4, lines, checkpoints=[(0, {"todo": []}), (2, state(2))])
    verdicts = [Verdict.APPLIED, Verdict.APPLIED, Verdict.REJECTED, Verdict.APPLIED]
    told = {word(seq): Answer(seq=seq, version=seq, verdict=verdict) for seq, verdict in enumerate(verdicts, start=1)}
    told[word(2)] = Answer(seq=2, version=None, verdict=None)  # acknowledged, the verdict was not repeated
    history = History("ann-1", [("intake", word(seq)) for seq in (1, 2, 3, 4)], told)
    return [log], [history], [Seen("ann-1", "intake", ("e", 4), state(4), 0)]


def test_a_good_history_has_no_faults() -> None:
    assert faults(*good()) == []


def forged_log(**values: Any) -> tuple[list[Log], list[History], list[Seen]]:
    logs, histories, seen = good()
    return [replace(logs[0], **values)], histories, seen


def with_lines(*lines: Line) -> tuple[list[Log], list[History], list[Seen]]:
    return forged_log(lines=list(lines), version=len(lines), state_version=len(lines))


LINES = good()[0][0].lines


@pytest.mark.parametrize(
    ("forged", "fault"),
    [
        (with_lines(*LINES[:3]), "ann-1/4 was acknowledged and is not in the log"),
        (with_lines(*LINES, replace(LINES[1], version=5, seq=5)), "ann-1/2 is in the log 2 times"),
        (with_lines(*LINES[:3], replace(LINES[3], seq=6)), "version 4 has seq 6 after 3"),
        (with_lines(LINES[0], replace(LINES[2], version=2), replace(LINES[1], version=3), LINES[3]), "seq 3 after 1"),
        (
            with_lines(replace(LINES[1], version=1, seq=1), replace(LINES[0], version=2, seq=2), *LINES[2:]),
            "in the log in another order",
        ),
        (forged_log(lines=[LINES[0], *LINES[2:]]), "the versions are not 1 to 4 without a gap"),
        (forged_log(state=state(2)), "the stored state is not that of version 4"),
        (forged_log(checkpoints=[(2, state(1))]), "a checkpoint of version 2 has another state"),
        (forged_log(checkpoints=[(9, state(1))]), "a checkpoint of version 9 has another state"),
        (with_lines(*LINES[:3], replace(LINES[3], state_hash="0" * 16)), "the hash of version 4"),
        (with_lines(*LINES[:2], replace(LINES[2], verdict="applied"), LINES[3]), "was told as rejected at 3"),
        (forged_log(epoch="other"), "it is at ('e', 4), the log at ('other', 4)"),
    ],
)
def test_a_forged_log_is_found(forged: tuple[list[Log], list[History], list[Seen]], fault: str) -> None:
    assert [it for it in faults(*forged) if fault in it], faults(*forged)


def test_what_was_never_acknowledged_is_found() -> None:
    logs, histories, seen = good()
    del histories[0].told[word(4)]
    assert faults(logs, histories, seen) == ["ann-1: ann-1/4 was made and never acknowledged"]


def test_what_was_told_twice_is_found() -> None:
    logs, histories, seen = good()
    histories[0].told_twice.append(word(1))
    assert faults(logs, histories, seen) == ["ann-1: ann-1/1 was told twice"]


def test_what_was_acknowledged_to_a_device_that_never_made_it_is_found() -> None:
    logs, histories, seen = good()
    histories[0].told["ann-1/99"] = Answer(seq=99, version=99, verdict=Verdict.APPLIED)
    assert faults(logs, histories, seen) == ["ann-1: ann-1/99 was acknowledged and is not in the log"]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"pending": 2}, "2 changes are still waiting"),
        ({"position": ("e", 3)}, "it is at ('e', 3)"),
        ({"state": {"todo": []}}, "its state is another one"),
        ({"state": {**state(4), "last_word": {"ann-1": True}}}, "its state is another one"),
    ],
)
def test_a_device_that_shows_something_else_is_found(values: dict[str, Any], fault: str) -> None:
    logs, histories, seen = good()
    found = faults(logs, histories, [replace(seen[0], **values)])
    assert len(found) == 1
    assert fault in found[0]


def told_by(person: Person, word_told: str, answer: Answer) -> None:
    said: Operation = {"op": "set", "path": "/last_word/ann-1", "value": word_told}
    person._note(ChangeSettled(name="intake", document_id=None, answer=answer, operations=[said]))


APPLIED = Answer(seq=1, version=1, verdict=Verdict.APPLIED)
KNOWN = Answer(seq=1, version=None, verdict=None)


@pytest.mark.parametrize(
    ("new_client", "found", "second", "is_fault"),
    [
        (False, False, APPLIED, True),  # one client says it twice
        (False, True, APPLIED, True),  # the same, of what it had found
        (True, False, APPLIED, True),  # a new client says it of what was not in the outbox
        (True, True, replace(APPLIED, version=2), True),  # a repetition got another verdict
        (True, True, APPLIED, False),
        (True, True, KNOWN, False),
    ],
)
def test_what_is_told_again_is_told_apart(
    new_client: bool, found: bool, second: Answer, is_fault: bool, tmp_path: Path
) -> None:
    person = Person(
        "ann",
        1,
        url="",
        token="",
        folder=tmp_path,
        seed=1,
        writes=True,
        on_told=lambda: None,
        on_event=lambda _event: None,
    )
    person._found = {word(1)} if found else set()
    told_by(person, word(1), APPLIED)
    if new_client:
        person._told_here = set()
    told_by(person, word(1), second)
    assert (person.history.told_twice == [word(1)]) is is_fault
    assert person.history.told_again == (not is_fault)
