"""Starlette's `SessionMiddleware` and starsessions become Sessile, in applications of Starlette and FastAPI."""

from __future__ import annotations

from typing import Final

import libcst as cst
import libcst.matchers as m

from sessile.moving.rewriting.syntax import INTEGRATIONS, Code, Findings, Note, dotted, import_statement

SIGNED: Final = "starlette.middleware.sessions"
STARSESSIONS: Final = "starsessions"
PACKAGES: Final = (SIGNED, "fastapi.middleware.sessions", STARSESSIONS)
_SESSIONS: Final = {f"{package}.SessionMiddleware" for package in PACKAGES}
_AUTOLOAD: Final = {"starsessions.SessionAutoloadMiddleware"}
_LOAD: Final = {"starsessions.load_session"}
_MIDDLEWARE: Final = {"starlette.middleware.Middleware", "fastapi.middleware.Middleware"}
_IS_OURS: Final = (
    "sessions become Sessile(app); name the old cookie in SESSILE_LEGACY_COOKIES until people have come by"
)


class _Uses(cst.CSTVisitor):
    """Finds the statements that can be replaced, and whatever else the packages are used for."""

    def __init__(self, code: Code, findings: Findings) -> None:
        super().__init__()
        self._code = code
        self._findings = findings
        self.replaced: list[cst.Expr] = []
        """`app.add_middleware(SessionMiddleware, ...)`."""
        self.removed: list[cst.Expr] = []
        self.listed: dict[cst.Assign, str] = {}
        """`app = Starlette(middleware=[Middleware(SessionMiddleware, ...)])`, and the name of the application."""

    def visit_Import(self, node: cst.Import) -> bool:
        if any(_is_package(dotted(one.name)) for one in node.names):
            self._need(node, "import the middleware with `from ... import ...`")
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        if _is_package(dotted(node.module)) and not node.relative and isinstance(node.names, cst.ImportStar):
            self._need(node, "import the middleware by its name")
        return False

    def visit_Expr(self, node: cst.Expr) -> bool:
        value = node.value.expression if isinstance(node.value, cst.Await) else node.value
        if not isinstance(value, cst.Call):
            return True
        if self._code.meant(value.func) & _LOAD:
            self.removed.append(node)
            return False
        if isinstance(value.func, cst.Attribute) and value.func.attr.value == "add_middleware" and value.args:
            meant = self._code.meant(value.args[0].value)
            if meant & _AUTOLOAD:
                self.removed.append(node)
                return False
            if meant & _SESSIONS and dotted(value.func.value):
                self.replaced.append(node)
                return False
        return True

    def visit_Assign(self, node: cst.Assign) -> bool:
        target = node.targets[0].target
        if not isinstance(node.value, cst.Call) or len(node.targets) != 1 or not dotted(target):
            return True
        listed = [element for element in _elements(node.value) if is_session_middleware(self._code, element)]
        if not any(_first(self._code, element) & _SESSIONS for element in listed):
            return True
        self.listed[node] = dotted(target)
        for argument in node.value.args:  # the rest of the call may hold something of its own
            for element in _elements_of(argument):
                if not any(element is one for one in listed):
                    element.visit(self)
            if not _elements_of(argument):
                argument.visit(self)
        return False

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        return not self._is_use(node)

    def visit_Name(self, node: cst.Name) -> None:
        self._is_use(node)

    def _is_use(self, node: cst.Name | cst.Attribute) -> bool:
        if not any(self._code.is_from(node, package) for package in PACKAGES):
            return False
        self._need(node, f"`{dotted(node)}` is used in a way that this does not know")
        return True

    def _need(self, node: cst.CSTNode, text: str) -> None:
        self._findings.needs.append(Note(self._code.line(node), text))


def is_session_middleware(code: Code, element: cst.BaseElement) -> bool:
    """`Middleware(SessionMiddleware, ...)`, or the one of starsessions that loads."""
    return bool(_first(code, element) & (_SESSIONS | _AUTOLOAD))


def _first(code: Code, element: cst.BaseElement) -> set[str]:
    call = element.value
    if isinstance(call, cst.Call) and call.args and code.meant(call.func) & _MIDDLEWARE:
        return code.meant(call.args[0].value)
    return set()


def _elements(call: cst.Call) -> list[cst.BaseElement]:
    return [element for argument in call.args for element in _elements_of(argument)]


def _elements_of(argument: cst.Arg) -> list[cst.BaseElement]:
    is_list = argument.keyword is not None and argument.keyword.value == "middleware"
    return list(argument.value.elements) if is_list and isinstance(argument.value, cst.List) else []


def _is_package(name: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in PACKAGES)


class _Replace(cst.CSTTransformer):
    def __init__(self, code: Code, uses: _Uses, framework: str) -> None:
        super().__init__()
        self._code = code
        self._uses = uses
        self._framework = framework
        self._is_imported = False

    def leave_Expr(self, original_node: cst.Expr, updated_node: cst.Expr) -> cst.Expr | cst.RemovalSentinel:
        if any(original_node is one for one in self._uses.removed):
            return cst.RemovalSentinel.REMOVE
        if any(original_node is one for one in self._uses.replaced):
            call = original_node.value
            assert isinstance(call, cst.Call)
            assert isinstance(call.func, cst.Attribute)
            return updated_node.with_changes(value=_made(call.func.value))
        return updated_node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        if not any(original_node is one.value for one in self._uses.listed):
            return updated_node
        arguments = []
        for original, argument in zip(original_node.args, updated_node.args, strict=True):
            elements = _elements_of(original)
            kept = [
                after
                for before, after in zip(elements, _elements_of(argument), strict=True)
                if not is_session_middleware(self._code, before)
            ]
            if not elements or len(kept) == len(elements):
                arguments.append(argument)
            elif kept:
                assert isinstance(argument.value, cst.List)
                kept[-1] = kept[-1].with_changes(comma=elements[-1].comma)
                arguments.append(argument.with_changes(value=argument.value.with_changes(elements=kept)))
        if arguments and len(arguments) < len(original_node.args):
            last = original_node.args[-1]
            arguments[-1] = arguments[-1].with_changes(comma=last.comma, whitespace_after_arg=last.whitespace_after_arg)
        return updated_node.with_changes(args=arguments)

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine]:
        for statement in original_node.body:
            if isinstance(statement, cst.Assign) and statement in self._uses.listed:
                made = cst.Expr(_made(cst.parse_expression(self._uses.listed[statement])))
                return cst.FlattenSentinel([updated_node, cst.SimpleStatementLine([made])])
        return updated_node

    def leave_ImportFrom(
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.ImportFrom | cst.RemovalSentinel:
        if not _is_package(dotted(original_node.module)) or original_node.relative:
            return updated_node
        if self._is_imported or not (self._uses.replaced or self._uses.listed):
            return cst.RemovalSentinel.REMOVE
        self._is_imported = True
        statement = import_statement(f"{INTEGRATIONS}.{self._framework}", "Sessile")
        return statement.with_changes(semicolon=original_node.semicolon)


def _made(app: cst.BaseExpression) -> cst.Call:
    return cst.Call(cst.Name("Sessile"), [cst.Arg(app)])


def rewrite_starlette(code: Code, findings: Findings) -> cst.Module:
    """The module with Sessile in the place of the middleware; as it was when there are `needs`."""
    uses = _Uses(code, findings)
    code.module.visit(uses)
    if findings.needs:
        return code.module
    for node in (*uses.replaced, *uses.listed):
        findings.notes.append(Note(code.line(node), _IS_OURS))
    for node in uses.removed:
        findings.notes.append(Note(code.line(node), "goes: a session loads itself when it is read"))
    imports = m.findall(code.module, m.ImportFrom() | m.Import())
    text = " ".join(code.module.code_for_node(one) for one in imports)
    framework = "fastapi" if "fastapi" in text else "starlette"
    return code.module.visit(_Replace(code, uses, framework))
