"""House numbers: files of at most 500 lines, functions of at most 70. The lists of exceptions may only shrink."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.architecture import python_source, typescript_source
from tests.architecture.tree import CLIENT_SOURCE, PACKAGE, ROOT

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

LONG_FILES: Mapping[str, int] = {}
"""Path from the root to its number of lines. Nothing is added here: split the file."""
LONG_FUNCTIONS: Mapping[str, int] = {}
"""`path::qualified name` to its number of lines. Nothing is added here: split the function."""


def over(measured: Mapping[str, int], ceiling: int, exceptions: Mapping[str, int]) -> list[str]:
    """What breaks the ratchet: too long, longer than its exception, or an exception that is larger than it needs to be."""
    faults = []
    for name, lines in sorted(measured.items()):
        if lines > exceptions.get(name, ceiling):
            faults.append(f"{name}: {lines} lines, at most {exceptions.get(name, ceiling)}")
        elif name in exceptions and lines <= ceiling:
            faults.append(f"{name}: {lines} lines need no exception any more, remove it")
        elif name in exceptions and lines < exceptions[name]:
            faults.append(f"{name}: shrank to {lines} lines, lower its exception from {exceptions[name]}")
    faults += [f"{name}: the exception names nothing" for name in sorted(set(exceptions) - set(measured))]
    return faults


def typescript_files() -> list[Path]:
    files = sorted(CLIENT_SOURCE.rglob("*.ts"))
    assert files, f"no TypeScript files in {CLIENT_SOURCE}"
    return files


def measured_functions(
    files: list[Path], root: Path, reader: Callable[[str], Mapping[str, int]] = python_source.function_lengths
) -> dict[str, int]:
    return {
        f"{path.relative_to(root)}::{name}": lines
        for path in files
        for name, lines in reader(path.read_text(encoding="utf-8")).items()
    }


def test_files_are_short() -> None:
    files = [*python_source.python_files(PACKAGE), *typescript_files()]
    measured = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert over(measured, FILE_LINES_MAX, LONG_FILES) == []


def test_functions_are_short() -> None:
    measured = measured_functions(python_source.python_files(PACKAGE), ROOT)
    measured |= measured_functions(typescript_files(), ROOT, typescript_source.function_lengths)
    assert over(measured, FUNCTION_LINES_MAX, LONG_FUNCTIONS) == []


def test_a_long_python_function_is_found(tmp_path: Path) -> None:
    body = "".join(f"        x = {number}\n" for number in range(70))
    (tmp_path / "bad.py").write_text(f"class A:\n    async def long(self):\n{body}\n\ndef short():\n    pass\n")
    measured = measured_functions(python_source.python_files(tmp_path), tmp_path)
    assert measured == {"bad.py::A.long": 71, "bad.py::short": 2}
    assert over(measured, 70, {}) == ["bad.py::A.long: 71 lines, at most 70"]


@pytest.mark.parametrize(
    ("exceptions", "faults"),
    [
        ({"a": 90}, []),
        ({"a": 89}, ["a: 90 lines, at most 89"]),
        ({"a": 95}, ["a: shrank to 90 lines, lower its exception from 95"]),
        ({"a": 90, "b": 80}, ["b: 10 lines need no exception any more, remove it"]),
        ({"a": 90, "gone": 80}, ["gone: the exception names nothing"]),
    ],
)
def test_exceptions_only_shrink(exceptions: dict[str, int], faults: list[str]) -> None:
    assert over({"a": 90, "b": 10}, 70, exceptions) == faults


def test_typescript_functions_are_measured() -> None:
    source = """\
import { a } from "./a.js";
/** A brace in a comment: { */
export class Outbox<T extends { id: string }> implements Store {
  #open = new Map<string, { size: number }>();
  constructor(private readonly name: string) {
    super();
  }
  async add(item: T, options: { now: boolean } = { now: true }): Promise<void> {
    const text = `}${item.map((x) => `{${x}}`).join("}")}{`;
    if (/[{/]}/.test(text)) {
      return;
    }
    for (const x of []) {
      x();
    }
  }
  get size(): { count: number } {
    return { count: 1 / 2 };
  }
}
export function plain<T>(value: T): T {
  const inner = (x: number): number => {
    return x;
  };
  return inner as never;
}
const shape = { "}": 1, method() { return 1; } };
type Shape = { call(x: number): void };
interface Other { a: (x: number) => { b: string } }
"""
    assert typescript_source.function_lengths(source) == {
        "constructor": 3,
        "add": 9,
        "size": 3,
        "=>:22": 3,
        "plain": 6,
        "method": 1,
        "=>:29": 1,
    }


def test_a_long_typescript_function_is_found() -> None:
    source = "export const handle = async (frame: Frame) => {\n" + "  step();\n" * 69 + "};\n"
    measured = typescript_source.function_lengths(source)
    assert over(measured, 70, {}) == ["=>:1: 71 lines, at most 70"]


@pytest.mark.parametrize("source", ["function f() {", "}", "const a = `${`", "const a = `x"])
def test_typescript_that_cannot_be_read_is_an_error(source: str) -> None:
    with pytest.raises(ValueError, match=r"brace|template|substitution"):
        typescript_source.function_lengths(source)
