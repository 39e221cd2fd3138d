"""What an adoption would do to a tree of files: each file that has to do with sessions gets a clear outcome. Nothing is written here."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final

import libcst as cst

from sessile.model.errors import ConfigurationError
from sessile.moving.rewriting.django_code import rewrite_django
from sessile.moving.rewriting.flask_code import SETTINGS, FlaskSettings, rewrite_flask
from sessile.moving.rewriting.managers import Importers, is_manager, module_names
from sessile.moving.rewriting.starlette_code import rewrite_starlette
from sessile.moving.rewriting.syntax import Code, Findings, Note, NotParsed

BACKUP: Final = "session_managers_backup"
FILE_BYTES_MAX: Final = 2 * 1024 * 1024
_LEFT_OUT: Final = frozenset({"node_modules", "site-packages", "venv", "env", "__pycache__", "build", "dist", BACKUP})
_MARKS: Final = (b"flask_session", b"middleware.sessions", b"starsessions", b"django.contrib.sessions")
_SETTINGS: Final = tuple(name.encode() for name in SETTINGS)


class Outcome(StrEnum):
    REWRITTEN = "rewritten"
    ARCHIVED = "archived"
    NEEDS_YOU = "needs_you"
    """Left as it is: something in it only a person can decide."""
    LEFT = "left"
    """Left as it is: it cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one file. `path` is relative to the root."""

    path: PurePosixPath
    outcome: Outcome
    before: bytes = field(default=b"", repr=False)
    after: bytes | None = field(default=None, repr=False)
    notes: tuple[Note, ...] = ()

    def diff(self) -> str:
        """What changes, as a unified diff; empty where nothing does."""
        if self.outcome not in {Outcome.REWRITTEN, Outcome.ARCHIVED}:
            return ""
        old, new = (_lines(self.before), _lines(self.after or b""))
        to = "/dev/null" if self.outcome is Outcome.ARCHIVED else f"b/{self.path}"
        return "".join(difflib.unified_diff(old, new, f"a/{self.path}", to))


@dataclass(frozen=True, slots=True)
class Adoption:
    """`root` is a real folder; the steps are in the order of their paths."""

    root: Path
    steps: tuple[Step, ...]

    @property
    def changes(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.outcome in {Outcome.REWRITTEN, Outcome.ARCHIVED})


@dataclass(frozen=True, slots=True)
class _Read:
    path: PurePosixPath
    source: bytes
    refusal: str = ""


def plan_adoption(path: Path, replaces: Sequence[Path] = ()) -> Adoption:
    """Looks at a folder, or at one file. `replaces` are modules to archive besides those found by rules. Raises ConfigurationError for a path that cannot be."""
    if not path.exists():
        raise ConfigurationError(f"There is nothing at {path}")
    only = path.resolve() if path.is_file() else None
    root = (path.parent if path.is_file() else path).resolve()
    files = {one.path: one for one in _files(root) if only is None or root / one.path == only}
    named = {_inside(root, one) for one in replaces}
    for wanted in named:
        if wanted not in files:
            raise ConfigurationError(
                f"{wanted} is no Python file that can be archived: it is a link, or left out with its folder"
            )
    archived = _archived(files, named)
    is_flask = {path: b"flask_session" in one.source for path, one in files.items()}
    # Files that use Flask-Session first: while one of them needs a person, its settings are still read.
    uses_flask = any(is_flask.values())
    steps = []
    for one in sorted(files.values(), key=lambda one: not is_flask[one.path]):
        step = _archive(one) if one.path in archived else _step(one, archived, uses_flask=uses_flask)
        if step is not None:
            steps.append(step)
            uses_flask = uses_flask and not (is_flask[one.path] and step.outcome in {Outcome.NEEDS_YOU, Outcome.LEFT})
    return Adoption(root, tuple(sorted(steps, key=lambda step: str(step.path))))


def _inside(root: Path, path: Path) -> PurePosixPath:
    absolute = path if path.is_absolute() else Path.cwd() / path
    try:
        return PurePosixPath(absolute.resolve().relative_to(root).as_posix())
    except ValueError:
        raise ConfigurationError(f"{path} is outside of {root}; nothing out there is touched") from None


def _files(root: Path) -> Iterator[_Read]:
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(
            one for one in folders if one not in _LEFT_OUT and not one.startswith(".") and not one.endswith(".egg-info")
        )
        for name in sorted(names):
            if name.endswith(".py"):
                yield _read(root, Path(folder, name))


def _read(root: Path, path: Path) -> _Read:
    relative = PurePosixPath(path.relative_to(root).as_posix())
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            target = path.resolve()
            where = (
                "inside: it is looked at by itself"
                if target.is_relative_to(root)
                else "outside: nothing out there is touched"
            )
            return _Read(
                relative, target.read_bytes() if target.is_file() else b"", f"a symbolic link; its target is {where}"
            )
        if not stat.S_ISREG(found.st_mode):
            return _Read(relative, b"", "no ordinary file")
        if found.st_size > FILE_BYTES_MAX:
            return _Read(relative, b"", f"larger than {FILE_BYTES_MAX} bytes")
        refusal = "" if found.st_mode & 0o222 and os.access(path, os.W_OK) else "read-only"
        return _Read(relative, path.read_bytes(), refusal)
    except OSError as error:
        return _Read(relative, b"", f"it cannot be read ({error.strerror})")


def _step(one: _Read, archived: Mapping[PurePosixPath, str], *, uses_flask: bool) -> Step | None:
    """None for a file that has nothing to do with it."""
    findings = Findings()
    try:
        after = _rewritten(one, archived, findings, uses_flask=uses_flask)
    except NotParsed as error:
        why = f"no Python that can be read and written back unchanged ({error})"
        return (
            Step(one.path, Outcome.LEFT, notes=(Note(0, why),))
            if _is_marked(one.source, uses_flask=uses_flask)
            else None
        )
    if one.refusal and (findings.needs or after != one.source):
        return Step(one.path, Outcome.LEFT, notes=(Note(0, one.refusal),))
    if findings.needs:
        return Step(one.path, Outcome.NEEDS_YOU, notes=tuple(sorted(set(findings.needs))))
    if after == one.source:
        return None
    return Step(one.path, Outcome.REWRITTEN, one.source, after, tuple(sorted(set(findings.notes))))


def _rewritten(one: _Read, archived: Mapping[PurePosixPath, str], findings: Findings, *, uses_flask: bool) -> bytes:
    source = one.source
    passes: list[Callable[[Code], cst.Module]] = []
    if b"flask_session" in source:
        passes.append(lambda code: rewrite_flask(code, findings))
    elif uses_flask and any(name in source for name in _SETTINGS):
        passes.append(lambda code: code.module.visit(FlaskSettings(code, findings)))
    if b"middleware.sessions" in source or b"starsessions" in source:
        passes.append(lambda code: rewrite_starlette(code, findings))
    if b"django.contrib.sessions" in source:
        passes.append(lambda code: rewrite_django(code, findings))
    modules = {name: path for path in archived for name in module_names(path)}
    if any(path.stem.encode() in source for path in archived):
        passes.append(lambda code: code.module.visit(Importers(code, one.path, modules, findings)))
    for rewrite in passes:
        source = rewrite(Code(source)).bytes
    return source


def _is_marked(source: bytes, *, uses_flask: bool) -> bool:
    return any(mark in source for mark in _MARKS) or (uses_flask and any(name in source for name in _SETTINGS))


def _archive(one: _Read) -> Step:
    if one.refusal:
        return Step(one.path, Outcome.LEFT, notes=(Note(0, one.refusal),))
    return Step(one.path, Outcome.ARCHIVED, one.source, None, (Note(0, f"goes to {BACKUP}/"),))


def _archived(files: Mapping[PurePosixPath, _Read], named: set[PurePosixPath]) -> dict[PurePosixPath, str]:
    """Those that are named, and those found by the rules that nobody needs any more in a way that only a person can replace."""
    found = dict.fromkeys(sorted(named), "named")
    for path, one in files.items():
        if path in named or one.refusal:
            continue
        try:
            if "session" in path.name and is_manager(path, Code(one.source)):
                found[path] = "found"
        except NotParsed:
            continue
    while True:
        needed = [path for path, how in found.items() if how == "found" and _is_needed(path, files, found)]
        if not needed:
            return found
        for path in needed:
            del found[path]


def _is_needed(path: PurePosixPath, files: Mapping[PurePosixPath, _Read], found: Mapping[PurePosixPath, str]) -> bool:
    names = dict.fromkeys(module_names(path), path)
    for other in files.values():
        if other.path in found or path.stem.encode() not in other.source:
            continue
        findings = Findings()
        try:
            code = Code(other.source)
        except NotParsed:
            return True  # nobody can tell
        code.module.visit(Importers(code, other.path, names, findings))
        if findings.needs:
            return True
    return False


def _lines(source: bytes) -> list[str]:
    """For a diff: what is no UTF-8 is shown by its bytes, and every line ends."""
    lines = source.decode("utf-8", "backslashreplace").splitlines(keepends=True)
    return [line if line.endswith("\n") else line + "\n" for line in lines]
