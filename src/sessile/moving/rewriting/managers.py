"""Modules whose only job was to manage sessions: found by rules, and what imported them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

import libcst as cst

from sessile.moving.rewriting.syntax import Code, Findings, Note, dotted, import_statement

_FILE: Final = re.compile(r"(\w+_)?session_(manager|store|handler)s?\.py")
_CLASS: Final = re.compile(r"\w*Session\w*(Manager|Store|Handler|Error|Exception|Config)|Session\w*")
_FUNCTION: Final = re.compile(r"\w*session\w*")
_SAME: Final = ("SessionManager", "AsyncSessionManager")
"""What has a namesake in `sessile`."""
_OTHER: Final = "is not the one that went: it is made with Settings, see the reference"


def is_manager(path: PurePosixPath, code: Code) -> bool:
    """A file that is named `session_manager.py`, `redis_session_manager.py` or the like, in which there is a class with that job, and besides
    imports, constants and errors nothing that has another one."""
    if not _FILE.fullmatch(path.name):
        return False
    has_manager = False
    for statement in code.module.body:
        if isinstance(statement, cst.ClassDef):
            if not _CLASS.fullmatch(statement.name.value):
                return False
            has_manager = has_manager or "Session" in statement.name.value
        elif isinstance(statement, cst.FunctionDef):
            if not _FUNCTION.fullmatch(statement.name.value.lower()):
                return False
        elif not isinstance(statement, cst.SimpleStatementLine | cst.Try | cst.If):
            return False
    return has_manager


def module_names(path: PurePosixPath) -> set[str]:
    """The dotted names by which a file may be imported, wherever the import path begins."""
    parts = [*path.parts[:-1], path.stem] if path.name != "__init__.py" else list(path.parts[:-1])
    return {".".join(parts[index:]) for index in range(len(parts))}


class Importers(cst.CSTTransformer):
    """Imports of modules that are archived. What has a namesake is imported from `sessile`; anything else needs a person."""

    def __init__(
        self, code: Code, own: PurePosixPath, archived: Mapping[str, PurePosixPath], findings: Findings
    ) -> None:
        super().__init__()
        self._code = code
        self._package = own.parts[:-1]
        self._archived = archived
        self._findings = findings

    def leave_ImportFrom(self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom) -> cst.ImportFrom:
        module = self._absolute(original_node)
        names = [] if isinstance(original_node.names, cst.ImportStar) else list(original_node.names)
        for name in names:
            if f"{module}.{dotted(name.name)}" in self._archived and module:
                self._need(original_node, f"`{dotted(name.name)}` is archived")
                return updated_node
        if module not in self._archived:
            return updated_node
        if not names or not all(dotted(name.name) in _SAME for name in names):
            self._need(original_node, f"`{module}` is archived; say what stands for what it gave")
            return updated_node
        self._findings.notes.append(Note(self._code.line(original_node), f"`SessionManager` of sessile {_OTHER}"))
        statement = import_statement("sessile", dotted(names[0].name))
        return statement.with_changes(
            names=original_node.names,
            lpar=original_node.lpar,
            rpar=original_node.rpar,
            semicolon=original_node.semicolon,
        )

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:
        for name in original_node.names:
            if dotted(name.name) in self._archived:
                self._need(original_node, f"`{dotted(name.name)}` is archived; say what stands for what it gave")
        return updated_node

    def _absolute(self, node: cst.ImportFrom) -> str:
        name = dotted(node.module)
        if not node.relative:
            return name
        up = len(node.relative) - 1
        if up > len(self._package):
            return ""
        before = self._package[: len(self._package) - up]
        return ".".join([*before, name] if name else before)

    def _need(self, node: cst.CSTNode, text: str) -> None:
        self._findings.needs.append(Note(self._code.line(node), text))
