"""An environment for each peer, made when it is needed and kept in the user's cache folder: what a peer depends on never touches ours."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from sessile.testing.torture.engines import Engine

_INSTALL_TIMEOUT_S: Final = 600.0


class EngineMissing(RuntimeError):
    """The engine cannot be run here; the message says why, without paths and addresses."""


def cache_folder() -> Path:
    """Where environments are kept: `$XDG_CACHE_HOME/sessile/torture`, by default below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "sessile" / "torture"


def python_of(engine: Engine, *, is_fresh: bool = False) -> Path:
    """The interpreter that runs this engine's application. `is_fresh` makes its environment anew, with the releases of today. Raises EngineMissing."""
    if not engine.packages:
        missing = [module for module in engine.modules if not _can_import(module)]
        if missing:
            raise EngineMissing(f"{missing[0]} cannot be imported here")
        return Path(sys.executable)
    named = hashlib.sha256("\n".join((*engine.packages, sys.version)).encode()).hexdigest()[:12]
    folder = cache_folder() / f"{engine.packages[0].partition('[')[0]}-{named}"
    ready = folder / ".ready"
    if is_fresh or not ready.exists():
        _make(folder, engine.packages)
        ready.touch()
    return folder / "bin" / "python"


def _can_import(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # a parent is not there, or needs what is not there
        return False


def _make(folder: Path, packages: tuple[str, ...]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = _run([sys.executable, "-m", "venv", str(folder)])
    if made.returncode:
        # Debian leaves ensurepip out; the pip that is here can fill an environment that has none.
        made = _run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)])
    if made.returncode:
        raise EngineMissing("a virtual environment could not be made")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    done = _run([*pip, "install", "--quiet", "--disable-pip-version-check", *packages])
    if done.returncode:
        raise EngineMissing(f"{', '.join(packages)} could not be installed")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise EngineMissing(f"it could not be installed within {_INSTALL_TIMEOUT_S:.0f} s") from error
