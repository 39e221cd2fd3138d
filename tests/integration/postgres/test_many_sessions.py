"""The benchmark of ten million sessions, with three thousand: it works, and it counts right."""

from __future__ import annotations

import pytest

from benchmarks import ten_million
from tests.conftest import postgres_or_skip


@pytest.mark.server
def test_many_sessions_are_read_listed_in_pages_and_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    postgres_or_skip().close()
    monkeypatch.setattr(ten_million, "READS", 100)
    monkeypatch.setattr(ten_million, "CREATIONS", 20)
    found = ten_million.generated(3000)
    assert found["sweep"]["swept"] == 300, "each tenth one"
    assert found["page of 100"]["count"] > 1
    assert [row["count"] for row in ten_million.rows(found)][:2] == [100, 20]
