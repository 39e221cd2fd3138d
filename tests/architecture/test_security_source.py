"""What the source of a product that guards sessions must not have, looked for in the source itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from sessile.testing.shows import shows_security
from tests.architecture.tree import PACKAGE, ROOT

SECRET: Final = re.compile(
    r"(?:^|_)(?:secret|token|token_hash|secret_hash|claim|claim_hash|signature|mac|csrf_token|service_key|password|fingerprint)$"
)
BOTH_KEPT: Final = frozenset(
    {
        "model/fence.py",
        "stores/memory/sessions.py",
        "runtime/touches.py",
        "client/credential.py",
        "stores/sql/handoffs.py",
    }
)
"""Where both sides are ours: two rows are compared with each other, a client compares its own with its own, or SQL finds a row by a keyed hash."""
PAGES: Final = [*sorted((ROOT / "clients" / "browser" / "src").rglob("*.ts")), *sorted((PACKAGE / "demo").rglob("*.js")), *sorted((PACKAGE / "demo").rglob("*.html"))]  # fmt: skip
HARMFUL: Final = {
    "text of users as markup": r"\.innerHTML|\.outerHTML|insertAdjacentHTML|document\.write|srcdoc",
    "text as code": r"\beval\(|new Function\(|setTimeout\(\s*[\"'`]",
    "global names of the page": r"window\[|globalThis\[",
    "messages of other windows": r"(?:window|self|parent|opener|top)\.(?:postMessage|onmessage)|addEventListener\(\s*[\"']message",
    "other sites' scripts, styles and pictures": r"(?:src|href)\s*=\s*[\"'](?:https?:)?//",
    "techniques that browsers give up": r"document\.domain|showModalDialog|document\.execCommand|webkitStorageInfo|XMLHttpRequest\([^)]*\)[^;]*open\([^)]*false\)",
}


def compared(source: str) -> Iterator[tuple[int, str]]:
    """Lines on which something of a secret's name is compared with == or !=."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare) or not any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            continue
        for side in (node.left, *node.comparators):
            name = side.attr if isinstance(side, ast.Attribute) else side.id if isinstance(side, ast.Name) else ""
            if SECRET.search(name) and not any(_is_plain(other) for other in (node.left, *node.comparators)):
                yield node.lineno, name


def _is_plain(side: ast.expr) -> bool:
    """Compared with a constant, a name in capitals included: no secret is in the source."""
    return isinstance(side, ast.Constant) or (isinstance(side, ast.Name) and side.id.isupper())


@shows_security("V-21", "V11.2.4")
def test_no_secret_is_compared_with_an_operator() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(("testing/", "demo/")) and name not in BOTH_KEPT:
            found += [f"{name}:{line}: {what}" for line, what in compared(path.read_text(encoding="utf-8"))]
    assert found == []


@shows_security("V-21")
def test_such_a_comparison_would_be_found() -> None:
    assert list(compared("if session.token_hash == given:\n    pass\n")) == [(1, "token_hash")]
    assert list(compared("if len(token) == 80 or token == '' or kind == other:\n    pass\n")) == []


@shows_security("V3.2.2", "V3.2.3", "V3.5.5", "V3.6.1", "V3.7.1")
@pytest.mark.parametrize("what", sorted(HARMFUL))
def test_pages_and_the_browser_client_do_without(what: str) -> None:
    assert len(PAGES) > 10, "there is something to look through"
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in PAGES
        for match in re.finditer(HARMFUL[what], path.read_text(encoding="utf-8"))
    ]
    assert found == []


@shows_security("V1.5.2", "V-10")
def test_nothing_that_was_stored_can_become_code() -> None:
    harmful = re.compile(
        r"\b(?:pickle|marshal|shelve|dill|cloudpickle)\.(?:loads?|Unpickler)|yaml\.(?:unsafe_)?load\(|\bexec\(|\beval\("
    )
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if "testing" not in Path(path).relative_to(PACKAGE).parts
        for match in harmful.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []
