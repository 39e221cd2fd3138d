"""What the architecture tests ask about Python files. Plain functions on text, so that they can be tried on planted faults."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}
DOORS = {"open", "print", "input"}


def function_lengths(source: str) -> dict[str, int]:
    """Lines from `def` to the last line of the body, by qualified name. Decorators do not count, nested functions do."""
    return dict(_functions(ast.parse(source), ""))


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            assert child.end_lineno is not None
            yield prefix + child.name, child.end_lineno - child.lineno + 1
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        else:
            yield from _functions(child, prefix)


def root_imports(source: str, package: str, submodules: set[str]) -> list[int]:
    """Lines that import from the package's own `__init__`, which sits on top of all layers."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            lines += [node.lineno for alias in node.names if alias.name == package]
        elif isinstance(node, ast.ImportFrom) and node.module == package and node.level == 0:
            lines += [node.lineno for alias in node.names if alias.name not in submodules]
    return sorted(lines)


def impurities(source: str) -> list[tuple[int, str]]:
    """Clock reads and doors to the outside, as (line, what): `datetime.now`, `date.today`, `open`, `print`, `input`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in DOORS:
            found.append((node.lineno, called.id))
        elif isinstance(called, ast.Attribute):
            owner = called.value.attr if isinstance(called.value, ast.Attribute) else getattr(called.value, "id", "")
            if (owner, called.attr) in CLOCKS:
                found.append((node.lineno, f"{owner}.{called.attr}"))
    return sorted(found)


def python_files(folder: Path) -> list[Path]:
    """Every .py file below a folder, sorted. Raises FileNotFoundError when there is none: an empty check is no check."""
    files = sorted(folder.rglob("*.py"))
    if not files:
        raise FileNotFoundError(f"no Python files in {folder}")
    return files
