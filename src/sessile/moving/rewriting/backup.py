"""Carrying out an adoption, and taking it back byte for byte. Each adoption has a folder in `session_managers_backup/` with what was there before,
and a manifest that says of each file its path, its SHA-256 before and after, and when.

    session_managers_backup/20260301T120000Z/manifest.json
    session_managers_backup/20260301T120000Z/files/app/session_manager.py.orig
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from sessile.model.errors import ConfigurationError
from sessile.moving.rewriting.planning import BACKUP, Adoption, Outcome

MANIFEST: Final = "manifest.json"
OVERWRITTEN: Final = "overwritten"
"""Where a forced rollback keeps what it overwrites."""


class Entry(msgspec.Struct, frozen=True):
    """One file. `sha256_after` is None for one that was archived: it is not there any more."""

    path: str
    action: str
    sha256_before: str
    sha256_after: str | None
    mode: int


class Manifest(msgspec.Struct, frozen=True):
    at: str
    entries: list[Entry]
    rolled_back_at: str | None = None


class Conflict(msgspec.Struct, frozen=True):
    """A file that a rollback would overwrite although somebody changed it since."""

    path: str
    why: str


def adopt(adoption: Adoption, now: datetime) -> Path:
    """Keeps what is there, then writes; the folder with the backup. Stopped at any moment, it can be rolled back. Raises ConfigurationError when a
    file changed since it was looked at, or there is no room for the backup."""
    root = adoption.root
    for step in adoption.changes:
        if _bytes(root / step.path) != step.before:
            raise ConfigurationError(
                f"{step.path} has changed since it was looked at; nothing was written. Look again."
            )
    folder = _new_folder(root, now)
    entries = []
    for step in adoption.changes:
        _write(_kept(folder, str(step.path)), step.before, 0o600, make_folders=True)
        after = None if step.after is None else _sha256(step.after)
        mode = stat.S_IMODE((root / step.path).stat().st_mode)
        entries.append(Entry(str(step.path), str(step.outcome), _sha256(step.before), after, mode))
    _save(folder, Manifest(now.isoformat(), entries))
    for step, entry in zip(adoption.changes, entries, strict=True):
        if step.outcome is Outcome.ARCHIVED:
            (root / step.path).unlink()
        else:
            assert step.after is not None
            _write(root / step.path, step.after, entry.mode)
    return folder


def roll_back(root: Path, now: datetime, *, force: bool = False) -> tuple[Path, list[str], list[Conflict]]:
    """Takes the latest adoption back: its folder, the files restored, and what stood in the way. With conflicts nothing is restored, unless
    `force`; then what was edited since is kept beside the backup. Raises ConfigurationError when there is none, or the backup is damaged."""
    root = root.resolve()
    folder, manifest = _latest(root)
    kept = {entry.path: _checked(root, folder, entry) for entry in manifest.entries}
    conflicts = [conflict for entry in manifest.entries if (conflict := _conflict(root, entry)) is not None]
    if conflicts and not force:
        return folder, [], conflicts
    restored = []
    for entry in manifest.entries:
        path = root / entry.path
        if path.is_symlink():
            path.unlink()  # forced: what it leads to stays as it is
        present = _bytes(path)
        if present != kept[entry.path]:
            if present is not None and _sha256(present) != entry.sha256_after:
                _write(folder / OVERWRITTEN / (entry.path + ".orig"), present, 0o600, make_folders=True)
            _write(path, kept[entry.path], entry.mode, make_folders=True)
            restored.append(entry.path)
    _save(folder, msgspec.structs.replace(manifest, rolled_back_at=now.isoformat()))
    return folder, restored, conflicts


def _conflict(root: Path, entry: Entry) -> Conflict | None:
    path = root / entry.path
    if path.is_symlink():
        return Conflict(entry.path, "a symbolic link is in its place")
    present = _bytes(path)
    digest = None if present is None else _sha256(present)
    if digest in {entry.sha256_before, entry.sha256_after}:
        return None
    if digest is None:
        return Conflict(entry.path, "it was removed since")
    return Conflict(
        entry.path, "it was edited since" if entry.sha256_after is not None else "there is another file in its place"
    )


def _checked(root: Path, folder: Path, entry: Entry) -> bytes:
    """What was kept. A manifest may come with a clone: nothing outside of the root is written, and nothing that is not what was there."""
    path = PurePosixPath(entry.path)
    if path.is_absolute() or ".." in path.parts or not (root / path).parent.resolve().is_relative_to(root):
        raise ConfigurationError(f"{folder / MANIFEST} names {entry.path!r}, which is outside of {root}")
    kept = _bytes(_kept(folder, entry.path))
    if kept is None or _sha256(kept) != entry.sha256_before:
        raise ConfigurationError(f"The backup of {entry.path} in {folder} is missing or damaged; nothing was restored")
    return kept


def _latest(root: Path) -> tuple[Path, Manifest]:
    base = _base(root)
    folders: Sequence[Path] = sorted(base.iterdir(), reverse=True) if base.is_dir() else []
    for folder in folders:
        manifest = _bytes(folder / MANIFEST)
        if manifest is None:
            continue
        try:
            read = msgspec.json.decode(manifest, type=Manifest)
        except msgspec.MsgspecError:
            raise ConfigurationError(f"{folder / MANIFEST} cannot be read; nothing was restored") from None
        if read.rolled_back_at is None:
            return folder, read
    raise ConfigurationError(f"There is no adoption in {base} that could be taken back")


def _base(root: Path) -> Path:
    base = root / BACKUP
    if base.is_symlink():
        raise ConfigurationError(f"{base} is a symbolic link; the backup belongs to {root} itself")
    return base


def _new_folder(root: Path, now: datetime) -> Path:
    base = _base(root)
    name = now.strftime("%Y%m%dT%H%M%SZ")
    for number in range(100):
        folder = base / (name if not number else f"{name}-{number:02}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be made ({error.strerror}); nothing was written") from None
        return folder
    raise ConfigurationError(f"There is no free name for a backup in {base}")


def _kept(folder: Path, path: str) -> Path:
    """Not under its own suffix: nobody is to import or collect it."""
    return folder / "files" / (path + ".orig")


def _save(folder: Path, manifest: Manifest) -> None:
    _write(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n", 0o644)


def _write(path: Path, content: bytes, mode: int, *, make_folders: bool = False) -> None:
    """Whole or not at all, and on the disk when it returns."""
    if make_folders:
        path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.sessile-{os.getpid()}")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(mode)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
