"""Where a session comes from: an identity provider that can end it, a browser's fingerprint, and what is told when something about it is odd."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sessile.model.anomaly import Anomaly
from sessile.model.errors import InvalidValue, SessionEnded, SessionExpired, SessionNotFound
from sessile.model.events import EventKind
from sessile.model.session import EndReason
from sessile.testing.lab import ABSOLUTE_TIMEOUT_S, ROTATION_WINDOW_S, RULES, Bench, Lab
from sessile.testing.shows import shows_security
from sessile.testing.store_contract.base import Contract

PROVIDER = "https://id.example/ sid-1"


class OriginContract(Contract):
    """Providers, fingerprints, anomalies."""

    @shows_security("V7.1.3", "V7.4.1")
    async def test_a_provider_ends_what_was_begun_with_its_session(self, lab: Lab) -> None:
        bench = await lab.open()
        anonymous = (await bench.sessions.create(None)).session.session_id
        first = await bench.sessions.login(anonymous, "ada", provider_session=PROVIDER)
        second = await bench.sessions.login(None, "ada", provider_session=PROVIDER)
        other = await bench.sessions.login(None, "ada", provider_session="https://id.example/ sid-2")
        without = await bench.sessions.login(None, "ada")
        rotated = await bench.sessions.rotate(first.session.session_id)
        bench.told.clear()
        assert await bench.sessions.end_of_provider(PROVIDER, EndReason.PROVIDER) == 2
        assert await bench.sessions.end_of_provider(PROVIDER, EndReason.PROVIDER) == 0
        for issued in (rotated, second):
            with pytest.raises(SessionEnded) as caught:
                await bench.sessions.authenticate(issued.token)
            assert caught.value.reason == "provider"
        for issued in (other, without):
            assert (await bench.sessions.authenticate(issued.token)).user_id == "ada"
        ended = {event.key for event in bench.told if event.kind is EventKind.SESSION_ENDED}
        assert ended == {first.session.session_id, second.session.session_id}
        for refused in ("",):
            with pytest.raises(InvalidValue):
                await bench.sessions.end_of_provider(refused, EndReason.PROVIDER)

    @shows_security("V7.6.1", "N-3")
    async def test_a_session_ends_when_its_provider_says_so_and_never_later_than_ours(self, lab: Lab) -> None:
        bench = await lab.open()
        now = lab.clock.now()
        issued = await bench.sessions.login(None, "ada", until=now + timedelta(seconds=60))
        assert issued.session.absolute_expires_at == issued.session.idle_expires_at == now + timedelta(seconds=60)
        again = await bench.sessions.login(issued.session.session_id, "ada", until=now + timedelta(seconds=30))
        assert again.session.absolute_expires_at == now + timedelta(seconds=30)
        later = await bench.sessions.login(issued.session.session_id, "ada", until=now + timedelta(days=900))
        assert later.session.absolute_expires_at == now + timedelta(seconds=30), "logging in again lengthens nothing"
        longest = await bench.sessions.login(None, "ada", until=now + timedelta(days=900))
        assert longest.session.absolute_expires_at == now + timedelta(seconds=ABSOLUTE_TIMEOUT_S)
        lab.clock.advance(30)
        with pytest.raises(SessionExpired) as caught:
            await bench.sessions.authenticate(later.token)
        assert caught.value.clock == "absolute"

    @shows_security("C-13")
    async def test_where_a_session_comes_from_is_kept_and_shown_to_nobody(self, lab: Lab) -> None:
        bench = await lab.open()
        issued = await bench.sessions.login(None, "ada", fingerprint="f" * 64, provider_session=PROVIDER)
        rotated = await bench.sessions.rotate(issued.session.session_id)
        kept = await bench.sessions.get(issued.session.session_id)
        assert (kept.fingerprint, kept.provider_session) == ("f" * 64, rotated.session.provider_session)
        assert kept.provider_session not in (None, PROVIDER)
        assert "f" * 64 not in repr(kept)
        again = await bench.sessions.login(issued.session.session_id, "ada", fingerprint="e" * 64)
        assert again.session.fingerprint == "e" * 64
        assert again.session.provider_session == kept.provider_session

    @shows_security("C-6", "V7.4.1")
    async def test_late_use_is_told_to_who_listens(self, lab: Lab) -> None:
        for ends in (False, True):
            bench = await lab.open(replace(RULES, end_on_late_use=ends))
            first = await bench.sessions.create("ada")
            second = await bench.sessions.rotate(first.session.session_id)
            await _see(bench, second.token)
            lab.clock.advance(ROTATION_WINDOW_S)
            bench.told.clear()
            for _ in range(3):
                with pytest.raises(SessionNotFound):
                    await bench.sessions.authenticate(first.token)
            told = [(event.kind, event.key, event.detail) for event in bench.told]
            anomaly = (EventKind.ANOMALY, first.session.session_id, "authn_token_reuse")
            ended = (EventKind.SESSION_ENDED, first.session.session_id, "theft")
            assert told == ([anomaly, ended] if ends else [anomaly])

    @shows_security("C-13", "C-10")
    async def test_an_anomaly_is_audited_and_told(self, lab: Lab) -> None:
        bench = await lab.open()
        session = (await bench.sessions.create("ada")).session
        bench.told.clear()
        await bench.sessions.note(session.session_id, Anomaly.FINGERPRINT_MISMATCH, {"mode": "report"})
        await bench.sessions.note("01900000-0000-7000-8000-000000000000", Anomaly.FINGERPRINT_MISMATCH, {})
        (event,) = bench.told
        assert (event.kind, event.key, event.detail) == (
            EventKind.ANOMALY,
            session.session_id,
            "session_fingerprint_mismatch",
        )
        audited = (await bench.audit(f"session:{session.session_id}"))[-1]
        assert (audited.type, audited.data, audited.user_id) == (
            "session_fingerprint_mismatch",
            {"mode": "report"},
            "ada",
        )
        assert (await bench.sessions.get(session.session_id)).version == session.version


async def _see(bench: Bench, token: str) -> None:
    touched = bench.sessions.touched(await bench.sessions.authenticate(token))
    assert touched is not None, "the first sight of a token is always written"
    await bench.sessions.touch([touched])
