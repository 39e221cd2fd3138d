"""The public names and their signatures, as text. `python -m tests.architecture.public_api` writes the snapshot anew."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

SNAPSHOT = Path(__file__).with_name("public_api.txt")


def described(module: ModuleType) -> str:
    """One line for every name in `__all__`, and one for every public method of a class. Raises AttributeError for a missing name."""
    lines = []
    for name in sorted(module.__all__):
        member = getattr(module, name)
        if inspect.isclass(member):
            bases = ", ".join(base.__name__ for base in member.__bases__ if base is not object)
            lines.append(f"class {name}({bases})" if bases else f"class {name}")
            lines += [f"    {line}" for line in _methods(member)]
        elif callable(member):
            lines.append(f"def {name}{inspect.signature(member)}")
        else:
            lines.append(f"{name}: {type(member).__name__}")
    return "\n".join(lines) + "\n"


def _methods(owner: type) -> list[str]:
    lines = []
    for name, member in sorted(vars(owner).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, property):
            lines.append(f"property {name}")
        elif isinstance(member, staticmethod | classmethod):
            lines.append(f"{type(member).__name__} {name}{_signature(member.__func__)}")
        elif inspect.isfunction(member):
            prefix = "async def" if inspect.iscoroutinefunction(member) else "def"
            lines.append(f"{prefix} {name}{_signature(member)}")
    return lines


def _signature(function: Any) -> str:
    return str(inspect.signature(function))


if __name__ == "__main__":
    SNAPSHOT.write_text(described(importlib.import_module("sessile")), encoding="utf-8")
