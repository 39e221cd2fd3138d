"""How much memory this process may have, and how much of that is gone: what its control group is held to (cgroup v2), or the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sessile.model.health import MemoryUse

_DEPTH_MAX: Final = 32


def memory_use(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> MemoryUse:
    """As it is now. Groups of version 1 are not looked at: there, and outside of Linux, the machine or nothing is the limit."""
    resident_bytes = _resident_bytes(proc)
    tight = max(
        [*_held(proc, groups), *_machine(proc, resident_bytes)],
        key=lambda one: one[0] / one[1],
        default=(0, 0),
    )
    return MemoryUse(resident_bytes, *tight)


def _resident_bytes(proc: Path) -> int:
    try:
        import resource  # not everywhere

        return int((proc / "self" / "statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except (ImportError, OSError, IndexError, ValueError):
        return 0


def _machine(proc: Path, resident_bytes: int) -> Iterator[tuple[int, int]]:
    """Used and total. Other programs are not counted: they are not ours to tell of."""
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        total_kib = next(int(line.split()[1]) for line in lines if line.startswith("MemTotal:"))
    except (OSError, IndexError, ValueError, StopIteration):
        return
    if total_kib:
        yield resident_bytes, total_kib * 1024


def _held(proc: Path, groups: Path) -> Iterator[tuple[int, int]]:
    """Used and limit of the group of this process and of those around it, as far as they have a limit."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)
    if own is None or ".." in own:  # version 1; or a group that is not to be seen from in here
        return
    folder = groups / own.strip("/")
    for _ in range(_DEPTH_MAX):
        found = _limited(folder)
        if found is not None:
            yield found
        if folder == groups:
            return
        folder = folder.parent


def _limited(folder: Path) -> tuple[int, int] | None:
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        if limit == "max" or int(limit) <= 0:
            return None
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        stat = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        droppable = next((int(line.split()[1]) for line in stat if line.startswith("inactive_file ")), 0)
    except (OSError, IndexError, ValueError):
        return None
    return max(0, used - droppable), int(limit)
