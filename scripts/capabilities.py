"""What Sessile can do, and the tests that show it: the rows, the lanes that each must be shown on, and the reading of the tags.

A test is tagged with `@shows("A01", "http")` in Python, and with `// shows: G01` above `it(...)` in the browser client. Nothing is imported or
run for it: the tags are read from the source.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
CONTRACT: Final = ROOT / "src" / "sessile" / "testing" / "store_contract"
TESTS: Final = ROOT / "tests"
BROWSER_TESTS: Final = ROOT / "clients" / "browser" / "test"

LANES: Final[Mapping[str, str]] = {
    "blocking": "blocking",
    "asyncio": "asyncio",
    "http": "HTTP",
    "socket": "socket",
    "browser": "browser",
    "python": "Python client",
}
"""The name in a tag, and the column's heading. `http` is the service and the integrations of frameworks alike."""
_BOTH: Final = ("blocking", "asyncio")
_ROW: Final = re.compile(r"[A-Z]\d\d")
_COMMENT: Final = re.compile(r"\s*// shows: (.*)")
_VITEST: Final = re.compile(r"""\s*(?:it|test)(?:\.each\(.*\))?\(\s*(["'`])(.*?)\1""")


@dataclass(frozen=True, slots=True)
class Row:
    """A capability. `lanes` are those where a test has to show it; elsewhere it may be shown, too."""

    number: str
    what: str
    lanes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Shown:
    """One test that shows one row."""

    number: str
    lanes: frozenset[str]
    path: str
    test: str


class BadTag(ValueError):
    """A tag that names no row, no lane, or is above something that is not a test."""


def _rows(*rows: tuple[str, str, str]) -> Mapping[str, Row]:
    return {number: Row(number, what, frozenset(lanes.split())) for number, what, lanes in rows}


ROWS: Final = _rows(
    ("A01", "Begin a session for a user, on the platform that is named or on the user's default", "blocking asyncio http"),
    ("A02", "Read everything a page may know of a session by its handle", "blocking asyncio http"),
    ("A03", "Ask whether a session is live; end one", "blocking asyncio http"),
    ("A04", "End expired sessions in batches, and learn how many there were", "blocking asyncio"),
    ("A05", "End all sessions of a user, or all but one", "blocking asyncio http"),
    ("A06", "List a user's sessions", "blocking asyncio http"),
    ("A07", "Activity moves the idle deadline; signs of life do not", "blocking asyncio http socket"),
    ("A08", "An idle and an absolute deadline, both settings, exact at the instant", "blocking asyncio http socket"),
    ("A09", "Expired sessions end by themselves, and every way out of a session is the same end", "blocking asyncio http"),
    ("A10", "A unit of work on the same database: committed or rolled back, never left open", "blocking asyncio"),
    ("A11", "Health of the store: latency, connections in use, at most", "blocking asyncio http"),
    ("A12", "Aware UTC everywhere; expired, ended, unknown, no cookie and database away are five answers", "blocking asyncio http"),
    ("D01", "Middleware that loads before and commits after, can be traced, and says when it is missing", "http socket"),
    ("D02", "Who is here, asked without a request: user, platform, context, logged in or not", "http socket"),
    ("D03", "The state of the session for a page: user, platform, session, times; 401 with the reason", "http"),
    ("E01", "Switch the platform, among one's own active ones only", "blocking asyncio http socket"),
    ("E02", "Fast clicks and parallel tabs: one switch wins, the others are told where they are", "blocking asyncio http browser"),
    ("E03", "The page shows a change at once and takes it back when it is refused", "browser"),
    ("E04", "Exactly one default platform; a refusal says whether it is missing, somebody else's or inactive", "blocking asyncio http"),
    ("E05", "A tab has a platform of its own where it asks for one", "http socket"),
    ("G01", "Open a document on a socket and get its state", "socket browser python"),
    ("G02", "Every change reaches every device that has the document open", "socket browser python"),
    ("G03", "Send changes, with a verdict for each; ask for what is missing", "http socket browser python"),
    ("G04", "Hear of checkpoints and restores", "socket browser python"),
    ("G05", "Reconnect by itself; dead connections are cleared away", "socket browser python"),
    ("G06", "Several devices on one document: known, numbered, named, one of them the primary one", "blocking asyncio socket browser python"),
    ("G07", "Two devices change the same thing: both values are kept, and one is chosen", "blocking asyncio browser python"),
    ("H01", "Signs of life that carry what the device is", "http"),
    ("H02", "A lost connection is found out, announced and dated", "socket browser python"),
    ("H03", "The page uses what the browser knows: network back, hidden, frozen, left", "browser"),
    ("H04", "Reconnection with growing, spread pauses and a bound; an address to ask whether it is worth it", "http browser python"),
    ("H05", "The server knows which devices are alive", "socket"),
    ("I01", "Work is kept as a document of its user", "blocking asyncio http socket browser python"),
    ("I02", "Change a part and leave the rest", "blocking asyncio http socket browser python"),
    ("I03", "Checkpoints with a label, a kind and a step", "blocking asyncio http socket browser python"),
    ("I04", "Checkpoints that nobody has to think of", "blocking asyncio"),
    ("I05", "Go back to a checkpoint, whole or in part, without losing what came after", "blocking asyncio http socket browser python"),
    ("I06", "Work goes on without a network and arrives later, once", "browser python"),
    ("I07", "What happened to a document, with the application's own entries", "blocking asyncio http"),
)  # fmt: skip


def shown(root: Path = ROOT) -> list[Shown]:
    """Every tag below the root. Raises BadTag."""
    found: list[Shown] = []
    for folder, lanes in ((CONTRACT, _BOTH), (TESTS, ())):
        for path in sorted((root / folder.relative_to(ROOT)).rglob("*.py")):
            found += of_python(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix(), lanes)
    for path in sorted((root / BROWSER_TESTS.relative_to(ROOT)).glob("*.test.ts")):
        found += of_typescript(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix())
    return found


def of_python(source: str, path: str, lanes: Sequence[str] = ()) -> Iterator[Shown]:
    """The tags of a Python file. `lanes`: where its tests run by construction; they name none themselves."""
    if "shows(" not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for decorator in node.decorator_list:
            if (
                isinstance(decorator, ast.Call)
                and isinstance(decorator.func, ast.Name)
                and decorator.func.id == "shows"
            ):
                if not node.name.startswith("test_"):
                    raise BadTag(f"{path}: {node.name} is not a test")
                names = [argument.value for argument in decorator.args if isinstance(argument, ast.Constant)]
                if len(names) != len(decorator.args):
                    raise BadTag(f"{path}::{node.name}: a tag is made of plain texts")
                yield from _tagged([str(name) for name in names], lanes, path, node.name)


def of_typescript(source: str, path: str) -> Iterator[Shown]:
    """The tags of a vitest file: a comment on the line above a test, or above the comments that are above it."""
    waiting: list[str] = []
    for line in source.splitlines():
        comment = _COMMENT.fullmatch(line)
        test = _VITEST.match(line)
        if comment is not None:
            waiting += comment[1].split()
        elif test is not None and waiting:
            yield from _tagged(waiting, ("browser",), path, test[2])
            waiting = []
        elif waiting and not line.lstrip().startswith("//"):
            raise BadTag(f"{path}: below `// shows: {' '.join(waiting)}` there is no test")
    if waiting:
        raise BadTag(f"{path}: below `// shows: {' '.join(waiting)}` there is no test")


def _tagged(names: Iterable[str], lanes: Sequence[str], path: str, test: str) -> Iterator[Shown]:
    names = list(names)
    numbers = [name for name in names if _ROW.fullmatch(name)]
    said = [name for name in names if not _ROW.fullmatch(name)]
    where = f"{path}::{test}"
    if unknown := [number for number in numbers if number not in ROWS]:
        raise BadTag(f"{where}: there is no row {', '.join(unknown)}")
    if unknown := [lane for lane in said if lane not in LANES]:
        raise BadTag(f"{where}: there is no lane {', '.join(unknown)}")
    if not numbers or bool(lanes) == bool(said):
        raise BadTag(f"{where}: a tag has rows, and lanes where they do not follow from the place")
    for number in numbers:
        yield Shown(number, frozenset(lanes or said), path, test)


def missing(tags: Iterable[Shown]) -> list[str]:
    """Rows and lanes that no test shows, in words."""
    seen: dict[str, set[str]] = {number: set() for number in ROWS}
    for tag in tags:
        seen[tag.number] |= tag.lanes
    faults = [f"{number}: no test shows it" for number, lanes in seen.items() if not lanes]
    for row in ROWS.values():
        lanes = row.lanes - seen[row.number]
        if seen[row.number] and lanes:
            faults.append(f"{row.number}: no test shows it on {', '.join(sorted(lanes))}")
    return faults


def page(notice: str, tags: Sequence[Shown]) -> str:
    """docs/reference/capabilities.md."""
    lines = [
        "# Capabilities",
        notice,
        "",
        "What Sessile can do, where it can be reached, and the tests that show it. *Blocking* and *asyncio* are the two facades; *HTTP* is the service",
        "and the integrations of frameworks; *socket* is `/ws`; *browser* is the browser client. A test fails when a row has no test, or none where it",
        "has to be reachable.",
        "",
        f"| row | what | {' | '.join(LANES.values())} |",
        f"|---|---|{'---|' * len(LANES)}",
    ]
    for row in ROWS.values():
        lanes = frozenset[str]().union(*(tag.lanes for tag in tags if tag.number == row.number))
        lines.append(
            f"| [{row.number}](#{row.number.lower()}) | {row.what} | {' | '.join('yes' if lane in lanes else '' for lane in LANES)} |"
        )
    lines += ["", "## The tests"]
    for row in ROWS.values():
        lines += ["", f"### {row.number}"]
        lines += [f"- {_told(tag)}" for tag in tags if tag.number == row.number]
    return "\n".join([*lines, ""])


def _told(tag: Shown) -> str:
    sentence = tag.test.removeprefix("test_").replace("_", " ") if tag.path.endswith(".py") else tag.test
    lanes = ", ".join(heading for lane, heading in LANES.items() if lane in tag.lanes)
    return f"{sentence} ([{tag.path.rpartition('/')[2]}](../../{tag.path}); {lanes})"
