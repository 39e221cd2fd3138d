"""Rotation and login: what a retired token may still see, for how long, and what it can never see."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sessile.model.document import Actor
from sessile.model.errors import DocumentNotFound, SessionEnded, SessionNotFound
from sessile.model.expiry import UNSEEN_TOKEN_MAX
from sessile.model.session import Issued, Standing
from sessile.model.values import decode, encode
from sessile.testing.lab import IDLE_TIMEOUT_S, ROTATION_WINDOW_S, RULES, Bench, Lab, put
from sessile.testing.shows import shows_security
from sessile.testing.store_contract.base import Contract


class TokenContract(Contract):
    """Rotate, log in, retired tokens and their late use."""

    async def test_a_rotation_gives_a_new_token_to_the_same_session(self, lab: Lab) -> None:
        bench = await lab.open()
        first = await bench.sessions.create("ada", data=encode({"a": 1}))
        lab.clock.advance(10)
        second = await bench.sessions.rotate(first.session.session_id)
        assert second.token != first.token
        now = await bench.sessions.authenticate(second.token)
        assert (now.session_id, now.user_id, decode(now.data)) == (first.session.session_id, "ada", {"a": 1})
        assert (now.authenticated_at, now.standing) == (first.session.authenticated_at, Standing.CURRENT)
        assert now.absolute_expires_at == first.session.absolute_expires_at
        assert now.idle_expires_at == lab.clock.now() + timedelta(seconds=IDLE_TIMEOUT_S)

    async def test_a_rotated_token_serves_what_was_under_way_until_its_window_closes(self, lab: Lab) -> None:
        bench = await lab.open()
        first = await bench.sessions.create("ada")
        second = await bench.sessions.rotate(first.session.session_id)
        lab.clock.advance(100)
        seen = await bench.sessions.authenticate(first.token)
        assert (seen.standing, seen.user_id) == (Standing.ROTATED, "ada"), "nobody has seen the new token yet"
        assert bench.sessions.touched(seen) is None, "a retired token is no activity"
        await _see(bench, second)
        lab.clock.advance(ROTATION_WINDOW_S - 0.001)
        await bench.sessions.authenticate(first.token)
        lab.clock.advance(0.001)
        with pytest.raises(SessionNotFound):
            await bench.sessions.authenticate(first.token)
        await bench.sessions.authenticate(second.token)

    async def test_a_window_opens_at_the_latest_ten_minutes_after_the_rotation(self, lab: Lab) -> None:
        bench = await lab.open()
        first = await bench.sessions.create("ada")
        await bench.sessions.rotate(first.session.session_id)
        lab.clock.advance(UNSEEN_TOKEN_MAX.total_seconds() + ROTATION_WINDOW_S - 1)
        await bench.sessions.authenticate(first.token)
        lab.clock.advance(1)
        with pytest.raises(SessionNotFound):
            await bench.sessions.authenticate(first.token)

    async def test_a_window_that_closed_does_not_open_again_with_the_next_rotation(self, lab: Lab) -> None:
        bench = await lab.open()
        first = await bench.sessions.create("ada")
        second = await bench.sessions.rotate(first.session.session_id)
        await _see(bench, second)
        lab.clock.advance(ROTATION_WINDOW_S)
        await bench.sessions.rotate(first.session.session_id)
        with pytest.raises(SessionNotFound):
            await bench.sessions.authenticate(first.token)
        await bench.sessions.authenticate(second.token)

    @shows_security("C-6")
    async def test_late_use_is_audited_once(self, lab: Lab) -> None:
        bench = await lab.open()
        first = await bench.sessions.create("ada")
        second = await bench.sessions.rotate(first.session.session_id)
        await _see(bench, second)
        lab.clock.advance(ROTATION_WINDOW_S)
        for _ in range(3):
            with pytest.raises(SessionNotFound):
                await bench.sessions.authenticate(first.token)
        audited = [event.type for event in await bench.audit(f"session:{first.session.session_id}")]
        assert audited.count("authn_token_reuse") == 1
        await bench.sessions.authenticate(second.token)

    @shows_security("C-6")
    async def test_late_use_can_end_the_session(self, lab: Lab) -> None:
        bench = await lab.open(replace(RULES, end_on_late_use=True))
        first = await bench.sessions.create("ada")
        second = await bench.sessions.rotate(first.session.session_id)
        await _see(bench, second)
        lab.clock.advance(ROTATION_WINDOW_S)
        with pytest.raises(SessionNotFound):
            await bench.sessions.authenticate(first.token)
        with pytest.raises(SessionEnded) as caught:
            await bench.sessions.authenticate(second.token)
        assert caught.value.reason == "theft"

    async def test_three_retired_tokens_are_kept(self, lab: Lab) -> None:
        bench = await lab.open()
        tokens = [(issued := await bench.sessions.create("ada")).token]
        for _ in range(4):
            tokens.append((await bench.sessions.rotate(issued.session.session_id)).token)  # noqa: PERF401 - in order
        with pytest.raises(SessionNotFound):
            await bench.sessions.authenticate(tokens[0])
        for token in tokens[1:4]:
            assert (await bench.sessions.authenticate(token)).standing is Standing.ROTATED
        assert (await bench.sessions.authenticate(tokens[4])).standing is Standing.CURRENT

    async def test_a_login_keeps_the_handle_and_the_data_of_an_anonymous_session(self, lab: Lab) -> None:
        bench = await lab.open(replace(RULES, anonymous_keys_dropped=("csrf", "absent")))
        first = await bench.sessions.create(None, data=encode({"basket": [1], "csrf": "x"}))
        lab.clock.advance(500)
        second = await bench.sessions.login(first.session.session_id, "ada", public={"name": "Ada"})
        assert second.token != first.token
        now = await bench.sessions.authenticate(second.token)
        assert (now.session_id, now.user_id, now.public) == (first.session.session_id, "ada", {"name": "Ada"})
        assert decode(now.data) == {"basket": [1]}
        assert now.authenticated_at == lab.clock.now()
        assert now.absolute_expires_at > first.session.absolute_expires_at

    @shows_security("V7.2.4", "V-5")
    async def test_the_token_from_before_a_login_sees_an_anonymous_session_without_data(self, lab: Lab) -> None:
        bench = await lab.open()
        first = await bench.sessions.create(None, data=encode({"basket": [1]}))
        middle = await bench.sessions.rotate(first.session.session_id)
        await bench.sessions.login(first.session.session_id, "ada", public={"name": "Ada"})
        for old in (first, middle):
            seen = await bench.sessions.authenticate(old.token)
            assert (seen.standing, seen.user_id, seen.public, seen.data) == (Standing.SUPERSEDED, None, {}, b"{}")
            assert (seen.authenticated_at, seen.is_read_only) == (None, True)
            assert bench.sessions.touched(seen) is None

    @shows_security("V7.2.4")
    async def test_a_login_of_the_same_user_rotates(self, lab: Lab) -> None:
        bench = await lab.open()
        first = await bench.sessions.create("ada", data=encode({"a": 1}))
        lab.clock.advance(50)
        second = await bench.sessions.login(first.session.session_id, "ada")
        assert second.session.session_id == first.session.session_id
        assert second.session.authenticated_at == lab.clock.now()
        assert second.session.absolute_expires_at == first.session.absolute_expires_at
        assert decode(second.session.data) == {"a": 1}
        seen = await bench.sessions.authenticate(first.token)
        assert seen.standing is Standing.ROTATED
        assert seen.authenticated_at == first.session.authenticated_at, "the old token does not share the freshness"

    @shows_security("V7.2.4")
    async def test_a_login_of_another_user_begins_a_new_session_and_ends_the_old(self, lab: Lab) -> None:
        bench = await lab.open()
        first = await bench.sessions.create("ada", data=encode({"secret": 1}))
        second = await bench.sessions.login(first.session.session_id, "eve")
        assert second.session.session_id != first.session.session_id
        assert decode(second.session.data) == {}
        with pytest.raises(SessionEnded) as caught:
            await bench.sessions.authenticate(first.token)
        assert caught.value.reason == "superseded"

    @shows_security("C-2", "V-5")
    async def test_a_login_without_a_usable_session_begins_one(self, lab: Lab) -> None:
        bench = await lab.open()
        over = await bench.sessions.create(None, data=encode({"a": 1}))
        lab.clock.advance(IDLE_TIMEOUT_S)
        for handle in (None, "01900000-0000-7000-8000-000000000000", over.session.session_id):
            issued = await bench.sessions.login(handle, "ada")
            assert issued.session.session_id != handle
            assert decode(issued.session.data) == {}, "an unknown id is not adopted, an expired one not revived"

    async def test_a_login_claims_the_documents_of_the_anonymous_session(self, lab: Lab) -> None:
        bench = await lab.open()
        user = Actor(user_id="ada")
        mine = await bench.documents.open(user, "form", {"mine": True})
        session = (await bench.sessions.create(None)).session
        visitor = Actor(session_id=session.session_id, device_id="01900000-0000-7000-8000-0000000000cc")
        other = await bench.documents.open(visitor, "form", {"mine": False})
        await bench.take(visitor, other.document.document_id, 1, 0, put("/a", 1))
        await bench.sessions.login(session.session_id, "ada")
        documents = {document.name: document for document in await bench.documents.list(user)}
        assert set(documents) == {"form", "form (2)"}
        assert documents["form"].document_id == mine.document.document_id
        assert documents["form (2)"].state == {"mine": False, "a": 1}
        with pytest.raises(DocumentNotFound):
            await bench.documents.get(Actor(session_id=session.session_id), other.document.document_id)
        audited = [event.type for event in await bench.audit(f"document:{other.document.document_id}")]
        assert audited == ["document_created", "document_claimed"]

    async def test_without_claiming_the_documents_stay_with_the_session(self, lab: Lab) -> None:
        bench = await lab.open(replace(RULES, claim_on_login=False))
        session = (await bench.sessions.create(None)).session
        visitor = Actor(session_id=session.session_id)
        await bench.documents.open(visitor, "form", {})
        await bench.sessions.login(session.session_id, "ada")
        assert await bench.documents.list(Actor(user_id="ada")) == []
        assert [document.name for document in await bench.documents.list(visitor)] == ["form"]


async def _see(bench: Bench, issued: Issued) -> None:
    touched = bench.sessions.touched(await bench.sessions.authenticate(issued.token))
    assert touched is not None, "the first sight of a token is always written"
    await bench.sessions.touch([touched])
