"""The wheel holds what the source tree holds: the browser bundle, the demo's pages, the migrations. Built without a network."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGE, ROOT, SOURCE, project_files

NEEDED = {
    "the browser bundle": "sessile/server/static/sessile.js",
    "the console": "sessile/server/console/static/console.js",
    "the console's charts": "sessile/server/console/static/drawing.js",
    "the demo's page": "sessile/demo/**/*.html",
    "the migrations' environment": "sessile/stores/sql/migrations/env.py",
    "a migration": "sessile/stores/sql/migrations/versions/*.py",
    "the type marker": "sessile/py.typed",
    "the licence": "sessile-*.dist-info/licenses/LICENSE",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("sessile-*.whl")
    return zipfile.ZipFile(path)


def missing(names: list[str], needed: dict[str, str]) -> list[str]:
    """The descriptions of which no file is among the names."""
    return [what for what, glob in needed.items() if not any(_matches(name, glob) for name in names)]


def _matches(name: str, glob: str) -> bool:
    head, _, tail = glob.partition("**/")
    if not tail:
        return len(Path(name).parts) == len(Path(glob).parts) and Path(name).match(glob)
    return name.startswith(head) and Path(name).match(tail)


@pytest.mark.parametrize("what", NEEDED)
def test_it_holds(wheel: zipfile.ZipFile, what: str) -> None:
    assert missing(wheel.namelist(), {what: NEEDED[what]}) == []


def test_it_holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    own = {str(path.relative_to(SOURCE)) for path in project_files() if path.is_relative_to(PACKAGE)}
    packed = {name for name in wheel.namelist() if name.startswith("sessile/")}
    assert packed == own


def test_the_bundle_is_the_committed_one(wheel: zipfile.ZipFile) -> None:
    name = NEEDED["the browser bundle"]
    assert wheel.read(name) == (SOURCE / name).read_bytes()


def test_the_command_is_declared(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "sessile = sessile.cli.main:main" in wheel.read(entry_points).decode()


def test_a_file_that_is_missing_is_named() -> None:
    names = ["sessile/demo/pages/index.html", "sessile/server/static/other.js", "sessile/stores/sql/migrations/env.py"]
    assert missing(names, NEEDED) == [
        "the browser bundle",
        "the console",
        "the console's charts",
        "a migration",
        "the type marker",
        "the licence",
    ]
