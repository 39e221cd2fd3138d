"""What a process may have of memory, from the files of a kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sessile.model.health import MemoryUse
from sessile.runtime.memory import memory_use

GIB = 2**30
PAGE = os.sysconf("SC_PAGE_SIZE")


class Kernel:
    def __init__(self, folder: Path) -> None:
        self.proc, self.groups = folder / "proc", folder / "cgroup"
        (self.proc / "self").mkdir(parents=True)
        self.groups.mkdir()
        (self.proc / "self" / "statm").write_text(f"99999 {2 * GIB // PAGE} 1 1 0 1 0\n")
        (self.proc / "meminfo").write_text(f"MemTotal:       {16 * 2**20} kB\nMemFree:        1 kB\n")
        self.own("0::/app.slice/sessile.service\n")

    def own(self, told: str) -> None:
        (self.proc / "self" / "cgroup").write_text(told)

    def group(self, name: str, limit: str, current: int, inactive_file: int = 0) -> None:
        folder = self.groups / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{current}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {inactive_file}\nactive_file 5\n")

    def use(self) -> MemoryUse:
        return memory_use(self.proc, self.groups)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def test_without_a_limit_it_is_this_process_and_the_machine(kernel: Kernel) -> None:
    kernel.group("app.slice/sessile.service", "max", 8 * GIB)
    assert kernel.use() == MemoryUse(2 * GIB, 2 * GIB, 16 * GIB)
    assert kernel.use().used == pytest.approx(0.125)


def test_a_limit_of_the_group_counts_all_that_it_holds_but_not_what_can_be_dropped(kernel: Kernel) -> None:
    kernel.group("app.slice/sessile.service", str(4 * GIB), 4 * GIB, inactive_file=GIB)
    assert kernel.use() == MemoryUse(2 * GIB, 3 * GIB, 4 * GIB)


def test_the_tightest_of_the_groups_around_it_counts(kernel: Kernel) -> None:
    kernel.group("app.slice/sessile.service", str(4 * GIB), GIB)
    kernel.group("app.slice", str(5 * GIB), 4 * GIB)
    assert kernel.use() == MemoryUse(2 * GIB, 4 * GIB, 5 * GIB)


def test_in_a_container_its_own_group_is_the_root(kernel: Kernel) -> None:
    kernel.own("0::/\n")
    kernel.group(".", str(3 * GIB), 2 * GIB)
    assert kernel.use().limit_bytes == 3 * GIB


@pytest.mark.parametrize("told", ["4:memory:/docker/1\n", "0::/../outside\n", ""])
def test_a_group_that_is_not_to_be_seen_is_no_limit(kernel: Kernel, told: str) -> None:
    kernel.own(told)
    kernel.group("docker/1", str(GIB), GIB)
    kernel.group("../outside", str(GIB), GIB)
    assert kernel.use().limit_bytes == 16 * GIB


@pytest.mark.parametrize("file", ["memory.current", "memory.stat", "memory.max"])
def test_what_cannot_be_read_is_no_limit(kernel: Kernel, file: str) -> None:
    kernel.group("app.slice/sessile.service", str(GIB), GIB)
    (kernel.groups / "app.slice/sessile.service" / file).write_text(
        "nonsense x\n" if file != "memory.stat" else "inactive_file nonsense\n"
    )
    assert kernel.use().limit_bytes == 16 * GIB


def test_where_the_system_does_not_say_nothing_is_known(tmp_path: Path) -> None:
    assert memory_use(tmp_path, tmp_path) == MemoryUse()
    assert MemoryUse().used is None


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="no Linux")
def test_of_this_machine() -> None:
    used = memory_use()
    assert 0 < used.resident_bytes < used.limit_bytes
    assert used.used is not None
    assert 0 < used.used < 1
