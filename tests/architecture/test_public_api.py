"""What `import sessile` promises, and what it must not need."""

from __future__ import annotations

import difflib
import subprocess
import sys
from types import ModuleType

import pytest

import sessile
from tests.architecture.public_api import SNAPSHOT, described

EXTRAS = (
    "fastapi", "starlette", "uvicorn", "websockets", "httptools", "uvloop", "typer", "rich", "flask", "django", "redis", "asyncpg",
    "psycopg", "greenlet", "opentelemetry", "prompt_toolkit", "httpx", "ua_parser",
)  # fmt: skip
"""Importable packages that come with an extra only."""


def test_the_public_api_is_the_agreed_one() -> None:
    agreed = SNAPSHOT.read_text(encoding="utf-8")
    found = described(sessile)
    changed = "\n".join(
        difflib.unified_diff(agreed.splitlines(), found.splitlines(), "agreed", "found", lineterm="", n=0)
    )
    assert found == agreed, f"intended? then: python -m tests.architecture.public_api\n{changed}"


def test_the_version_is_the_packages() -> None:
    from importlib.metadata import version

    assert sessile.__version__ == version("sessile")


def test_no_name_is_promised_twice() -> None:
    assert len(set(sessile.__all__)) == len(sessile.__all__)


def test_the_core_needs_no_extra() -> None:
    """`pip install sessile` alone must be enough for `import sessile` and for both facades."""
    block = "import sys\nfor name in {names!r}: sys.modules[name] = None\nimport sessile\n[getattr(sessile, n) for n in sessile.__all__]"
    script = block.format(names=EXTRAS)
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_changed_signature_changes_the_description() -> None:
    before, after = ModuleType("before"), ModuleType("after")
    exec("__all__ = ['f', 'N']\nN = 1\ndef f(a, *, b=1): ...", before.__dict__)
    exec("__all__ = ['f', 'N']\nN = 1\ndef f(a, *, b=2): ...", after.__dict__)
    assert described(before) == "N: int\ndef f(a, *, b=1)\n"
    assert described(after) == "N: int\ndef f(a, *, b=2)\n"


def test_a_promised_name_that_is_missing_is_an_error() -> None:
    module = ModuleType("poor")
    exec("__all__ = ['gone']", module.__dict__)
    with pytest.raises(AttributeError, match="gone"):
        described(module)
