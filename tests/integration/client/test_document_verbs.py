"""The client's verbs of documents over HTTP against the real service."""

from __future__ import annotations

import pytest

from sessile.client import Client
from sessile.model.document import ABSENT
from sessile.model.errors import (
    CheckpointNotFound,
    DocumentNotFound,
    ExportDamaged,
    InvalidChange,
    VersionConflict,
)
from tests.integration.client.people import client_of
from tests.integration.server.running import Running, served

NONE = "01900000-0000-7000-8000-00000000000d"


async def http_only(running: Running, user: str | None = "ada") -> Client:
    """A client that never opens a socket."""
    return Client(running.origin, token=await running.token(user))


async def test_a_document_is_opened_read_changed_and_listed_without_a_socket() -> None:
    async with served() as running:
        client = await http_only(running)
        made = await client.api.open_document("a/b ü", default={"n": 1})
        assert (made.name, made.state, made.version) == ("a/b ü", {"n": 1}, 0)
        document = client.api.document(made.document_id)
        changed = await document.patch({"n": 2, "m": None}, at=(made.epoch, made.version))
        assert changed.state == {"n": 2}
        with pytest.raises(VersionConflict):
            await document.patch({"n": 3}, at=(made.epoch, made.version))
        assert (await document.patch({"x": True})).state == {"n": 2, "x": True}
        assert (await document.read()).state == {"n": 2, "x": True}
        (listed,) = await client.api.documents()
        assert (listed.document_id, listed.state) == (made.document_id, None)
        await client.close()


async def test_an_archived_document_is_out_of_the_list() -> None:
    async with served() as running:
        client = await http_only(running)
        made = await client.api.open_document("intake")
        await client.api.document(made.document_id).archive()
        assert await client.api.documents() == []
        again = await client.api.open_document("intake")
        assert again.document_id != made.document_id
        await client.close()


async def test_an_archived_document_comes_back_while_its_name_is_free() -> None:
    async with served() as running:
        client = await http_only(running)
        made = await client.api.open_document("intake", default={"n": 1})
        document = client.api.document(made.document_id)
        await document.archive()
        (archived,) = await client.api.documents(archived=True)
        assert (archived.document_id, archived.status) == (made.document_id, "archived")
        other = await client.api.open_document("intake")
        with pytest.raises(VersionConflict):
            await document.unarchive()
        assert (await client.api.document(other.document_id).rename("second")).name == "second"
        assert (await document.unarchive()).status == "active"
        assert {one.name for one in await client.api.documents()} == {"intake", "second"}
        with pytest.raises(VersionConflict):
            await document.rename("second")
        await client.close()


async def test_what_was_made_anonymously_is_claimed_after_the_login() -> None:
    async with served(claim_on_login=False) as running:
        issued = await running.manager.create_session()
        before = Client(running.origin, token=issued.token)
        made = await before.api.open_document("intake", default={"n": 1})
        await before.close()
        logged_in = await running.manager.login(issued.session.session_id, "ada")
        client = Client(running.origin, token=logged_in.token)
        (claimed,) = await client.api.claim()
        assert (claimed.document_id, claimed.state) == (made.document_id, None)
        assert await client.api.claim() == []
        assert (await client.api.document(made.document_id).read()).state == {"n": 1}
        await client.close()


async def test_an_outbox_and_a_backup_are_brought_back() -> None:
    async with served() as running, client_of(running) as client:
        made = await client.api.open_document("intake", default={"n": 0})
        operations = [{"op": "set", "path": "/n", "value": 1}]
        change = {"seq": 1, "base_version": 0, "generation": 0, "operations": operations}
        restored = await client.api.restore("intake", changes=[change])
        assert restored.ack is not None
        assert (restored.ack["seq"], restored.nack, restored.backup) == (1, None, None)
        assert restored.state["state"] == {"n": 1}
        backup = {"epoch": made.epoch, "version": 1, "values": {"/m": 2}}
        again = await client.api.restore(client.api.document(made.document_id), backup=backup)
        assert again.backup is not None
        assert again.state["state"] == {"n": 1, "m": 2}


async def test_the_past_of_a_document() -> None:
    async with served() as running, client_of(running) as client:
        live = await client.document("intake", default={"n": 0})
        await (await live.set("/n", 1)).durable
        document = client.api.document(str(live.id))
        saved = await document.checkpoint("before", request_id="r1")
        assert (await document.checkpoint("before", request_id="r1")).checkpoint_id == saved.checkpoint_id
        await (await live.set("/m", 2)).durable
        assert [one.checkpoint_id for one in await document.checkpoints()] == [saved.checkpoint_id]
        assert await live.checkpoints() == await document.checkpoints()
        (difference,) = await document.diff(saved.checkpoint_id)
        assert (difference.path, difference.current, difference.restored) == ("/m", ABSENT, 2)
        (preview,) = await document.preview(saved.checkpoint_id)
        assert preview.path == "/m"
        restored = await document.restore(saved.checkpoint_id, version=live.version)
        assert restored.checkpoint_id == saved.checkpoint_id
        with pytest.raises(VersionConflict):
            await document.restore(saved.checkpoint_id, version=0)
        with pytest.raises(CheckpointNotFound):
            await document.restore(NONE)
        with pytest.raises(InvalidChange):
            await document.diff(10_000)


async def test_copies_of_a_document() -> None:
    async with served() as running:
        client = await http_only(running)
        made = await client.api.open_document("intake", default={"n": 1})
        document = client.api.document(made.document_id)
        await document.patch({"n": 2})
        fork = await document.fork("old", at_version=0)
        assert fork.state == {"n": 1}
        with pytest.raises(VersionConflict):
            await document.fork("old")
        exported = await document.export()
        copy = await client.api.import_(exported, name="copy")
        assert (copy.name, copy.state) == ("copy", {"n": 2})
        with pytest.raises(ExportDamaged):
            await client.api.import_({**exported, "state": {"n": 3}, "document": None}, name="broken")
        await client.close()


async def test_what_happened_is_read_page_by_page() -> None:
    async with served() as running:
        client = await http_only(running)
        made = await client.api.open_document("intake")
        document = client.api.document(made.document_id)
        logged = await document.log_activity("app.printed", {"pages": 3})
        assert (logged.type, (logged.event or {})["data"]) == ("app.printed", {"pages": 3})
        await document.patch({"n": 1})
        await document.checkpoint("one")
        page = await document.activity(limit=2)
        kinds = [entry.type for entry in page.entries]
        while page.before is not None:
            page = await document.activity(before=page.before, limit=2)
            kinds += [entry.type for entry in page.entries]
        assert {"app.printed", "change", "checkpoint"} <= set(kinds)
        await client.close()


async def test_open_conflicts() -> None:
    async with served() as running, client_of(running) as here, client_of(running) as there:
        mine = await here.document("intake", default={"a": 0})
        theirs = await there.document("intake")
        base = mine.version
        await (await theirs.set("/a", 1)).durable
        frame = {
            "seq": 1,
            "base_version": base,
            "generation": 0,
            "operations": [{"op": "set", "path": "/a", "value": 2}],
        }
        assert here.send({"type": "change", "document_id": mine.id, "changes": [frame]})
        await (await theirs.set("/b", 1)).durable
        (conflict,) = await here.api.document(str(mine.id)).conflicts()
        assert (conflict.path, conflict.loser, conflict.winner) == ("/a", 1, 2)


async def test_somebody_elses_document_is_none() -> None:
    async with served() as running:
        ada, eve = await http_only(running), await http_only(running, "eve")
        made = await ada.api.open_document("intake")
        for document in (eve.api.document(made.document_id), ada.api.document(NONE)):
            with pytest.raises(DocumentNotFound):
                await document.read()
        await ada.close()
        await eve.close()
