"""Where things are, and which files belong to the project."""

from __future__ import annotations

import os
from pathlib import Path

from pathspec import GitIgnoreSpec

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "sessile"
CLIENT_SOURCE = ROOT / "clients" / "browser" / "src"


def project_files(root: Path = ROOT) -> list[Path]:
    """Files below `root` that its ignore files do not leave out, sorted: what git has or would take.

    git itself is not asked: the tests also run from an unpacked archive, and where the folder is somebody else's.
    """
    found: list[Path] = []
    rules: list[tuple[Path, GitIgnoreSpec]] = []

    def ignored(path: Path, mark: str = "") -> bool:
        return any(
            path.is_relative_to(folder) and rule.match_file(path.relative_to(folder).as_posix() + mark)
            for folder, rule in rules
        )

    for name, folders, files in os.walk(root):
        folder = Path(name)
        if ".gitignore" in files:
            lines = (folder / ".gitignore").read_text(encoding="utf-8").splitlines()
            rules.append((folder, GitIgnoreSpec.from_lines(lines)))
        # In place: os.walk goes only where this list still points.
        folders[:] = [entry for entry in folders if entry != ".git" and not ignored(folder / entry, "/")]
        found += [folder / entry for entry in files if not ignored(folder / entry)]
    return sorted(found)
