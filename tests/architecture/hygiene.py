"""What must not stand in any file of the project, and names that no module may have."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

BANNED_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}
BINARY = {".gif", ".ico", ".jpeg", ".jpg", ".png", ".woff2"}

# Written in pieces, so that this file does not break its own rule.
HOSTS = re.compile(
    r"registry\.npm" + r"js|python" + r"hosted\.org|pypi\.org/" + r"simple|yarn" + r"pkg\.com|npm\.pkg\.", re.IGNORECASE
)
REGISTRY_SETTING = re.compile(
    r"^\s*(?:@[\w-]+:)?registry\s*=|--(?:extra-)?index" + r"-url|^\s*(?:extra-)?index" + r"-url\s*=", re.MULTILINE
)
RESOLVED = re.compile(r'"resolved' + r'"\s*:')
HOMES = re.compile(r"(?<![\w.])/(?:home|Users)/" + r"[a-z][\w.-]*/|[A-Z]:\\Users\\")


def machine_paths(root: Path, home: Path) -> re.Pattern[str]:
    """A pattern for paths of this very machine: where the project lies, its neighbours, the home folder, the temporary folder."""
    folders = {root, home, Path(tempfile.gettempdir())}
    if len(root.parent.parts) > 1:
        folders.add(root.parent)
    # One name below the root of the file system, such as /app, is also an ordinary word of documentation; with its slash it is not.
    return re.compile("|".join(rf"(?<![\w.~-]){re.escape(str(folder))}/" for folder in sorted(folders)))


def text_faults(name: str, text: str, machine: re.Pattern[str]) -> list[str]:
    """What must not stand in a file, as `name:line: what`."""
    faults = []
    patterns = [("a registry's host", HOSTS), ("a registry setting", REGISTRY_SETTING), ("a home folder", HOMES)]
    patterns.append(("a path of this machine", machine))
    if name.endswith("package-lock.json"):
        patterns.append(("where a package came from", RESOLVED))
    for what, pattern in patterns:
        faults += [f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {what}" for match in pattern.finditer(text)]
    return faults


def banned_names(paths: Iterable[Path]) -> list[Path]:
    """Modules and packages that are named for nothing in particular: `utils.py`, `helpers/`, `common.ts`."""
    return [
        path
        for path in paths
        if path.suffix in {".py", ".ts", ".tsx", ".mjs"}
        and any(part.split(".")[0].strip("_").lower() in BANNED_NAMES for part in path.parts)
    ]
