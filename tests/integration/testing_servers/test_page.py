"""The code of docs/how-to/test-outages.md is tests with their fixtures; here they are, word for word."""

from __future__ import annotations

import re

import pytest

from sessile.testing.fault_proxy import Faults
from sessile.testing.servers import postgres_binaries
from sessile.testing.servers.redis_server import redis_binary
from tests.architecture.tree import ROOT
from tests.conftest import server_or_skip

PAGE = ROOT / "docs" / "how-to" / "test-outages.md"
TOLD = PAGE.read_text(encoding="utf-8")
CODE = "\n\n".join(re.findall(r"```python\n(.*?)```", TOLD, re.DOTALL))
exec(compile(CODE, PAGE, "exec", dont_inherit=True))


@pytest.fixture(scope="module", autouse=True)
def _servers() -> None:
    """The page's own fixtures skip nothing."""
    server_or_skip(postgres_binaries)
    server_or_skip(lambda: redis_binary("redis-server"))


def test_the_page_has_tests() -> None:
    assert len(re.findall(r"^def test_\w+", CODE, re.MULTILINE)) == 3


def test_the_page_names_every_fault() -> None:
    assert [name for name in vars(Faults) if not name.startswith("_") and f"`{name}(" not in TOLD] == []
