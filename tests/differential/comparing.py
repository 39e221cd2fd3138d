"""What both reducers make of the same sequences."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sessile.model.canonical import digest, state_hash
from sessile.model.change_format import parse_operations
from sessile.model.errors import InvalidChange
from sessile.model.operations import OperationFault, apply
from tests.differential.node import Program
from tests.differential.sequences import sequence


class Difference(AssertionError):
    """The reducers do not agree; the message has the seed."""


@dataclass
class Tally:
    """How many changes there were, and what became of them."""

    changes: int = 0
    applied: int = 0
    faults: int = 0
    refused: int = 0
    notices: int = 0
    codes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"{self.changes} changes, {self.applied} applied, {self.faults} faults {dict(self.codes)}, "
            f"{self.refused} refused, {self.notices} notices"
        )


Result = tuple[str | None, str, str | None, int]


def python_results(state: Any, changes: Iterable[Any], others: Iterable[Result | None], tally: Tally) -> list[Result]:
    """As `reducer.ts` gives them. What the browser refuses to send, the server need not refuse: it is left out here, too."""
    results: list[Result] = []
    now_hash = state_hash(state)
    for raw, other in zip(changes, others, strict=True):
        tally.changes += 1
        try:
            operations = parse_operations(raw)
        except InvalidChange:
            operations = []
        if not operations or (other is not None and other[0] is None):
            tally.refused += 1
            results.append((None, now_hash, None, 0))
            continue
        sent = digest(operations).hex()[:16]
        try:
            applied = apply(state, operations)
        except OperationFault as fault:
            tally.faults += 1
            tally.codes[fault.code] += 1
            results.append((sent, now_hash, fault.code, 0))
            continue
        tally.notices += len(applied.notices)
        if applied.state is not state:
            tally.applied += 1
            state, now_hash = applied.state, state_hash(applied.state)
        results.append((sent, now_hash, None, len(applied.notices)))
    return results


def compared(program: Program, seeds: range, tally: Tally) -> None:
    """Both reducers on the sequences of these seeds. Raises Difference for the first that they do not agree on."""
    sequences = [sequence(seed) for seed in seeds]
    answers = program.run(lines="\n".join(json.dumps(each) for each in sequences))
    if len(answers) != len(sequences):
        raise Difference(f"{len(answers)} answers to {len(sequences)} sequences from seed {seeds.start}")
    for seed, each, answer in zip(seeds, sequences, answers, strict=True):
        theirs: list[Result] = [tuple(result) for result in json.loads(answer)]
        ours = python_results(each["state"], each["changes"], theirs, tally)
        if ours != theirs:
            number = next(index for index, (left, right) in enumerate(zip(ours, theirs, strict=True)) if left != right)
            raise Difference(
                f"seed {seed}, change {number} {json.dumps(each['changes'][number])}: Python {ours[number]}, TypeScript {theirs[number]}"
            )
