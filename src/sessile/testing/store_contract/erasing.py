"""One user's data: a copy of it, and its removal, which can be cut off anywhere and leaves others, the chains and a proof."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar, cast

import pytest

from sessile.engine.erasing import ErasureEngine
from sessile.engine.keys import KeyRing
from sessile.model.document import Actor, CheckpointKind, Owner
from sessile.model.errors import DocumentNotFound, InvalidValue, SessionCreationError, SessionEnded, StoreUnavailable
from sessile.model.platform import PlatformEntry
from sessile.model.presence import PresenceLease
from sessile.model.session import Issued
from sessile.ports import Store, Transaction
from sessile.testing.lab import ADA, PHONE, Bench, Lab, change, only, put
from sessile.testing.store_contract.base import Contract
from sessile.testing.store_contract.legacy import arrival, run_of

T = TypeVar("T")
CUTS_MAX = 40
NOTHING: list[object] = [None, [], [], [], [], [], None, [], None, [], [], [], [], []]
"""What `_left` finds of a user with one document who is erased."""


class ErasureContract(Contract):
    """Export and erasure."""

    async def test_everything_of_a_user_goes_and_nothing_of_others(self, lab: Lab) -> None:
        bench = await lab.open()
        mine, form = await _worked(bench, lab, "ada")
        others, their_form = await _worked(bench, lab, "eve")
        before = await bench.store.read(_kept, "eve", others.session.session_id, their_form)
        erased = await bench.erasure.erase("ada", "she asked")
        assert (erased.sessions, erased.documents, erased.handoffs, erased.platforms) == (2, 2, 1, 1)
        assert await bench.store.read(_left, "ada", [form]) == NOTHING
        session = await bench.store.read(lambda tx: tx.sessions.get(mine.session.session_id))
        assert session is not None
        assert (session.user_id, session.platform_id, dict(session.device), dict(session.public)) == (
            None,
            None,
            {},
            {},
        )
        assert (session.data, session.end_reason) == (b"{}", "admin")
        proof = only([event for event in await bench.audit("system") if event.type == "principal_erased"])
        assert (proof.data["reason"], proof.data["documents"], len(proof.data["digest"])) == ("she asked", 2, 64)
        assert [proof.data["user_hash"]] == await bench.erasure.hashes("ada")
        told = await bench.audit(f"session:{mine.session.session_id}")
        assert [(event.user_id, dict(event.data), event.salt) for event in told] == [(None, {}, None)] * len(told)
        assert "session_ended" in [event.type for event in told], "what happened, and when, is still there"
        assert (await bench.audits.verify(None)).faults == []
        assert await bench.store.read(_kept, "eve", others.session.session_id, their_form) == before

    async def test_what_was_cut_off_is_finished_by_another_call(self, lab: Lab) -> None:
        bench = await lab.open()
        _, form = await _worked(bench, lab, "ada")
        keys = KeyRing([b"the key of a test"], bench.store, lab.random)
        cuts = 0
        while True:  # each time one transaction further
            assert cuts < CUTS_MAX
            try:
                await ErasureEngine(_cut(bench.store, cuts), lab.clock, keys).erase("ada", "")
                break
            except StoreUnavailable:
                proofs = [event for event in await bench.audit("system") if event.type == "principal_erased"]
                assert proofs == [], "it is not done yet"
            if cuts:
                with pytest.raises(SessionCreationError):
                    await bench.sessions.create("ada")
            cuts += 1
        assert cuts > 5
        assert await bench.store.read(_left, "ada", [form]) == NOTHING
        only([event for event in await bench.audit("system") if event.type == "principal_erased"])
        assert (await bench.audits.verify(None)).faults == []
        await bench.sessions.create("ada")

    async def test_nothing_comes_back(self, lab: Lab) -> None:
        bench = await lab.open()
        run, old = run_of(lab), arrival("old", "ada")
        await bench.legacy.take_over(run, [old])
        mine, form = await _worked(bench, lab, "ada")
        outbox = replace(ADA, session_id=mine.session.session_id)
        await bench.erasure.erase("ada", "")
        with pytest.raises(SessionEnded):
            await bench.sessions.authenticate(mine.token)
        with pytest.raises(SessionEnded):
            await bench.documents.open(outbox, "form", {"again": True})
        sent = await bench.send(outbox, form, change(ADA, 9, 0, put("/a", 9)))
        assert isinstance(sent.error, SessionEnded | DocumentNotFound)
        with pytest.raises(SessionEnded):
            await bench.legacy.arrive(old.hash, can_replace=True)
        assert [str(outcome) for outcome in await bench.legacy.take_over(run, [old])] == ["known"]
        await bench.sessions.touch([mine.session])
        assert await bench.store.read(_left, "ada", [form]) == NOTHING

    async def test_again_is_no_harm_and_the_id_can_be_used_anew(self, lab: Lab) -> None:
        bench = await lab.open()
        await _worked(bench, lab, "ada")
        await bench.erasure.erase("ada", "first")
        again = await bench.erasure.erase("ada", "again")
        assert (again.sessions, again.documents, again.platforms, again.events) == (0, 0, 0, 0)
        assert [e.data["reason"] for e in await bench.audit("system") if e.type == "principal_erased"] == ["first"]
        assert (await bench.principals.get("ada")) is None
        await bench.sessions.create("ada", public={"name": "Another"})
        await bench.principals.change("ada", None, ["reader"])
        assert [event.position for event in await bench.audit("user:ada")] == [1]
        await bench.erasure.erase("ada", "second")
        assert len([e for e in await bench.audit("system") if e.type == "principal_erased"]) == 2
        assert (await bench.audits.verify(None)).faults == []
        for reason in ("a\nb", "a" * 201):
            with pytest.raises(InvalidValue):
                await bench.erasure.erase("ada", reason)

    async def test_an_export_has_what_is_kept_and_no_token(self, lab: Lab) -> None:
        bench = await lab.open()
        mine, form = await _worked(bench, lab, "ada")
        await _worked(bench, lab, "eve")
        text = await _exported(bench, "ada")
        kept = json.loads(text)
        assert (kept["format"], kept["version"], kept["user_id"]) == ("sessile/user-data", 1, "ada")
        assert (kept["user"]["public"], kept["user"]["roles"]) == ({"name": "ada"}, ["writer"])
        assert [platform["name"] for platform in kept["platforms"]] == ["Shop of ada"]
        assert mine.session.session_id in {session["session_id"] for session in kept["sessions"]}
        assert {document["name"] for document in kept["documents"]} == {"form", "second"}
        document = only([one for one in kept["documents"] if one["document_id"] == form])
        assert (document["state"], len(document["changes"]), len(document["conflicts"])) == ({"a": 3}, 2, 1)
        assert [checkpoint["state"] for checkpoint in document["checkpoints"]] == [{"a": 3}]
        types = [event["type"] for event in kept["events"]]
        assert {"principal_exported", "principal_changed", "session_created", "document_created"} <= set(types)
        assert "of eve" not in text
        secret = mine.token.partition(".")[2]
        for hidden in (mine.token, secret, mine.session.token_hash.hex(), "kept by the application"):
            assert hidden not in text
        with_data = json.loads(await _exported(bench, "ada", with_session_data=True))
        assert {"note": "kept by the application"} in [session["data"] for session in with_data["sessions"]]
        await bench.erasure.erase("ada", "")
        empty = json.loads(await _exported(bench, "ada"))
        assert (empty["user"], empty["platforms"], empty["sessions"], empty["documents"], empty["events"]) == (
            None,
            [],
            [],
            [],
            [],
        )


async def _worked(bench: Bench, lab: Lab, user_id: str) -> tuple[Issued, str]:
    """A user with two sessions, a platform, two documents, one of them worked on by two devices, presence and a hand-off."""
    shop = PlatformEntry(platform_id=f"shop-{user_id}", name=f"Shop of {user_id}", kind="shop")
    await bench.platforms.sync(user_id, [shop])
    facts: dict[str, Any] = {"public": {"name": user_id}, "device": {"label": f"Phone of {user_id}"}}
    mine = await bench.sessions.create(user_id, data=b'{"note":"kept by the application"}', **facts)
    await bench.sessions.create(user_id, **facts)
    await bench.principals.change(user_id, None, ["writer"])
    ada = Actor(user_id=user_id, device_id=ADA.device_id)
    form = (await bench.documents.open(ada, "form", {"a": 1})).document.document_id
    await bench.documents.open(ada, "second", {})
    await bench.take(ada, form, 1, 0, put("/a", 2))
    await bench.take(replace(ada, device_id=PHONE.device_id), form, 1, 0, put("/a", 3))
    await bench.checkpoints.create(ada, form, "", CheckpointKind.MANUAL, None, None)
    await bench.handoffs.offer(mine.session.session_id, "")
    leases = [_lease(lab, mine.session.session_id, document_id) for document_id in ("", form)]
    await bench.store.write(lambda tx: tx.presence.put(leases))
    return mine, form


def _lease(lab: Lab, session_id: str, document_id: str) -> PresenceLease:
    now = lab.clock.now()
    return PresenceLease(
        node_id="node",
        session_id=session_id,
        device_id=cast("str", ADA.device_id),
        document_id=document_id,
        seen_at=now,
        lease_until=now + timedelta(seconds=60),
    )


async def _exported(bench: Bench, user_id: str, *, with_session_data: bool = False) -> str:
    return "".join([piece async for piece in bench.export.export(user_id, "", with_session_data=with_session_data)])


def _left(tx: Transaction, user_id: str, document_ids: list[str]) -> list[object]:
    of_documents = [
        row
        for document_id in document_ids
        for row in (
            tx.documents.log_base(document_id),
            tx.documents.changes(document_id, after=0),
            tx.documents.get(document_id),
            tx.documents.devices(document_id),
            tx.documents.open_conflicts(document_id),
            tx.documents.checkpoints(document_id),
            tx.presence.of_document(document_id),
            [event for event in tx.audit_stream(f"document:{document_id}") if event.salt is not None],
        )
    ]
    return [
        tx.sessions.principal(user_id),
        tx.sessions.kept_of_user(user_id, limit=10),
        tx.platforms.of_user(user_id),
        tx.documents.of_owner(Owner(user_id=user_id), status=None),
        tx.audit_of_user(user_id, limit=10),
        tx.audit_stream(f"user:{user_id}"),
        *of_documents,
    ]


def _kept(tx: Transaction, user_id: str, handle: str, document_id: str) -> list[object]:
    return [
        *_left(tx, user_id, [document_id]),
        tx.sessions.get(handle),
        tx.handoffs.of_session(handle),
        tx.presence.of_sessions([handle]),
        tx.audit_stream(f"session:{handle}"),
    ]


class _CutStore:
    """The store, until so many transactions were written."""

    def __init__(self, store: Store, writes: int) -> None:
        self._store = store
        self._writes = writes

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        if not self._writes:
            raise StoreUnavailable("cut off")
        self._writes -= 1
        return await self._store.write(work, *args)


def _cut(store: Store, writes: int) -> Store:
    return cast("Store", _CutStore(store, writes))
