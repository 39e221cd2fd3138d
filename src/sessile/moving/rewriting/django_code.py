"""Settings of a Django project: the engine, the middleware, the application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import libcst as cst

from sessile.moving.rewriting.syntax import Code, Findings, Note, text_of

MIDDLEWARE: Final = "django.contrib.sessions.middleware.SessionMiddleware"
APPLICATION: Final = "django.contrib.sessions"
PACKAGE: Final = "django.contrib.sessions"
OURS: Final = "sessile.integrations.django"
_GONE: Final[Mapping[str, str]] = {
    "SESSION_SERIALIZER": "there is one format, and it is no pickle",
    "SESSION_CACHE_ALIAS": "a Redis in front of the database is named in SESSILE_REDIS_URL",
    "SESSION_FILE_PATH": "the database is named in SESSILE",
}


class _Settings(cst.CSTTransformer):
    """Works on assignments of the module itself."""

    def __init__(self, code: Code, findings: Findings) -> None:
        super().__init__()
        self._code = code
        self._findings = findings
        names = [
            _assigned(statement)
            for line in code.module.body
            if isinstance(line, cst.SimpleStatementLine)
            for statement in line.body
        ]
        self._assigned = {name for name in names if name is not None}
        self._list = ""
        self.changes = 0

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return False

    def visit_ClassDef(self, node: cst.ClassDef) -> bool:
        return False

    def visit_Assign(self, node: cst.Assign) -> None:
        self._list = _assigned(node) or ""

    def visit_AugAssign(self, node: cst.AugAssign) -> None:
        self._list = node.target.value if isinstance(node.target, cst.Name) else ""

    def leave_List(self, original_node: cst.List, updated_node: cst.List) -> cst.List:
        return updated_node.with_changes(elements=self._changed(original_node.elements))

    def leave_Tuple(self, original_node: cst.Tuple, updated_node: cst.Tuple) -> cst.Tuple:
        return updated_node.with_changes(elements=self._changed(original_node.elements))

    def _changed(self, elements: object) -> list[cst.BaseElement]:
        assert isinstance(elements, list | tuple)
        texts = [text_of(element.value) for element in elements]
        changed = []
        for element, text in zip(elements, texts, strict=True):
            if self._list == "MIDDLEWARE" and text == MIDDLEWARE:
                self._note(element, f"becomes {OURS}.SessionMiddleware")
                changed.append(element.with_changes(value=cst.SimpleString(f'"{OURS}.SessionMiddleware"')))
            elif self._list == "INSTALLED_APPS" and text == APPLICATION and OURS not in texts:
                self._note(element, f"{OURS} is added; {APPLICATION} can go later, with its table")
                changed += _with_ours(elements, element)
            else:
                changed.append(element)
        return changed

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign | cst.RemovalSentinel:
        name = _assigned(original_node)
        if name == "SESSION_ENGINE" and text_of(original_node.value) != OURS:
            self._note(original_node, f"SESSION_ENGINE becomes {OURS}")
            return updated_node.with_changes(value=cst.SimpleString(f'"{OURS}"'))
        if name is not None and name in _GONE:
            self._note(original_node, f"{name} goes: {_GONE[name]}")
            return cst.RemovalSentinel.REMOVE
        return updated_node

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine]:
        is_middleware = any(_assigned(statement) == "MIDDLEWARE" for statement in original_node.body)
        if not is_middleware or MIDDLEWARE not in self._code.module.code_for_node(original_node):
            return updated_node
        added = []
        if "SESSION_ENGINE" not in self._assigned:
            added.append(f'SESSION_ENGINE = "{OURS}"')
        if "SESSILE" not in self._assigned:
            if "BASE_DIR" in self._assigned:
                added.append(
                    'SESSILE = {"DATABASE_URL": f"sqlite:///{BASE_DIR / \'sessile.sqlite3\'}"}  # never Django\'s own file'
                )
            else:
                self._note(original_node, 'say in SESSILE where the database is: SESSILE = {"DATABASE_URL": ...}')
        self._note(original_node, f'add path("", include("{OURS}.urls")) to the URLs, for pages that are live')
        lines = [cst.parse_statement(line + "\n") for line in added]
        return cst.FlattenSentinel(
            [updated_node, *(line for line in lines if isinstance(line, cst.SimpleStatementLine))]
        )

    def _note(self, node: cst.CSTNode, text: str) -> None:
        self.changes += 1
        self._findings.notes.append(Note(self._code.line(node), text))


def _with_ours(elements: Sequence[cst.BaseElement], element: cst.BaseElement) -> list[cst.BaseElement]:
    """The element, and ours behind it, laid out like the others."""
    ours = cst.Element(cst.SimpleString(f'"{OURS}"'))
    if element is not elements[-1]:
        return [element, ours.with_changes(comma=_bare(element.comma))]
    between = _bare(elements[0].comma) if len(elements) > 1 else cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    return [element.with_changes(comma=between), ours.with_changes(comma=element.comma)]


def _bare(comma: cst.Comma | cst.MaybeSentinel) -> cst.Comma | cst.MaybeSentinel:
    """Without the comment that stands behind it."""
    if isinstance(comma, cst.Comma) and isinstance(comma.whitespace_after, cst.ParenthesizedWhitespace):
        after = comma.whitespace_after
        line = after.first_line.with_changes(comment=None, whitespace=cst.SimpleWhitespace(""))
        return comma.with_changes(whitespace_after=after.with_changes(first_line=line, empty_lines=[]))
    return comma


def _assigned(statement: cst.BaseSmallStatement) -> str | None:
    if isinstance(statement, cst.Assign) and len(statement.targets) == 1:
        target = statement.targets[0].target
        return target.value if isinstance(target, cst.Name) else None
    return None


class _Imports(cst.CSTVisitor):
    def __init__(self, code: Code, findings: Findings) -> None:
        super().__init__()
        self._code = code
        self._findings = findings

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        self._look(node)

    def visit_Import(self, node: cst.Import) -> None:
        self._look(node)

    def _look(self, node: cst.Import | cst.ImportFrom) -> None:
        text = self._code.module.code_for_node(node)
        if PACKAGE in text and "exceptions" not in text:
            self._findings.needs.append(
                Note(self._code.line(node), "sessions are no rows of django.contrib.sessions any more: ask the manager")
            )


def is_settings(code: Code) -> bool:
    """Whether the module has settings of Django about sessions."""
    for line in code.module.body:
        if not isinstance(line, cst.SimpleStatementLine):
            continue
        for statement in line.body:
            name = _assigned(statement) or (
                statement.target.value
                if isinstance(statement, cst.AugAssign) and isinstance(statement.target, cst.Name)
                else ""
            )
            text = code.module.code_for_node(line)
            if name in {"MIDDLEWARE", "INSTALLED_APPS", "SESSION_ENGINE"} and PACKAGE in text:
                return True
    return False


def rewrite_django(code: Code, findings: Findings) -> cst.Module:
    """The settings with Sessile in them; another module only with `needs`, where it uses the sessions of Django itself."""
    code.module.visit(_Imports(code, findings))
    return code.module if findings.needs or not is_settings(code) else code.module.visit(_Settings(code, findings))
