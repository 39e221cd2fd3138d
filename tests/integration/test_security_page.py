"""The snippets of docs/how-to/security.md do what the page says."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from sessile.testing.shows import shows_security
from tests.architecture.tree import ROOT

PAGE = (ROOT / "docs" / "how-to" / "security.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run(source: str) -> dict[str, Any]:
    made: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(source, "docs/how-to/security.md", "exec"), made)
    return made


@pytest.mark.parametrize("source", [source for source in SNIPPETS if "FastAPI" not in source])
def test_a_snippet_runs(source: str) -> None:
    run(source)


@shows_security("C-9")
async def test_the_login_of_the_page_counts() -> None:
    (source,) = [source for source in SNIPPETS if "FastAPI" in source]
    app = run(source)["app"]
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        statuses = []
        for password in ("guess", "guess", "correct horse", "correct horse"):
            answer = await client.post("/login", json={"name": "ada", "password": password})
            statuses.append((answer.status_code, answer.text if answer.status_code == 200 else ""))
    assert statuses == [(200, '"Wrong name or password."')] * 2 + [(200, '"Welcome."'), (429, "")]
