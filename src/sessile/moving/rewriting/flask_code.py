"""Flask-Session becomes Sessile: the import, `Session(app)`, and settings that nobody reads any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import libcst as cst

from sessile.moving.rewriting.syntax import INTEGRATIONS, Both, Code, Findings, Note, dotted, import_statement, text_of

PACKAGE: Final = "flask_session"
_CLASS: Final = "flask_session.Session"
_DATABASE: Final = "the database is named in SESSILE_DATABASE_URL"
_CACHE: Final = "a Redis in front of the database is named in SESSILE_REDIS_URL"
SETTINGS: Final[Mapping[str, str]] = {
    "SESSION_TYPE": _DATABASE,
    "SESSION_REDIS": _CACHE,
    "SESSION_MEMCACHED": _DATABASE,
    "SESSION_FILE_DIR": _DATABASE,
    "SESSION_FILE_THRESHOLD": _DATABASE,
    "SESSION_FILE_MODE": _DATABASE,
    "SESSION_CACHELIB": _DATABASE,
    "SESSION_MONGODB": _DATABASE,
    "SESSION_MONGODB_DB": _DATABASE,
    "SESSION_MONGODB_COLLECT": _DATABASE,
    "SESSION_SQLALCHEMY": _DATABASE,
    "SESSION_SQLALCHEMY_TABLE": "`sessile import --table` wants it, if it was not `sessions`",
    "SESSION_SQLALCHEMY_SEQUENCE": _DATABASE,
    "SESSION_SQLALCHEMY_SCHEMA": _DATABASE,
    "SESSION_SQLALCHEMY_BIND_KEY": _DATABASE,
    "SESSION_DYNAMODB": _DATABASE,
    "SESSION_DYNAMODB_TABLE": _DATABASE,
    "SESSION_USE_SIGNER": "tokens need no signature",
    "SESSION_KEY_PREFIX": "`sessile import --prefix` wants it, if it was not `session:`",
    "SESSION_ID_LENGTH": "a token has 256 bits",
    "SESSION_SERIALIZATION_FORMAT": "there is one format, and it is no pickle",
    "SESSION_CLEANUP_N_REQUESTS": "`sessile serve` cleans up by itself",
    "SESSION_PERMANENT": "`session.permanent` decides, for each session",
}


class FlaskSettings(cst.CSTTransformer):
    """Removes settings of Flask-Session, wherever the project has them: `app.config[...]`, `config.update(...)`, and names of a module or class."""

    def __init__(self, code: Code, findings: Findings) -> None:
        super().__init__()
        self._code = code
        self._findings = findings
        self._functions = 0
        reads = _Reads()
        code.module.visit(reads)
        self._read = reads.names

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._functions += 1

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        self._functions -= 1
        return updated_node

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign | cst.RemovalSentinel:
        target = original_node.targets[0].target
        name = _config_key(target) or self._constant(target)
        if len(original_node.targets) == 1 and name is not None and name in SETTINGS:
            self._gone(original_node, name)
            return cst.RemovalSentinel.REMOVE
        return updated_node

    def leave_AnnAssign(
        self, original_node: cst.AnnAssign, updated_node: cst.AnnAssign
    ) -> cst.AnnAssign | cst.RemovalSentinel:
        name = self._constant(original_node.target)
        if name is not None:
            self._gone(original_node, name)
            return cst.RemovalSentinel.REMOVE
        return updated_node

    def _constant(self, target: cst.BaseExpression) -> str | None:
        """The name of a module or class that is assigned, unless the module reads it, too."""
        if not isinstance(target, cst.Name) or self._functions or target.value not in SETTINGS:
            return None
        if target.value in self._read:
            self._findings.notes.append(Note(self._code.line(target), f"{target.value} stays: it is used in this file"))
            return None
        return target.value

    def leave_Expr(self, original_node: cst.Expr, updated_node: cst.Expr) -> cst.Expr | cst.RemovalSentinel:
        call = original_node.value
        if not (isinstance(call, cst.Call) and _is_config_update(call)):
            return updated_node
        kept = [argument for argument in map(self._shortened, call.args) if argument is not None]
        if not kept:
            return cst.RemovalSentinel.REMOVE
        if len(kept) == len(call.args) and all(a is b for a, b in zip(kept, call.args, strict=True)):
            return updated_node
        if len(kept) < len(call.args) and call.args[-1] is not kept[-1]:
            kept[-1] = kept[-1].with_changes(
                comma=call.args[-1].comma, whitespace_after_arg=call.args[-1].whitespace_after_arg
            )
        return updated_node.with_changes(value=call.with_changes(args=kept))

    def _shortened(self, argument: cst.Arg) -> cst.Arg | None:
        if argument.keyword is not None and argument.keyword.value in SETTINGS:
            self._gone(argument, argument.keyword.value)
            return None
        if argument.keyword is None and not argument.star and isinstance(argument.value, cst.Dict):
            elements = argument.value.elements
            gone = [one for one in elements if isinstance(one, cst.DictElement) and text_of(one.key) in SETTINGS]
            for one in gone:
                self._gone(one, text_of(one.key) or "")
            if len(gone) == len(elements) > 0:
                return None
            if gone:
                kept = [one for one in elements if not any(one is other for other in gone)]
                kept[-1] = kept[-1].with_changes(comma=elements[-1].comma)
                return argument.with_changes(value=argument.value.with_changes(elements=kept))
        return argument

    def _gone(self, node: cst.CSTNode, name: str) -> None:
        self._findings.notes.append(Note(self._code.line(node), f"{name} goes: {SETTINGS[name]}"))


class _Reads(cst.CSTVisitor):
    """Names that a module reads, so neither those it assigns nor those of arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def visit_AssignTarget(self, node: cst.AssignTarget) -> bool:
        return not isinstance(node.target, cst.Name)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> bool:
        if node.value is not None:
            node.value.visit(self)
        return False

    def visit_Arg(self, node: cst.Arg) -> bool:
        node.value.visit(self)
        return False

    def visit_Name(self, node: cst.Name) -> None:
        self.names.add(node.value)


def _config_key(target: cst.BaseExpression) -> str | None:
    """The key in `something.config["KEY"]`."""
    if not isinstance(target, cst.Subscript) or not dotted(target.value).endswith(".config") or len(target.slice) != 1:
        return None
    index = target.slice[0].slice
    return text_of(index.value) if isinstance(index, cst.Index) else None


def _is_config_update(call: cst.Call) -> bool:
    return dotted(call.func).endswith((".config.update", ".config.from_mapping"))


class _Uses(cst.CSTVisitor):
    """Everything that stands for something of the package: calls that can be replaced, and the rest."""

    def __init__(self, code: Code, findings: Findings) -> None:
        super().__init__()
        self._code = code
        self._findings = findings
        self.calls: list[cst.Call] = []

    def visit_Import(self, node: cst.Import) -> bool:
        if any(dotted(one.name) == PACKAGE for one in node.names) and len(node.names) > 1:
            self._need(node, "give `import flask_session` a line of its own")
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        if dotted(node.module).partition(".")[0] == PACKAGE and not node.relative:
            only = isinstance(node.names, cst.ImportStar) or [dotted(one.name) for one in node.names] != ["Session"]
            if only or dotted(node.module) != PACKAGE:
                self._need(node, "more than `Session` is imported from flask_session")
        return False

    def visit_Call(self, node: cst.Call) -> bool:
        if _CLASS not in self._code.meant(node.func):
            return True
        arguments = node.args
        if (
            len(arguments) == 1
            and not arguments[0].star
            and (arguments[0].keyword is None or arguments[0].keyword.value == "app")
        ):
            self.calls.append(node)
            arguments[0].visit(self)
            return False
        self._need(node, "write `Sessile(app)` where the application is made; there is no `init_app`")
        return False

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        if self._code.is_from(node, PACKAGE):
            self._need(node, f"`{dotted(node)}` has nothing in its place")
            return False
        return True

    def visit_Name(self, node: cst.Name) -> None:
        if self._code.is_from(node, PACKAGE):
            self._need(node, f"`{node.value}` is used in a way that this does not know")

    def _need(self, node: cst.CSTNode, text: str) -> None:
        self._findings.needs.append(Note(self._code.line(node), text))


class _Replace(cst.CSTTransformer):
    def __init__(self, calls: list[cst.Call]) -> None:
        super().__init__()
        self._calls = calls

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        if any(original_node is call for call in self._calls):
            argument = updated_node.args[0].with_changes(keyword=None, equal=cst.MaybeSentinel.DEFAULT)
            return updated_node.with_changes(func=cst.Name("Sessile"), args=[argument])
        return updated_node

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import | cst.ImportFrom:
        if [dotted(one.name) for one in original_node.names] == [PACKAGE]:
            return import_statement(f"{INTEGRATIONS}.flask", "Sessile").with_changes(semicolon=original_node.semicolon)
        return updated_node

    def leave_ImportFrom(self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom) -> cst.ImportFrom:
        if dotted(original_node.module) == PACKAGE and not original_node.relative:
            return import_statement(f"{INTEGRATIONS}.flask", "Sessile").with_changes(semicolon=original_node.semicolon)
        return updated_node


def rewrite_flask(code: Code, findings: Findings) -> cst.Module:
    """The module with Sessile in the place of Flask-Session; as it was when there are `needs`."""
    uses = _Uses(code, findings)
    code.module.visit(uses)
    if findings.needs:
        return code.module
    settings = FlaskSettings(code, findings)
    for call in uses.calls:
        findings.notes.append(Note(code.line(call), "Session(app) becomes Sessile(app)"))
    # Both look at the nodes of the original, so they go over it in one pass.
    return code.module.visit(Both(settings, _Replace(uses.calls)))
