"""The reducer in Python against the reducer in TypeScript: the same sequences through both, equal hashes after each change.

Here a few thousand sequences, in the soak (SESSILE_SOAK=1) more than 100,000. A difference is told with its seed:
`python -m tests.differential SEED` shows it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SEED
from tests.differential.comparing import Difference, Tally, compared
from tests.differential.node import Program, bundled

IS_SOAK = os.environ.get("SESSILE_SOAK") == "1"
SEQUENCES = 120_000 if IS_SOAK else 2_000
SEQUENCES_OF_A_PLANT = 3_000
BATCH = 10_000
BATCH_OF_A_PLANT = 300
PROGRAM = "test/differential/reducer.ts"
OPERATIONS = "src/operations.ts"

PLANTS: dict[str, tuple[str, str, str]] = {
    "an insert puts the item before its anchor": (OPERATIONS, "items.length : index + 1", "items.length : index"),
    "an unknown anchor puts the item first": (OPERATIONS, "index < 0 ? items.length", "index < 0 ? 0"),
    "an item is appended twice": (OPERATIONS, "return index < 0 ? [...items, operation.item] :", "return true ? [...items, operation.item] :"),
    "ids are compared loosely": (OPERATIONS, 'item["id"] === id', 'item["id"] == id'),
    "null in a merge is stored": (OPERATIONS, "if (value === null) delete result[key];\n    else ", ""),
    "a merge replaces instead of merging": (OPERATIONS, "isObject(target) ? { ...target } : {}", "{}"),
    "a missing number counts as one": (OPERATIONS, "?? 0, operation.by", "?? 1, operation.by"),
    "a sum may leave the range": (OPERATIONS, "if (!(Math.abs(total) <= NUMBER_MAX))", "if (false)"),
    "a pointer may walk into a list": (OPERATIONS, 'if (isList(container)) throw new OperationFault("path_in_list", at);', ""),
    "a state may be deeper than it may be": (OPERATIONS, "keys.length + depthOf(value) > DEPTH_MAX", "keys.length + depthOf(value) > DEPTH_MAX + 1"),
    "a change is not atomic": (OPERATIONS, "for (const operation of operations) next = step(next, operation, notices);", "for (const operation of operations) try { next = step(next, operation, notices); } catch {}"),
    "a sum of minus zero is not zero": (OPERATIONS, "return total === 0 ? 0 : total;", "return total === 0 ? 1e-9 : total;"),
    "keys are in the order of code points": ("src/canonical.ts", ".sort()", ".sort((a, b) => { const [x, y] = [[...a], [...b]].map((k) => k.map((c) => c.codePointAt(0) as number)) as [number[], number[]]; for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return (x[i] as number) - (y[i] as number); return x.length - y.length; })"),
    "a tilde is unescaped too early": ("src/pointer.ts", 'token.replaceAll("~1", "/").replaceAll("~0", "~")', 'token.replaceAll("~0", "~").replaceAll("~1", "/")'),
    "lone surrogates are sent": ("src/values.ts", "LONE_SURROGATE.test(text) ?", "false ?"),
    "an operation is sent without what it needs": (OPERATIONS, "if (!isFit(checked[field]))", "if (false)"),
}  # fmt: skip
"""Each is a fault in the browser's reducer that the comparison has to find."""


def _batches(count: int) -> Iterator[range]:
    for start in range(0, count, BATCH):
        yield range(SEED + start, SEED + min(count, start + BATCH))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return bundled(PROGRAM, tmp_path_factory.mktemp("reducer"))


def test_both_reducers_say_the_same(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally()
    for seeds in _batches(SEQUENCES):
        compared(program, seeds, tally)
    with capsys.disabled():
        print(f"\nreducers: {SEQUENCES} sequences from seed {SEED}: {tally}")
    assert tally.changes > 3 * SEQUENCES
    assert min(tally.applied, tally.faults, tally.refused, tally.notices) > SEQUENCES // 50


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_difference_is_found(plant: str, tmp_path: Path) -> None:
    planted = bundled(PROGRAM, tmp_path, PLANTS[plant])
    with pytest.raises(Difference, match="seed"):
        _searched(planted)


def _searched(planted: Program) -> None:
    """In small batches, so that what is found early costs little."""
    for start in range(SEED, SEED + SEQUENCES_OF_A_PLANT, BATCH_OF_A_PLANT):
        compared(planted, range(start, start + BATCH_OF_A_PLANT), Tally())


def test_the_golden_vectors_are_the_same_for_both(program: Program) -> None:
    vectors: dict[str, list[dict[str, Any]]] = json.loads(
        Path("protocol/vectors/operations.json").read_text(encoding="utf-8")
    )
    cases = [case for case in vectors["cases"] if case["operations"][0]["op"] != "replace"]
    lines = "\n".join(json.dumps({"state": case["state"], "changes": [case["operations"]]}) for case in cases)
    answers = [json.loads(line)[0] for line in program.run(lines=lines)]
    assert len(answers) == len(cases) > 80
    assert [answer[2] for answer in answers] == [case.get("fault") for case in cases]
