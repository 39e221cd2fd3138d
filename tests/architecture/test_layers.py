"""Arrows point down. The contracts are in pyproject.toml; here they are run, and tried on planted faults."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture import python_source
from tests.architecture.tree import PACKAGE, ROOT

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
CONTRACTS = ("layers", "pure-core", "neutral-web", "neutral-moving", "stores")

BELOW_THE_ROOT = ("model", "ports", "engine", "stores", "telemetry", "runtime", "moving")
"""`sessile/__init__.py` sits on top of all layers and re-exports from these: importing it from here would be a circle."""
PURE = ("model", "ports", "engine")


def lint(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """lint-imports with the configuration in a folder, on the package below it."""
    command = [str(LINT_IMPORTS), "--config", "pyproject.toml", "--no-cache", *arguments]
    source = folder / "src" if (folder / "src").is_dir() else folder
    environment = {"PYTHONPATH": str(source), "PATH": ""}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def files_of(layers: tuple[str, ...]) -> list[Path]:
    found = [path for name in layers for path in [*(PACKAGE / name).rglob("*.py"), PACKAGE / f"{name}.py"]]
    return sorted(path for path in found if path.exists())


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """A package with every layer, no faults, and the project's own contracts."""
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "sessile").mkdir()
    (tmp_path / "sessile" / "__init__.py").write_text("")
    for name in (
        "cli",
        "demo",
        "integrations",
        "testing",
        "client",
        "server",
        "web",
        "moving",
        "runtime",
        "engine",
        "stores",
    ):
        (tmp_path / "sessile" / name).mkdir()
        (tmp_path / "sessile" / name / "__init__.py").write_text("import sessile.model\n")
    for name in ("ports", "model", "stores/sql", "stores/memory", "stores/redis"):
        (tmp_path / "sessile" / f"{name}.py").write_text("")
    return tmp_path


def test_the_project_keeps_its_contracts() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in result.stdout


def test_the_contracts_are_the_ones_that_are_tried_here() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert tuple(contract["id"] for contract in configured["contracts"]) == CONTRACTS


def test_the_skeleton_has_no_faults(skeleton: Path) -> None:
    result = lint(skeleton)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("contract", "module", "line"),
    [
        ("layers", "model.py", "import sessile.engine"),
        ("layers", "engine/sessions.py", "from sessile.stores import sql"),
        ("layers", "stores/sql.py", "import sessile.runtime"),
        ("layers", "server/app.py", "import sessile.client"),
        ("layers", "client/core.py", "import sessile.testing"),
        ("layers", "rogue.py", ""),
        ("pure-core", "model.py", "import time"),
        ("pure-core", "ports.py", "from sqlalchemy import Connection"),
        ("pure-core", "engine/sessions.py", "import asyncio"),
        ("pure-core", "engine/sessions.py", "from threading import Lock"),
        ("neutral-web", "web/cookies.py", "from starlette.requests import Request"),
        ("layers", "moving/signed.py", "import sessile.web"),
        ("neutral-moving", "moving/signed.py", "from flask import Flask"),
        ("stores", "stores/sql.py", "import sessile.stores.memory"),
    ],
)
def test_a_planted_import_is_found(skeleton: Path, contract: str, module: str, line: str) -> None:
    (skeleton / "sessile" / module).write_text(line + "\n")
    result = lint(skeleton, "--contract", contract)
    assert result.returncode != 0, result.stdout
    assert "0 kept, 1 broken." in result.stdout, result.stdout + result.stderr


def test_nothing_below_imports_the_root() -> None:
    submodules = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    faults = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in files_of(BELOW_THE_ROOT)
        for line in python_source.root_imports(path.read_text(encoding="utf-8"), "sessile", submodules)
    ]
    assert faults == []


def test_the_core_reads_no_clock_and_opens_no_door() -> None:
    files = files_of(PURE)
    assert len(files) >= len(PURE), f"too little to check: {files}"
    faults = [
        f"{path.relative_to(ROOT)}:{line} {what}"
        for path in files
        for line, what in python_source.impurities(path.read_text(encoding="utf-8"))
    ]
    assert faults == []


def test_planted_impurities_are_found() -> None:
    source = """\
import datetime as dt
from datetime import datetime
def f(clock):
    datetime.now(tz=None)
    dt.datetime.utcnow()
    clock.now()
    open("x")
    self.open("x")
"""
    assert python_source.impurities(source) == [(4, "datetime.now"), (5, "datetime.utcnow"), (7, "open")]


def test_planted_imports_of_the_root_are_found() -> None:
    source = "import sessile\nimport sessile.model\nfrom sessile import model\nfrom sessile import SessionManager\n"
    assert python_source.root_imports(source, "sessile", {"model"}) == [1, 4]
