"""What code tells of itself, read from its source: names of metrics and spans with their labels and attributes, and lines of logs. Plain functions on text, so that they
can be tried on planted faults."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

METRIC_CALLS = frozenset({"counter", "gauge", "histogram", "each", "of"})
SPAN_CALLS = frozenset({"span"})
LOG_CALLS = {
    "debug": "DEBUG",
    "info": "INFO",
    "warning": "WARNING",
    "error": "ERROR",
    "exception": "ERROR",
    "critical": "CRITICAL",
    "log": "",
}
LOGGERS = frozenset({"logger", "_log", "_logger", "socket_logger"})


@dataclass(frozen=True, slots=True)
class Told:
    """A call that tells something. `keys` are its keyword arguments, or the fields beside the event's name."""

    line: int
    name: str | None
    keys: frozenset[str] = field(default=frozenset())
    level: str = ""
    logger: str = ""


def metrics_of(source: str) -> Iterator[Told]:
    """Uses of metrics by a literal name, or by a constant of the same file."""
    if "sessile_" not in source:  # most files: reading them all takes seconds
        return
    nodes = _nodes(source)
    constants = _constants(nodes)
    for node in nodes:
        if isinstance(node, ast.Call) and _called(node) in METRIC_CALLS:
            for argument in node.args[:2]:
                name = _text(argument, constants)
                if name is not None and name.startswith("sessile_"):
                    yield Told(node.lineno, name, frozenset(key.arg for key in node.keywords if key.arg is not None))


def spans_of(source: str) -> Iterator[Told]:
    """Spans that are begun, with the attributes that a mapping beside the name has."""
    if ".span(" not in source:
        return
    nodes = _nodes(source)
    constants = _constants(nodes)
    for node in nodes:
        if isinstance(node, ast.Call) and _called(node) in SPAN_CALLS and node.args:
            yield Told(node.lineno, _text(node.args[0], constants))


def lines_of(source: str) -> Iterator[Told]:
    """Lines of logs: the event's name (None: there is none, or it is not a literal), the level, the fields, the logger's name."""
    if "getLogger" not in source and "import logger" not in source:
        return
    nodes = _nodes(source)
    loggers = {
        target.id: str(node.value.args[0].value)
        for node in nodes
        for target, value in _assigned(node)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Call)
        and value is node.value
        and _called(node.value) == "getLogger"
        and node.value.args
        and isinstance(node.value.args[0], ast.Constant)
    }
    for node in nodes:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOG_CALLS):
            continue
        owner = node.func.value
        if not (isinstance(owner, ast.Name) and owner.id in LOGGERS):
            continue
        name, keys = _event(node)
        yield Told(node.lineno, name, keys, LOG_CALLS[node.func.attr], loggers.get(owner.id, ""))


def _assigned(node: ast.AST) -> Iterator[tuple[ast.Name, ast.expr | None]]:
    if isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target, node.value


def _event(call: ast.Call) -> tuple[str | None, frozenset[str]]:
    extra = next((key.value for key in call.keywords if key.arg == "extra"), None)
    if not isinstance(extra, ast.Dict):
        return None, frozenset()
    fields = {_text(key, {}): value for key, value in zip(extra.keys, extra.values, strict=True) if key is not None}
    name = _text(fields.pop("event_name"), {}) if "event_name" in fields else None
    return name, frozenset(key for key in fields if key is not None)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


@cache
def _nodes(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def _constants(nodes: list[ast.AST]) -> dict[str, str]:
    return {
        target.id: value.value
        for node in nodes
        for target, value in _assigned(node)
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    }


def _text(node: ast.expr | None, constants: dict[str, str]) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return constants.get(node.id) if isinstance(node, ast.Name) else None
