"""What the rewriters share: a module with its positions and names, and what a rewriting has to say."""

from __future__ import annotations

from dataclasses import dataclass, field

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider, QualifiedNameProvider

INTEGRATIONS = "sessile.integrations"


class NotParsed(Exception):
    """The bytes are no Python that this can read and write back unchanged."""


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """Something to know about a line; 0 is the file as a whole."""

    line: int
    text: str


@dataclass(slots=True)
class Findings:
    """`notes` tell what was done and what follows from it. `needs` are things that only a person can decide: with one of them the file is left
    as it is."""

    notes: list[Note] = field(default_factory=list)
    needs: list[Note] = field(default_factory=list)


class Code:
    """A parsed module. Raises NotParsed."""

    def __init__(self, source: bytes) -> None:
        try:
            self.module = cst.parse_module(source)
            is_same = self.module.bytes == source
        except (cst.ParserSyntaxError, UnicodeError, LookupError, SyntaxError, RecursionError, ValueError) as error:
            raise NotParsed(type(error).__name__) from error
        if not is_same:
            raise NotParsed("it would not come back byte for byte")
        self.wrapper = MetadataWrapper(self.module)
        self.module = self.wrapper.module  # the copy that the metadata belongs to
        self._positions = self.wrapper.resolve(PositionProvider)
        self._names = self.wrapper.resolve(QualifiedNameProvider)

    def line(self, node: cst.CSTNode) -> int:
        """Where it begins."""
        found = self._positions.get(node)
        return found.start.line if isinstance(found, CodeRange) else 0

    def meant(self, node: cst.CSTNode) -> set[str]:
        """The dotted names that it stands for through the module's imports."""
        found = self._names.get(node, ())
        if callable(found):
            found = found()
        return {name.name for name in found}

    def is_from(self, node: cst.CSTNode, package: str) -> bool:
        """Whether it stands for something of that package."""
        return any(name == package or name.startswith(package + ".") for name in self.meant(node))


def dotted(node: cst.BaseExpression | None) -> str:
    """`a.b.c`, or an empty text for what is no name."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr.value}" if before else ""
    return ""


def text_of(node: cst.BaseExpression | None) -> str | None:
    """The value of a plain text literal."""
    if isinstance(node, cst.SimpleString) and isinstance(node.evaluated_value, str):
        return node.evaluated_value
    return None


def import_statement(module: str, name: str) -> cst.ImportFrom:
    """`from module import name`."""
    parsed = cst.parse_statement(f"from {module} import {name}\n")
    assert isinstance(parsed, cst.SimpleStatementLine)
    found = parsed.body[0]
    assert isinstance(found, cst.ImportFrom)
    return found


class Both(cst.CSTTransformer):
    """Two transformers over one tree; the second sees what the first made of a node."""

    def __init__(self, first: cst.CSTTransformer, second: cst.CSTTransformer) -> None:
        super().__init__()
        self._parts = (first, second)

    def on_visit(self, node: cst.CSTNode) -> bool:
        wanted = [part.on_visit(node) for part in self._parts]  # each of them must see it
        return all(wanted)

    def on_leave(  # type: ignore[override]
        self, original_node: cst.CSTNode, updated_node: cst.CSTNode
    ) -> cst.CSTNode | cst.RemovalSentinel:
        result: cst.CSTNode | cst.RemovalSentinel = updated_node
        for part in self._parts:
            if not isinstance(result, cst.CSTNode):
                return result
            left = part.on_leave(original_node, result)
            assert isinstance(left, cst.CSTNode | cst.RemovalSentinel)
            result = left
        return result
