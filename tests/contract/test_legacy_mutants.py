"""Planted bugs in moving in from another session library; each must make a named contract test fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.mutation import Mutant, plant
from tests.contract.test_mutants import BOTH, CAUGHT, MEMORY, SQL, run_contract

LEGACY = "sessile.engine.legacy:"
ENGINE = f"{LEGACY}LegacyEngine."

MUTANTS = [
    Mutant("a hash that is there is overwritten", f"{MEMORY}legacy:MemoryLegacyRows.add",
           "if self._tokens.get(token.hash) is None:", "if True:", "test_rows_come_back_as_they_were_put"),
    Mutant("an insert says it was first", f"{SQL}legacy:SqlLegacyRows.add", "{row.hash for row in ", "{token.hash for token in tokens} | {row.hash for row in ",
           "test_rows_come_back_as_they_were_put", ("sqlite",)),
    Mutant("an id that is taken is passed over", f"{SQL}sessions:SqlSessionRows.insert_many", "len(made) < len(sessions)", "False",
           "test_several_sessions_are_inserted_or_none", ("sqlite",)),
    Mutant("an old expiry is forgotten", f"{ENGINE}_session", "until=arrival.expires_at,", "until=None,",
           "test_it_ends_when_it_would_have_and_never_later_than_ours", BOTH),
    Mutant("what is over comes over", f"{ENGINE}_take_over", "arrival.expires_at <= now:", "False:",
           "test_it_ends_when_it_would_have_and_never_later_than_ours"),
    Mutant("an imported session is fresh", f"{ENGINE}_session", "authenticated_at=None,", "",
           "test_a_session_is_taken_over_once"),
    Mutant("the longer clock is left out", f"{ENGINE}_session", "is_remembered=run.remembered,", "",
           "test_a_remembered_one_has_the_longer_clock"),
    Mutant("a disabled user comes in", f"{LEGACY}_admitted", "known.disabled_at is not None", "False",
           "test_a_disabled_user_is_not_taken_over", BOTH),
    Mutant("a disabled user comes in by a signed cookie", f"{LEGACY}_admitted", "known.disabled_at is not None", "False",
           "test_a_signed_cookie_that_is_too_late_begins_nothing"),
    Mutant("every use gets a token", f"{ENGINE}_is_lost", "return now >= last + self._rules.expiry.rotation_window", "return True",
           "test_many_first_uses_at_once_give_one_token", BOTH),
    Mutant("a lost answer is lost for good", f"{ENGINE}_is_lost", "return now >= last + self._rules.expiry.rotation_window",
           "return False", "test_a_lost_answer_logs_nobody_out"),
    Mutant("a token in use is taken away", f"{ENGINE}_is_lost", "or retired.successor_seen_at or session.token_seen_at", "",
           "test_the_first_use_replaces_it_and_others_stay_in_meanwhile", BOTH),
    Mutant("the credential from before a login gets in", f"{ENGINE}_is_lost", "or retired.principal_changed", "",
           "test_a_login_takes_the_old_credential_away"),
    Mutant("lost tokens push the credential out", f"{ENGINE}_replaced", "retired_tokens=kept", "retired_tokens=session.retired_tokens",
           "test_a_lost_answer_logs_nobody_out"),
    Mutant("acceptance never ends", f"{ENGINE}_judged", "if not is_accepted:", "if False:", "test_acceptance_ends", BOTH),
    Mutant("an ended session answers", f"{ENGINE}_judged", "check_alive(session, now)", "pass", "test_what_ended_stays_ended"),
    Mutant("late use is not told", f"{ENGINE}arrive", "await self._sessions.note_late_use(session.session_id)", "pass",
           "test_the_first_use_replaces_it_and_others_stay_in_meanwhile"),
    Mutant("a socket uses the credential up", f"{ENGINE}_arrive", "if is_due and can_replace:", "if is_due:",
           "test_a_socket_is_let_in_without_a_new_token"),
    Mutant("a socket's use does not count", f"{SQL}legacy:SqlLegacyRows.use", "legacy_tokens.c.hash == legacy_hash",
           "legacy_tokens.c.hash != legacy_hash", "test_a_socket_is_let_in_without_a_new_token", ("sqlite",)),
    Mutant("a legacy id is a token", "sessile.model.legacy:token_hash_of",
           'hashlib.sha256(b"sessile legacy credential\\0" + legacy_hash).digest()', "legacy_hash",
           "test_a_legacy_id_behind_a_handle_is_no_token"),
    Mutant("each request begins a session", f"{ENGINE}_arrive_signed", "if not tx.legacy.add([", "if tx.legacy.add([",
           "test_a_signed_cookie_begins_one_session", BOTH),
    Mutant("a signed cookie is accepted for ever", f"{ENGINE}_arrive_signed", "now >= run.until or", "",
           "test_a_signed_cookie_that_is_too_late_begins_nothing"),
    Mutant("a revocation leaves cookies out", f"{LEGACY}_was_revoked", "signed_at is not None and", "False and",
           "test_a_signed_cookie_from_before_a_revocation_begins_nothing", BOTH),
    Mutant("an undoing ends who came since", f"{ENGINE}_undo", "if is_used and not with_used:", "if False:",
           "test_undoing_spares_whoever_came_since", BOTH),
    Mutant("an undoing keeps the credential", f"{ENGINE}_undo", "tx.legacy.delete(undone)", "pass",
           "test_undoing_spares_whoever_came_since"),
    Mutant("an undoing forgets who was ended", f"{ENGINE}_undo", "elif not with_used:", "elif False:",
           "test_undoing_brings_nothing_back_that_somebody_ended", BOTH),
    Mutant("an undoing reaches other imports", f"{SQL}legacy:SqlLegacyRows.of_run", "(legacy_tokens.c.run_id == run_id) & ", "",
           "test_undoing_spares_whoever_came_since", ("sqlite",)),
    Mutant("a credential is forgotten with its acceptance", f"{ENGINE}_kept",
           "max(until, arrival.expires_at or now + KEPT_WITHOUT_EXPIRY)", "until",
           "test_a_credential_is_remembered_as_long_as_it_could_come_back"),
]  # fmt: skip
CASES = [(mutant, store) for mutant in MUTANTS for store in mutant.stores]


@pytest.mark.parametrize(
    ("mutant", "store"), CASES, ids=[f"{mutant.name.replace(' ', '-')}-{store}" for mutant, store in CASES]
)
def test_a_planted_bug_is_caught(mutant: Mutant, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_contract(store, mutant, tmp_path / "sound")
    plant(monkeypatch, mutant.target, mutant.old, mutant.new)
    with pytest.raises(CAUGHT):
        run_contract(store, mutant, tmp_path / "planted")
