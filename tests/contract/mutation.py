"""Planting a bug: a function of the product with one place of its source replaced, for the length of a test."""

from __future__ import annotations

import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass(frozen=True)
class Mutant:
    name: str
    target: str
    old: str
    new: str
    caught_by: str
    stores: tuple[str, ...] = ("memory",)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    tries: int = 1
    """More than one for bugs that show only when two callers meet."""


def plant(monkeypatch: pytest.MonkeyPatch, target: str, old: str, new: str) -> None:
    """`target` is `module:function` or `module:Class.method`. Raises AssertionError unless `old` is in its source exactly once."""
    module_name, _, path = target.partition(":")
    owner: Any = importlib.import_module(module_name)
    *classes, name = path.split(".")
    for class_name in classes:
        owner = getattr(owner, class_name)
    original = inspect.getattr_static(owner, name)
    replaced = _with(original, old, new)
    monkeypatch.setattr(owner, name, replaced)
    if not classes:
        _replace_imports(monkeypatch, name, original, replaced)


def _with(function: Callable[..., Any], old: str, new: str) -> Callable[..., Any]:
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in {function.__qualname__}"
    made: dict[str, Any] = {}
    code = compile("from __future__ import annotations\n" + source.replace(old, new), "<planted bug>", "exec")
    exec(code, function.__globals__, made)
    planted: Callable[..., Any] = made[function.__name__]
    return planted


def _replace_imports(monkeypatch: pytest.MonkeyPatch, name: str, original: object, replaced: object) -> None:
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("sessile.") and getattr(module, name, None) is original:
            monkeypatch.setattr(module, name, replaced)
