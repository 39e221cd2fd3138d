"""Files that would embarrass: registry hosts, machine paths, modules named for nothing, lock files that say where packages came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.architecture import hygiene
from tests.architecture.tree import ROOT, project_files

MACHINE = hygiene.machine_paths(Path("/srv/build/main"), Path("/srv/people/ann"))


def texts() -> list[tuple[str, str]]:
    files = [path for path in project_files() if path.suffix not in hygiene.BINARY]
    return [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in files]


def test_no_file_names_a_registry_or_a_machine() -> None:
    machine = hygiene.machine_paths(ROOT, Path.home())
    faults = [fault for name, text in texts() for fault in hygiene.text_faults(name, text, machine)]
    assert faults == []


def test_no_module_is_named_for_nothing() -> None:
    assert hygiene.banned_names(path.relative_to(ROOT) for path in project_files()) == []


def test_a_lock_file_is_there_and_complete() -> None:
    """Without `resolved` every package still needs its integrity, or the lock would lock nothing."""
    lock = json.loads((ROOT / "clients" / "browser" / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name and not entry.get("link")}
    assert packages
    assert [name for name, entry in packages.items() if "integrity" not in entry] == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.md", "one\nnpm i --registry https://registry.npm" + "js.org/\n", "a.md:2: a registry's host"),
        (".npmrc", "registry" + "=https://proxy.example/npm\n", ".npmrc:1: a registry setting"),
        ("Makefile", "pip install --index" + "-url https://proxy.example x\n", "Makefile:1: a registry setting"),
        ("c.toml", 'url = "https://files.python' + 'hosted.org/x.whl"', "c.toml:1: a registry's host"),
        ("a.py", 'HERE = "/home' + '/ann/x"', "a.py:1: a home folder"),
        ("a.py", "# see /srv/build/main/src", "a.py:1: a path of this machine"),
        ("a.py", "# see /srv/build/shared/x", "a.py:1: a path of this machine"),
        ("a.py", "# see /srv/people/ann/.config", "a.py:1: a path of this machine"),
        ("x/package-lock.json", '{"resolved' + '": "https://x"}', "x/package-lock.json:1: where a package came from"),
    ],
)
def test_planted_text_is_found(name: str, text: str, fault: str) -> None:
    assert fault in hygiene.text_faults(name, text, MACHINE)


@pytest.mark.parametrize("text", ["GET /home/page", "see docs/srv/build/main/x", "/answers/home/why", "resolved: true"])
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert hygiene.text_faults("a.md", text, MACHINE) == []


@pytest.mark.parametrize("name", ["src/utils.py", "src/helpers/x.py", "clients/src/common.ts", "tests/_util.py"])
def test_planted_names_are_found(name: str) -> None:
    assert hygiene.banned_names([Path(name), Path("src/model/limits.py"), Path("docs/common.md")]) == [Path(name)]


def test_ignored_files_do_not_count(tmp_path: Path) -> None:
    for name in (
        "kept.py",
        "left.db",
        "dist/left.js",
        "client/kept.ts",
        "client/out/left.js",
        ".git/left",
        "out/kept.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".gitignore").write_text("*.db\n/dist/\n")
    (tmp_path / "client" / ".gitignore").write_text("out/\n")
    assert [str(path.relative_to(tmp_path)) for path in project_files(tmp_path)] == [
        ".gitignore",
        "client/.gitignore",
        "client/kept.ts",
        "kept.py",
        "out/kept.py",
    ]
