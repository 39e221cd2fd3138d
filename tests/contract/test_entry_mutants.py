"""Planted bugs in hand-off, maintenance, retention, the audit log and the longer clock; each must make a named contract test fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract import test_tampering
from tests.contract.mutation import Mutant, plant
from tests.contract.test_mutants import BOTH, CAUGHT, MEMORY, SQL, run_contract

AUDIT = "sessile.model.audit:"
EXPIRY = "sessile.model.expiry:"
HANDOFF = "sessile.engine.handoff:HandoffEngine."
LOGINS = "sessile.engine.logins:Logins."
MAINTENANCE = "sessile.engine.maintenance:"
PRINCIPALS = "sessile.engine.principals:"
RETENTION = "sessile.engine.retention:"
SESSIONS = "sessile.engine.sessions:SessionEngine."

MUTANTS = [
    Mutant("a code is good twice", f"{HANDOFF}_redeem", "handoff.status is HandoffStatus.OFFERED and", "True and",
           "test_a_code_is_good_once", BOTH),
    Mutant("two devices ask at once", f"{HANDOFF}_redeem", "handoff.status is HandoffStatus.OFFERED and", "True and",
           "test_of_devices_that_show_a_code_at_once_one_asks"),
    Mutant("a code never expires", f"{HANDOFF}_redeem", "and now < handoff.expires_at", "",
           "test_each_step_has_two_minutes_and_its_end_is_strict"),
    Mutant("a wrong code is not counted", f"{HANDOFF}_redeem", "tx.count(counter, now, LIFETIME)", "0",
           "test_wrong_codes_are_counted_by_address_and_stay_counted", BOTH),
    Mutant("the refusal takes its count back", f"{HANDOFF}_redeem", 'return HandoffRefused("unknown")',
           'raise HandoffRefused("unknown")', "test_wrong_codes_are_counted_by_address_and_stay_counted", BOTH),
    Mutant("all addresses are one", f"{HANDOFF}_redeem", "address.encode()", "address[:0].encode()",
           "test_wrong_codes_are_counted_by_address_and_stay_counted"),
    Mutant("right codes are counted, too", f"{HANDOFF}_redeem", "claim = secret_text(",
           "tx.count(counter, now, LIFETIME)\n    claim = secret_text(", "test_right_codes_are_not_counted"),
    Mutant("only the newest key finds a code", f"{HANDOFF}_by_code", 'self._keys.all("handoff", meant.encode())',
           "[self._hash(meant)]", "test_a_code_made_with_an_earlier_key_is_found"),
    Mutant("an older code stays good", f"{HANDOFF}_offer", "HandoffStatus.OFFERED, HandoffStatus.REDEEMED", "",
           "test_a_newer_code_closes_the_older_ones_of_its_session", BOTH),
    Mutant("an anonymous session lends a login", f"{HANDOFF}_offer", "session.user_id is None", "False",
           "test_only_a_live_session_of_a_user_offers"),
    Mutant("any session answers", "sessile.engine.handoff:_own", "or handoff.session_id != session_id", "",
           "test_only_who_offered_is_asked_and_only_what_was_asked_is_answered"),
    Mutant("an answer can be changed", f"{HANDOFF}_confirm", "handoff.status is not HandoffStatus.REDEEMED",
           "handoff.status is HandoffStatus.OFFERED", "test_of_yes_and_no_at_once_one_is_the_answer", BOTH),
    Mutant("an answer comes too late", f"{HANDOFF}_confirm", "or now >= handoff.expires_at", "",
           "test_each_step_has_two_minutes_and_its_end_is_strict"),
    Mutant("a no is a yes", f"{HANDOFF}_complete", "if handoff.status is HandoffStatus.REFUSED:", "if False:",
           "test_the_first_device_may_refuse_and_an_answer_stays", BOTH),
    Mutant("any claim will do", f"{HANDOFF}_complete", "or not self._is_claim(handoff, claim)", "",
           "test_only_who_offered_is_asked_and_only_what_was_asked_is_answered"),
    Mutant("nobody need agree", f"{HANDOFF}_complete", "if handoff.status is HandoffStatus.REDEEMED:", "if False:",
           "test_a_code_leads_to_the_question_and_the_answer"),
    Mutant("a used session is given again", f"{HANDOFF}_again", "or session.token_seen_at is not None", "",
           "test_a_lost_answer_is_given_again_while_nobody_has_used_it", BOTH),
    Mutant("each completion makes a session", f"{HANDOFF}_complete", "if handoff.status is HandoffStatus.COMPLETED:",
           "if False:", "test_completed_at_once_there_is_one_session", BOTH),
    Mutant("a lent login is fresh", f"{HANDOFF}_complete", "is_proven=False", "is_proven=True",
           "test_the_new_session_is_the_users_and_not_fresh"),
    Mutant("a lent login has a clock of its own", f"{HANDOFF}_complete", "until=origin.absolute_expires_at,", "",
           "test_a_lent_login_ends_when_the_first_one_would_have", BOTH),
    Mutant("who was anonymous has a clock of their own", f"{LOGINS}_clocks_of", "now, entry.until,", "now, None,",
           "test_an_anonymous_session_of_the_asking_device_becomes_the_users"),
    Mutant("a lent login refreshes one's own", f"{LOGINS}enter", "entry.is_proven or was_anonymous else",
           "True else", "test_a_session_of_the_same_user_stays_as_fresh_as_it_was"),
    Mutant("a session that is over lends", f"{HANDOFF}_complete", "origin = self._origin(tx, seen)",
           "origin = tx.sessions.get(seen.session_id)", "test_nothing_is_lent_when_the_first_session_is_over"),
    Mutant("the code itself is kept", f"{HANDOFF}_hash", 'self._keys.sign("handoff", text.encode())', "text.encode()",
           "test_nothing_secret_is_kept_or_shown"),
    Mutant("two hand-offs share a code", f"{MEMORY}handoffs:MemoryHandoffRows.put",
           "other.handoff_id != handoff.handoff_id", "False", "test_a_code_and_a_secret_belong_to_one_hand_off"),
    Mutant("the path leads to another site", "sessile.engine.handoff:_is_local",
           'and not path.startswith(("//", "/\\\\"))', "", "test_only_a_live_session_of_a_user_offers"),
    # -- maintenance
    Mutant("logins are let in", f"{PRINCIPALS}admit_user", "check_open(tx, principal, now)", "pass",
           "test_nobody_new_is_let_in_until_it_ends", BOTH),
    Mutant("who is in is kept out, too", f"{PRINCIPALS}admit_user", "if known_as is None:\n        check_open",
           "if True:\n        check_open", "test_nobody_new_is_let_in_until_it_ends"),
    Mutant("maintenance never lapses", "sessile.model.maintenance:Maintenance.is_over", "now >= self.until", "False",
           "test_it_is_over_at_the_time_that_was_told"),
    Mutant("what is announced is in force", "sessile.model.maintenance:Maintenance.is_in_force", "now >= self.since and", "",
           "test_it_is_announced_before_it_begins"),
    Mutant("nobody is spared", f"{MAINTENANCE}check_open", "and not underway.spares(principal)", "",
           "test_who_has_a_spared_role_comes_in"),
    Mutant("who is spared loses their sessions", f"{MAINTENANCE}MaintenanceEngine._end_sessions",
           "if not underway.spares(", "if not None and (", "test_the_others_sessions_end_in_batches"),
    Mutant("sessions end without maintenance", f"{MAINTENANCE}MaintenanceEngine._end_sessions",
           "if underway is None or not user_ids:\n        return 0, None",
           'if not user_ids:\n        return 0, None\n    underway = underway or Maintenance(message="", since=now)',
           "test_it_is_over_at_the_time_that_was_told", BOTH),
    Mutant("batches begin anew", f"{SQL}sessions:SqlSessionRows.live_users", "sessions.c.user_id > after",
           "sessions.c.user_id.is_not(None)", "test_users_with_live_sessions_are_listed_once_in_order", ("sqlite",)),
    # -- retention
    Mutant("young sessions are forgotten", f"{SQL}sessions:SqlSessionRows.ended_before",
           "sessions.c.ended_at < moment", "sessions.c.ended_at <= moment",
           "test_sessions_are_forgotten_when_they_ended_long_enough_ago", ("sqlite",)),
    Mutant("documents of the anonymous stay", f"{RETENTION}RetentionEngine._forget_sessions",
           "tx.documents.delete(documents)", "pass", "test_documents_of_an_anonymous_session_go_with_it"),
    Mutant("archived documents stay", f"{RETENTION}RetentionEngine._forget_sessions", ", status=None", "",
           "test_documents_of_an_anonymous_session_go_with_it"),
    Mutant("a batch of sessions has no bound", f"{RETENTION}RetentionEngine._forget_sessions",
           "self._rule.batch)", "10_000)", "test_sessions_are_forgotten_when_they_ended_long_enough_ago", BOTH),
    Mutant("the base of a chain stays behind", f"{RETENTION}RetentionEngine._forget_audit",
           "base_position=event.position, base_hash=event.hash", "base_position=event.position",
           "test_old_audit_events_go_and_the_rest_verifies", BOTH),
    Mutant("young events are forgotten", f"{RETENTION}RetentionEngine._forget_audit", "if event.at >= before:",
           "if False:", "test_old_audit_events_go_and_the_rest_verifies"),
    Mutant("chains of the living are closed", f"{RETENTION}_closed", "or not _is_gone(tx, chain.stream)", "",
           "test_chains_of_what_is_gone_are_closed_with_a_digest"),
    Mutant("a chain is never closed", f"{RETENTION}_closed", "tx.close_audit(chain.stream)", "pass",
           "test_a_chain_that_is_empty_already_goes_with_its_session", BOTH),
    Mutant("manual checkpoints are forgotten", f"{MEMORY}documents:MemoryDocumentRows.delete_old_checkpoints",
           "c.kind in PASSING_CHECKPOINTS and", "", "test_passing_checkpoints_go_by_their_age"),
    Mutant("checkpoints go without a bound", f"{SQL}checkpoints:SqlCheckpointRows.delete_old_checkpoints",
           ".limit(limit)", "", "test_passing_checkpoints_go_by_their_age", ("sqlite",)),
    Mutant("hand-offs stay for ever", f"{RETENTION}RetentionEngine._forget_passing",
           "tx.handoffs.delete_expired(now - timedelta(days=1), batch)", "0",
           "test_hand_offs_and_counts_go_when_they_are_over"),
    Mutant("a document leaves its devices behind", f"{MEMORY}documents:MemoryDocumentRows.delete",
           "(self._devices, self._conflicts, self._checkpoints)", "(self._conflicts, self._checkpoints)",
           "test_a_document_is_removed_with_everything_that_belongs_to_it"),
    # -- clocks, credentials, counts
    Mutant("a login takes the longer clock away", f"{LOGINS}_clocks_of",
           "wishes or (session.is_remembered and not was_anonymous)", "wishes",
           "test_to_log_in_again_without_the_wish_keeps_it", BOTH),
    Mutant("each login begins the longer clock anew", f"{LOGINS}_clocks_of",
           "and remembered == session.is_remembered", "and not remembered",
           "test_to_log_in_again_without_the_wish_keeps_it"),
    Mutant("a remembered session is idle like any other", f"{EXPIRY}ExpiryPolicy.idle_deadline_of",
           "remembered=session.is_remembered", "remembered=False", "test_a_rotation_keeps_the_longer_clock"),
    Mutant("activity of the remembered is not noted", f"{EXPIRY}ExpiryPolicy.touch_is_due",
           "if session.is_remembered:", "if False:",
           "test_activity_of_a_remembered_session_is_noted_and_moves_nothing"),
    Mutant("to extend moves the absolute deadline", f"{SESSIONS}_extend", "idle_expires_at=deadline,",
           "idle_expires_at=deadline, absolute_expires_at=max(session.absolute_expires_at, now + timedelta(seconds=5000)),",
           "test_to_extend_moves_the_idle_deadline_and_never_the_absolute_one", BOTH),
    Mutant("a swept session has no clock", f"{EXPIRY}check_alive",
           "and session.end_reason is not EndReason.EXPIRED", "",
           "test_swept_or_not_the_clock_that_ran_out_is_told"),
    Mutant("other credentials leave the others in", f"{SESSIONS}_credentials_changed",
           "ended = end(tx, others, EndReason.PASSWORD_CHANGED, now)", "ended = len(others)",
           "test_other_credentials_end_the_users_other_sessions", BOTH),
    Mutant("other credentials leave open codes", f"{SESSIONS}_credentials_changed",
           "withdraw_codes(tx, session.user_id, [session_id, *(other.session_id for other in others), NO_SESSION])", "pass",
           "test_other_credentials_make_open_codes_useless"),
    Mutant("other credentials end one's own session", f"{SESSIONS}_credentials_changed",
           "if s.session_id != session_id", "", "test_other_credentials_end_the_users_other_sessions"),
    Mutant("other roles end the one to keep", f"{PRINCIPALS}PrincipalEngine._change",
           "for session in live if session.session_id != keep", "for session in live",
           "test_other_roles_can_end_all_sessions_but_one"),
    Mutant("the same roles end sessions", f"{PRINCIPALS}PrincipalEngine._change", "if has_other_roles and end_others:",
           "if end_others:", "test_without_other_roles_nothing_ends"),
    Mutant("a limit above what there is ends sessions", f"{PRINCIPALS}PrincipalEngine._set_limit",
           "max(0, len(live) - allowed)", "len(live) - allowed", "test_a_limit_above_what_there_is_ends_nothing", BOTH),
    Mutant("a touch outlasts the session", f"{MEMORY}sessions:MemorySessionRows.touch",
           "current.absolute_expires_at", "session.idle_expires_at",
           "test_a_touch_from_before_does_not_outlast_the_lent_login"),
    Mutant("each count opens its window anew", f"{MEMORY}store:MemoryTransaction.count",
           "if until <= now else (counted, until)", "if until <= now else (counted, now + window)",
           "test_what_is_counted_is_forgotten_after_its_window"),
    Mutant("a window never closes", f"{SQL}transaction:SqlTransaction.counted", ", rate_limits.c.until > now", "",
           "test_what_is_counted_is_forgotten_after_its_window", ("sqlite",)),
    Mutant("a version that was expected is not looked at", "sessile.engine.checkpoints:CheckpointEngine._restore",
           "document.version != expected_version", "False",
           "test_of_two_restores_that_expect_the_same_version_one_happens", BOTH),
]  # fmt: skip
CASES = [(mutant, store) for mutant in MUTANTS for store in mutant.stores]

TAMPERING = [
    ("data", f"{AUDIT}fault_of", "personal_hash(event, event.salt) != event.personal_hash", "False"),
    ("type", f"{AUDIT}chained_hash", '"type": event.type,', ""),
    ("time", f"{AUDIT}chained_hash", '"at": micros(event.at),', ""),
    ("rewritten", f"{AUDIT}fault_of", "event.previous_hash != previous_hash", "False"),
    ("first deleted", f"{AUDIT}fault_of", "event.position != position", "False"),
    ("last deleted", "sessile.engine.audit:_walk", "(position, previous) != (chain.position, chain.hash)", "False"),
]
"""The case of `test_tampering` that is not found any more, and the bug that hides it."""


@pytest.mark.parametrize(
    ("mutant", "store"), CASES, ids=[f"{mutant.name.replace(' ', '-')}-{store}" for mutant, store in CASES]
)
def test_a_planted_bug_is_caught(mutant: Mutant, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_contract(store, mutant, tmp_path / "sound")
    plant(monkeypatch, mutant.target, mutant.old, mutant.new)
    with pytest.raises(CAUGHT):
        run_contract(store, mutant, tmp_path / "planted")


@pytest.mark.parametrize("store", BOTH)
@pytest.mark.parametrize(("case", "target", "old", "new"), TAMPERING, ids=[case for case, *_ in TAMPERING])
def test_what_hides_tampering_is_caught(
    case: str, target: str, old: str, new: str, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, target, old, new)
    with pytest.raises(CAUGHT):
        test_tampering.test_tampering_is_found(case, store, "blocking", tmp_path)
