"""Erasing on a file: no byte of the user is in any table, with and without keys, also when the keys are gone; and the page's code is run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection

from sessile.model.document import Actor
from sessile.model.errors import ContentUnreadable
from sessile.model.platform import PlatformEntry
from sessile.runtime.blocking import SessionManager
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.stores.sql.tables import metadata

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "personal-data.md"
USER, WORDS = "grace-7f3a", "words-that-only-grace-wrote"
KEYS = [f"k1:{base64.b64encode(hashlib.sha256(b'one').digest()).decode()}"]
OTHER = [f"k2:{base64.b64encode(hashlib.sha256(b'two').digest()).decode()}"]


def manager_on(folder: Path, keys: list[str]) -> SessionManager:
    return SessionManager(Settings(database_url=f"sqlite:///{folder / 'a.db'}", encryption_keys=keys))


def work(manager: SessionManager) -> str:
    manager.sync_platforms(USER, [PlatformEntry(platform_id="shop", name=WORDS, kind="shop")])
    issued = manager.create_session(USER, data={"k": WORDS}, public={"name": WORDS}, device={"label": WORDS})
    actor = Actor(user_id=USER, session_id=issued.session.session_id)
    manager.documents.open(actor, "form", default={"why": WORDS})
    manager.handoffs.offer(issued.session.session_id, path=f"/{WORDS}")
    manager.change_principal(USER, roles=["writer"])
    manager.limit_sessions(USER, 3)
    return issued.token


def rows(manager: SessionManager) -> list[tuple[str, tuple[Any, ...]]]:
    def all_of(connection: Connection) -> list[tuple[str, tuple[Any, ...]]]:
        return [
            (table.name, tuple(row)) for table in metadata.sorted_tables for row in connection.execute(select(table))
        ]

    return manager.transact(all_of)


def naming(found: list[tuple[str, tuple[Any, ...]]]) -> list[str]:
    return sorted({table for table, row in found if USER in repr(row) or WORDS in repr(row)})


@pytest.mark.parametrize(
    ("before", "after"), [([], []), (KEYS, KEYS), (KEYS, OTHER)], ids=["plain", "keys", "keys lost"]
)
def test_no_row_names_the_user_any_more(tmp_path: Path, before: list[str], after: list[str]) -> None:
    with manager_on(tmp_path, before) as manager:
        token = work(manager)
        assert {"sessions", "principals", "documents", "platforms", "handoffs", "audit_events"} <= set(
            naming(rows(manager))
        )
    with manager_on(tmp_path, after) as manager:
        if after == OTHER:
            with pytest.raises(ContentUnreadable):
                list(manager.personal_data.export(USER))
        manager.personal_data.erase(USER, reason="asked")
        assert naming(rows(manager)) == []
        assert manager.audit.verify().faults == []
        assert manager.get_principal(USER) is None
        assert token not in repr(rows(manager))


async def test_both_lanes_give_the_same_copy(tmp_path: Path) -> None:
    with manager_on(tmp_path, []) as manager:
        token = work(manager)
        blocking = json.loads("".join(manager.personal_data.export(USER, reason="one")))
    async with AsyncSessionManager(Settings(database_url=f"sqlite:///{tmp_path / 'a.db'}")) as other:
        pieces = [piece async for piece in other.personal_data.export(USER, reason="two")]
        copy = json.loads("".join(pieces))
        assert token.partition(".")[2] not in "".join(pieces)
        assert [event["data"] for event in copy["events"] if event["type"] == "principal_exported"] == [
            {"reason": "one"},
            {"reason": "two"},
        ]
        for one in (blocking, copy):
            one.pop("exported_at")
            one.pop("events")
        assert copy == blocking
        erased = await other.personal_data.erase(USER)
        assert erased.user_hash in await other.personal_data.hashes(USER)
        assert (erased.sessions, erased.documents) == (1, 1)


def test_the_code_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    copy, erase, find = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    with manager_on(tmp_path, []) as manager:
        manager.create_session("ada")
        given: dict[str, Any] = {"manager": manager}
        exec(copy, given)
        copy_of: Callable[..., None] = given["copy_of"]
        copy_of(manager, "ada", tmp_path / "ada.json")
        kept = json.loads((tmp_path / "ada.json").read_text(encoding="utf-8"))
        exec(erase + find, given)
    assert (kept["format"], kept["version"], len(kept["sessions"])) == ("sessile/user-data", 1, 1)
    assert [event.data["reason"] for event in given["proofs"]] == ["request 119"]
