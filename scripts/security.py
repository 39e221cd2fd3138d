"""What Sessile holds itself to in security, and the tests that show it: the lines of docs/security/lines.toml, and the reading of the tags.

A test is tagged with `@shows_security("V7.2.4")` in Python, and with `// shows security: V7.2.4` above `it(...)` in the browser client. Nothing is
imported or run for it: the tags are read from the source.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
LINES: Final = ROOT / "docs" / "security" / "lines.toml"
FOLDERS: Final = ("src/sessile/testing/store_contract", "tests")
BROWSER_TESTS: Final = ROOT / "clients" / "browser" / "test"
_COMMENT: Final = re.compile(r"\s*// shows security: (.*)")
_VITEST: Final = re.compile(r"""\s*(?:it|test)(?:\.each\(.*\))?\(\s*(["'`])(.*?)\1""")
_WHERE: Final[Mapping[str, str]] = {
    "tests/integration/fastapi/": "FastAPI",
    "tests/integration/flask/": "Flask",
    "tests/integration/django/": "Django",
    "tests/integration/server/": "service",
    "src/sessile/testing/store_contract/": "every store",
    "tests/integration/redis/": "Redis",
    "tests/nodes/": "several nodes",
    "tests/e2e/": "browser",
    "clients/browser/": "browser client",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to hold to. Without tests `not_applicable` or `open` says why; beside tests `open` says what they do not show."""

    number: str
    title: str
    group: str
    level: int | None = None
    not_applicable: str = ""
    open: str = ""


@dataclass(frozen=True, slots=True)
class Tag:
    """One test that shows one line."""

    number: str
    path: str
    test: str


class BadTag(ValueError):
    """A tag that names no line, or is above something that is not a test."""


def lines(source: str | None = None) -> Mapping[str, Line]:
    """Raises ValueError for a line that is there twice, or a field that is none."""
    read: dict[str, Line] = {}
    for group in tomllib.loads(source or LINES.read_text(encoding="utf-8"))["group"]:
        for number, fields in group["lines"].items():
            if number in read or not fields.keys() <= {"title", "level", "not_applicable", "open"}:
                raise ValueError(f"{number} is there twice, or has a field that is none")
            read[number] = Line(number=number, group=group["title"], **fields)
    return read


def tags(root: Path = ROOT) -> list[Tag]:
    """Every tag below the root. Raises BadTag."""
    known = lines()
    found: list[Tag] = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            found += of_python(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix(), known)
    for path in sorted((root / BROWSER_TESTS.relative_to(ROOT)).glob("*.test.ts")):
        found += of_typescript(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix(), known)
    return found


def of_python(source: str, path: str, known: Mapping[str, Line]) -> Iterator[Tag]:
    if "@shows_security(" not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for decorator in node.decorator_list:
            if _is_ours(decorator):
                assert isinstance(decorator, ast.Call)
                if not node.name.startswith("test_"):
                    raise BadTag(f"{path}: {node.name} is not a test")
                names = [a.value for a in decorator.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                if len(names) != len(decorator.args):
                    raise BadTag(f"{path}::{node.name}: a tag is made of plain texts")
                yield from _tagged(names, path, node.name, known)


def of_typescript(source: str, path: str, known: Mapping[str, Line]) -> Iterator[Tag]:
    waiting: list[str] = []
    for line in source.splitlines():
        comment, test = _COMMENT.fullmatch(line), _VITEST.match(line)
        if comment is not None:
            waiting += comment[1].split()
        elif test is not None and waiting:
            yield from _tagged(waiting, path, test[2], known)
            waiting = []
        elif waiting and not line.lstrip().startswith("//"):
            raise BadTag(f"{path}: below `// shows security: {' '.join(waiting)}` there is no test")
    if waiting:
        raise BadTag(f"{path}: below `// shows security: {' '.join(waiting)}` there is no test")


def _is_ours(decorator: ast.expr) -> bool:
    return (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Name)
        and decorator.func.id == "shows_security"
    )


def _tagged(names: Sequence[str], path: str, test: str, known: Mapping[str, Line]) -> Iterator[Tag]:
    if not names or (unknown := [name for name in names if name not in known]):
        raise BadTag(f"{path}::{test}: there is no line {', '.join(unknown) if names else ''}")
    for name in names:
        yield Tag(name, path, test)


def faults(known: Mapping[str, Line], found: Sequence[Tag]) -> list[str]:
    """Lines of which nobody knows how they stand, in words."""
    shown = {tag.number for tag in found}
    told = []
    for number, line in known.items():
        if line.not_applicable and (line.open or number in shown):
            told.append(f"{number}: it is said not to apply, and something is said or shown of it")
        elif number not in shown and not line.open and not line.not_applicable:
            told.append(f"{number}: no test shows it, and nothing says why")
    return told


def page(notice: str, found: Sequence[Tag]) -> str:
    """docs/security/asvs.md."""
    known = lines()
    shown = {tag.number for tag in found}
    by_group: dict[str, list[Line]] = {}
    for line in known.values():
        by_group.setdefault(line.group, []).append(line)
    open_, outside = [sum(1 for line in known.values() if getattr(line, name)) for name in ("open", "not_applicable")]
    text = [
        "# Security, line by line",
        notice,
        "",
        "What Sessile holds itself to: OWASP ASVS 5.0 (sessions, the web frontend, sockets, and where else session libraries fail), NIST SP 800-63B-4, the OWASP",
        "cheat sheets, cookies, device bound sessions (W3C DBSC), and failures that are known of others. Titles are ours; the numbers are those of the sources (`N`, `C`, `K`, `D-` and `V-` count our own lists).",
        "Every line has the tests that show it, or the reason why there is none; a test of the architecture fails otherwise.",
        "",
        f"{len(known)} lines: {len(shown)} shown by {len({(tag.path, tag.test) for tag in found})} tests, {open_} open in whole or in part, {outside} that do not apply.",
    ]
    for title, group in by_group.items():
        text += ["", f"## {title}", "| line | level | what | shown in |", "|---|---|---|---|"]
        for line in group:
            text.append(
                f"| [{line.number}](#{_anchor(line)}) | {line.level or ''} | {line.title} | {_state(line, found)} |"
            )
    text += ["", "## The tests"]
    for line in known.values():
        own = [tag for tag in found if tag.number == line.number]
        text += ["", f'<a id="{_anchor(line)}"></a>', f"**{line.number}** {line.title}."]
        text += [f"- {_told(tag)}" for tag in own]
        text += [
            f"- {heading}: {reason}."
            for heading, reason in (("Open", line.open), ("Not applicable", line.not_applicable))
            if reason
        ]
    return "\n".join([*text, ""])


def _anchor(line: Line) -> str:
    return "line-" + line.number.lower().replace(".", "-")


def _state(line: Line, found: Sequence[Tag]) -> str:
    own = [tag.path for tag in found if tag.number == line.number]
    places = [name for start, name in _WHERE.items() if any(path.startswith(start) for path in own)]
    if own and not places:
        places = ["unit tests"]
    told = [", ".join(places)] if places else []
    if line.open:
        told.append("partly" if own else "**open**")
    if line.not_applicable:
        told.append("not applicable")
    return "; ".join(told)


def _told(tag: Tag) -> str:
    sentence = tag.test.removeprefix("test_").replace("_", " ") if tag.path.endswith(".py") else tag.test
    return f"{sentence} ([{tag.path.rpartition('/')[2]}](../../{tag.path}))"


def as_data(found: Sequence[Tag]) -> dict[str, Any]:
    """The same for a machine."""
    return {number: [f"{tag.path}::{tag.test}" for tag in found if tag.number == number] for number in lines()}
