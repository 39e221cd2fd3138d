"""Planted bugs: each must make a named test of the store contract fail. A contract that cannot fail proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert

from sessile.model.errors import SessileError
from sessile.stores.sql import documents as sql_documents
from sessile.stores.sql.tables import changes
from sessile.testing.lab import Lab
from sessile.testing.lanes import LANES
from sessile.testing.store_contract import StoreContract
from tests.contract import test_memory, test_sqlite
from tests.contract.mutation import Mutant, plant
from tests.contract.platform_mutants import PLATFORM_MUTANTS

STORES: dict[str, type[StoreContract]] = {"memory": test_memory.TestMemory, "sqlite": test_sqlite.TestSqlite}
CAUGHT = (AssertionError, pytest.fail.Exception, SessileError)
"""What a contract test ends with when it finds a fault. Anything else would be a mistake of this file."""


SESSIONS = "sessile.engine.sessions:SessionEngine."
PRINCIPALS = "sessile.engine.principals:"
CHANGES = "sessile.engine.changes:ChangeEngine."
CHECKPOINTS = "sessile.engine.checkpoints:"
EXPIRY = "sessile.model.expiry:"
MERGE = "sessile.model.merge:"
MEMORY = "sessile.stores.memory."
SQL = "sessile.stores.sql."
BOTH = ("memory", "sqlite")

ENGINE_MUTANTS = [
    Mutant(
        "the gap check is off",
        f"{CHANGES}_take",
        "if change.seq != device.last_seq + 1:",
        "if False:",
        "test_a_gap_is_refused_with_the_number_to_go_on_with",
        BOTH,
    ),
    Mutant(
        "a repetition is not recognised",
        f"{CHANGES}_take",
        "if change.seq <= device.last_seq:",
        "if False:",
        "test_a_repetition_gets_the_stored_verdict",
    ),
    Mutant(
        "a reused number is not noticed",
        f"{CHANGES}_replay",
        "if stored.operations_hash != operations_hash(change):",
        "if False:",
        "test_a_number_used_for_something_else_is_refused",
        BOTH,
    ),
    Mutant(
        "an ended session may submit",
        f"{CHANGES}_submit_one",
        "if session is not None:",
        "if False:",
        "test_a_session_that_is_over_writes_nothing",
        BOTH,
    ),
    Mutant(
        "a request under way writes after the end of its session",
        "sessile.engine.ownership:admit",
        "if session is not None:",
        "if False:",
        "test_a_session_that_is_over_writes_nothing",
        BOTH,
    ),
    Mutant(
        "anybody may submit",
        f"{CHANGES}_submit_one",
        "or not actor.may_open(work.row.owner)",
        "",
        "test_somebody_elses_document_is_not_found",
    ),
    Mutant(
        "anybody may read",
        "sessile.engine.ownership:find",
        "or not actor.may_open(document.owner)",
        "",
        "test_somebody_elses_document_is_not_found",
    ),
    Mutant(
        "the primary device stays primary",
        f"{CHANGES}_mark",
        "if other.is_primary and other.device_id != device.device_id:",
        "if False:",
        "test_the_device_that_wrote_last_is_the_primary_one",
    ),
    Mutant(
        "idempotency keys are not looked up",
        f"{CHANGES}_change",
        "if known is not None:",
        "if False:",
        "test_server_code_writes_with_an_idempotency_key",
        BOTH,
    ),
    Mutant(
        "a lagging state is not rolled forward",
        "sessile.engine.ownership:roll",
        "if change.verdict is Verdict.APPLIED:",
        "if False:",
        "test_a_large_state_lags_behind_its_log_and_is_read_at_its_version",
        BOTH,
    ),
    Mutant(
        "devices share a number",
        "sessile.engine.documents:register_device",
        "default=0) + 1",
        "default=1)",
        "test_devices_are_numbered_in_the_order_they_come",
    ),
    Mutant(
        "a claimed name is not made free",
        "sessile.engine.ownership:_free_name",
        "while tx.documents.by_name(owner, candidate) is not None:",
        "while False:",
        "test_a_login_claims_the_documents_of_the_anonymous_session",
    ),
    Mutant(
        "a restore keeps the generation",
        f"{CHECKPOINTS}CheckpointEngine._restore",
        "generation=document.generation + 1,",
        "generation=document.generation,",
        "test_what_was_pending_before_a_restore_becomes_a_conflict",
        BOTH,
    ),
    Mutant(
        "manual checkpoints are thrown away too",
        f"{CHECKPOINTS}CheckpointEngine._retain",
        "if c.kind in PASSING_CHECKPOINTS",
        "",
        "test_the_newest_automatic_ones_are_kept_and_every_manual_one",
        BOTH,
    ),
    Mutant(
        "a checkpoint request is not recognised",
        f"{CHECKPOINTS}CheckpointEngine._create",
        "if known is not None:",
        "if False:",
        "test_the_same_request_gives_the_same_checkpoint",
    ),
]
SESSION_MUTANTS = [
    Mutant(
        "expiry is not strict",
        f"{EXPIRY}check_alive",
        "now >= session.expires_at",
        "now > session.expires_at",
        "test_the_idle_clock_is_strict_at_the_instant",
        BOTH,
    ),
    Mutant(
        "nobody looks at the absolute clock",
        f"{EXPIRY}check_alive",
        "now >= session.expires_at",
        "(session.can_extend and now >= session.idle_expires_at)",
        "test_activity_moves_the_idle_clock_and_never_the_absolute_one",
    ),
    Mutant(
        "a touch moves the absolute clock",
        f"{MEMORY}sessions:MemorySessionRows.touch",
        "token_seen_at=current.token_seen_at or first,",
        "token_seen_at=current.token_seen_at or first, absolute_expires_at=current.absolute_expires_at"
        " + (session.last_seen_at - current.last_seen_at),",
        "test_activity_moves_the_idle_clock_and_never_the_absolute_one",
    ),
    Mutant(
        "a touch moves the idle clock back",
        f"{MEMORY}sessions:MemorySessionRows.touch",
        "max(current.idle_expires_at, session.idle_expires_at)",
        "session.idle_expires_at",
        "test_a_touch_only_moves_forward_and_changes_no_version",
    ),
    Mutant(
        "a touch matches an ended session",
        f"{MEMORY}sessions:MemorySessionRows.touch",
        "or current.ended_at is not None",
        "",
        "test_a_touch_brings_back_neither_an_ended_nor_an_expired_session",
    ),
    Mutant(
        "a slow request revives an expired session",
        f"{SESSIONS}touched",
        "if now >= session.idle_expires_at:",
        "if False:",
        "test_a_touch_brings_back_neither_an_ended_nor_an_expired_session",
        BOTH,
    ),
    Mutant(
        "a delta is applied to an ended session",
        "sessile.engine.logins:live",
        "check_alive(session, now)",
        "pass",
        "test_an_ended_session_stays_ended",
        BOTH,
    ),
    Mutant(
        "a delta of another user is applied",
        "sessile.engine.sessions:_changed",
        "if session.user_id != change.user_id:",
        "if False:",
        "test_a_delta_made_under_another_user_is_dropped_and_audited",
    ),
    Mutant(
        "the blob is written instead of the delta",
        "sessile.model.delta:apply_delta",
        'elif kind == "merge" and type(parent.get(last)) is dict:',
        "elif False:",
        "test_changes_of_different_values_all_survive",
        BOTH,
    ),
    Mutant(
        "the token from before a login is let in",
        f"{SESSIONS}_standing",
        "if retired.principal_changed:",
        "if False:",
        "test_the_token_from_before_a_login_sees_an_anonymous_session_without_data",
        BOTH,
    ),
    Mutant(
        "an older token is let in",
        "sessile.engine.logins:Logins.with_new_token",
        "replace(old, principal_changed=True)",
        "old",
        "test_the_token_from_before_a_login_sees_an_anonymous_session_without_data",
    ),
    Mutant(
        "a window never closes",
        f"{EXPIRY}ExpiryPolicy.window_is_open",
        "now < start + self.rotation_window",
        "True",
        "test_a_rotated_token_serves_what_was_under_way_until_its_window_closes",
        BOTH,
    ),
    Mutant(
        "a window opens again",
        "sessile.engine.logins:Logins.with_new_token",
        "old.successor_seen_at or session.token_seen_at",
        "None",
        "test_a_window_that_closed_does_not_open_again_with_the_next_rotation",
        BOTH,
    ),
    Mutant(
        "late use is audited every time",
        f"{SESSIONS}_late_use",
        "session = replace(session, retired_tokens=kept)",
        "pass",
        "test_late_use_is_audited_once",
    ),
    Mutant(
        "a rotation refreshes the authentication",
        f"{SESSIONS}_standing",
        "authenticated_at=retired.authenticated_at,",
        "",
        "test_a_login_of_the_same_user_rotates",
    ),
    Mutant(
        "another user takes over the session",
        "sessile.engine.logins:Logins.enter",
        "(session.user_id is not None and session.user_id != user_id)",
        "False",
        "test_a_login_of_another_user_begins_a_new_session_and_ends_the_old",
    ),
    Mutant(
        "an end is written twice",
        f"{SESSIONS}_end_one",
        "or session.ended_at is not None",
        "",
        "test_an_ended_session_stays_ended",
        BOTH,
    ),
    Mutant(
        "the session to keep ends too",
        f"{SESSIONS}_end_of_user",
        "if session.session_id != keep",
        "",
        "test_all_sessions_of_a_user_end_but_the_one_to_keep",
    ),
    Mutant(
        "the disabled may log in",
        f"{PRINCIPALS}admit_user",
        "known.disabled_at is not None",
        "False",
        "test_a_disabled_user_gets_no_session",
    ),
    Mutant(
        "one session too many",
        f"{PRINCIPALS}admit_user",
        "len(live) >= allowed",
        "len(live) > allowed",
        "test_no_more_logins_than_the_limit",
        BOTH,
    ),
    Mutant(
        "logging in again takes another place",
        f"{PRINCIPALS}admit_user",
        "known_as is None and",
        "",
        "test_logging_in_again_takes_no_other_place",
    ),
    Mutant(
        "the newest gives way",
        f"{PRINCIPALS}admit_user",
        "live[: len(live) - allowed + 1]",
        "live[allowed - 1 :]",
        "test_the_oldest_session_gives_way",
    ),
    Mutant(
        "pages go on showing the old name",
        f"{PRINCIPALS}show",
        "tx.sessions.update(changed)",
        "None",
        "test_what_pages_see_of_a_user_changes_in_all_sessions",
        BOTH,
    ),
    Mutant(
        "a disabled user stays in",
        f"{PRINCIPALS}PrincipalEngine._disable",
        "return end(tx, tx.sessions.of_user(user_id, now, lock=True), EndReason.ADMIN, now)",
        "return 0",
        "test_a_disabled_user_is_out_at_once_and_stays_out",
        BOTH,
    ),
]
MERGE_MUTANTS = [
    Mutant(
        "the value from elsewhere is dropped",
        f"{MERGE}_check",
        "if policy is Policy.LAST_WRITE_WINS:",
        "if policy is not Policy.REJECT:",
        "test_keep_both_applies_the_later_and_keeps_the_earlier_as_a_conflict",
        BOTH,
    ),
    Mutant(
        "the policy reject is ignored",
        f"{MERGE}_check",
        "if policy is Policy.REJECT:",
        "if False:",
        "test_reject_refuses_the_later_and_shows_what_is_there",
    ),
    Mutant(
        "one's own last write hides the others'",
        f"{MERGE}_foreign",
        "not is_settled(t)",
        "not own",
        "test_a_value_from_elsewhere_is_kept_although_the_device_wrote_beside_it_since",
    ),
    Mutant(
        "a device conflicts with itself",
        f"{MERGE}_foreign",
        "(t.device_id != device_id or device_id is None)",
        "True",
        "test_a_device_does_not_conflict_with_itself",
    ),
    Mutant(
        "the generation is not looked at",
        f"{MERGE}judge",
        "if change.generation < document.generation:",
        "if False:",
        "test_what_was_pending_before_a_restore_becomes_a_conflict",
        BOTH,
    ),
    Mutant(
        "half of a change stays after a fault",
        f"{MERGE}_log",
        "state = case.applied.state if is_applied else document.state",
        "state = case.applied.state",
        "test_a_fault_is_a_durable_verdict_and_leaves_the_state",
        BOTH,
        {"code": "not_an_object", "operation": {"op": "set", "path": "/s/x", "value": 1}},
    ),
    Mutant(
        "a removed parent is made again",
        f"{MERGE}_check",
        "if parent_gone:",
        "if False:",
        "test_a_child_of_a_removed_parent_is_set_aside",
    ),
    Mutant(
        "a resolved conflict takes the new one with it",
        f"{MERGE}_open",
        "if known is not None and known.conflict_id in case.resolved:",
        "if False:",
        "test_resolving_and_writing_in_one_change_leaves_the_new_conflict_open",
        BOTH,
    ),
    Mutant(
        "the size is not checked",
        f"{MERGE}_run",
        "_check_size(case)",
        "pass",
        "test_a_state_over_the_limit_is_rejected_and_one_at_the_limit_is_not",
    ),
]
STORE_MUTANTS = [
    Mutant("(device, seq) is not unique", f"{MEMORY}documents:MemoryDocumentRows.insert_changes",
           "if change.seq is not None and", "if False and", "test_version_seq_and_key_are_unique_in_the_store_itself",
           arguments={"clash": "seq"}),
    Mutant("a rollback leaves rows", f"{MEMORY}table:Table.put", "self._overlay[key] = row",
           "self._overlay[key] = self._rows[key] = row", "test_an_error_rolls_everything_back_and_comes_through"),
    Mutant("a rollback leaves rows", f"{SQL}database:SqliteDatabase.write",
           "with writing.begin():\n            return work(writing)",
           "begun = writing.begin()\n        try:\n            return work(writing)\n        finally:\n            begun.commit()",
           "test_an_error_rolls_everything_back_and_comes_through", ("sqlite",)),
    Mutant("a rollback tells its events", f"{SQL}store:_SqliteStore._write_on", "result = work(tx, *args)",
           "try:\n        result = work(tx, *args)\n    except Exception:\n        self._tell(tx.events)\n        raise",
           "test_an_error_rolls_everything_back_and_comes_through", ("sqlite",)),
    Mutant("events are told before the commit", f"{SQL}store:_SqliteStore._write_on", "tx.write_events()",
           "self._tell(tx.events)", "test_polling_tells_of_the_others_commits_once_in_order_as_hints", ("sqlite",)),
    Mutant("a create replaces what is there", f"{MEMORY}sessions:MemorySessionRows.insert",
           "if self._sessions.get(session.session_id) is not None:", "if False:",
           "test_of_colliding_creates_one_succeeds"),
    Mutant("expired sessions are listed", f"{MEMORY}sessions:MemorySessionRows._live",
           "and s.expires_at > now", "", "test_the_sessions_of_a_user_are_the_live_ones_oldest_first"),
    Mutant("expired sessions are listed", f"{SQL}sessions:_live",
           "sessions.c.idle_expires_at > now", "sessions.c.idle_expires_at.is_not(None)", "test_the_sessions_of_a_user_are_the_live_ones_oldest_first",
           ("sqlite",)),
    Mutant("the sweep is not strict", f"{SQL}sessions:SqlSessionRows.expired", "sessions.c.idle_expires_at <= now",
           "sessions.c.idle_expires_at < now", "test_a_sweep_ends_what_expired_in_bounded_batches", ("sqlite",)),
    Mutant("the sweep has no bound", f"{SQL}sessions:SqlSessionRows.expired", ".limit(limit)", "",
           "test_a_sweep_ends_what_expired_in_bounded_batches", ("sqlite",)),
    Mutant("one is told one's own commits twice", f"{SQL}store:_SqliteStore._events_since",
           "row.origin != self._origin and ", "", "test_a_store_is_not_told_its_own_commits_again_by_polling", ("sqlite",)),
    Mutant("hints are not written", f"{SQL}transaction:SqlTransaction.write_events", "if not self.events:", "if True:",
           "test_polling_tells_of_the_others_commits_once_in_order_as_hints", ("sqlite",)),
    Mutant("a read writes", f"{SQL}database:SqliteDatabase.read", "transaction.rollback()", "transaction.commit()",
           "test_a_read_writes_nothing", ("sqlite",)),
    Mutant("a lease never lapses", f"{MEMORY}store:MemoryTransaction.lease", "and current[1] > now", "",
           "test_a_lease_has_one_holder_until_it_lapses"),
    Mutant("a lease is anybody's", f"{SQL}transaction:SqlTransaction.lease",
           "(leases.c.until <= now) | (leases.c.holder == holder)", "leases.c.name == name",
           "test_a_lease_is_given_to_one", ("sqlite",)),
    Mutant("the last writer of a value wins", f"{SQL}transaction:SqlTransaction.instance",
           ".on_conflict_do_nothing()", '.on_conflict_do_update(index_elements=["key"], set_={"value": value})',
           "test_a_value_of_the_installation_is_written_once", ("sqlite",)),
    Mutant("the audit chain is not chained", f"{MEMORY}store:MemoryTransaction.audit",
           "chain.position + 1, chain.hash", 'chain.position + 1, b""', "test_audit_streams_are_chained_each_by_itself"),
    Mutant("writers do not wait for each other", f"{SQL}database:_begin", '"BEGIN IMMEDIATE" if writing else "BEGIN"',
           '"BEGIN"', "test_appends_at_once_get_one_version_each", ("sqlite",), tries=5),
    Mutant("archived names stay taken", f"{SQL}documents:SqlDocumentRows.by_name",
           'documents.c.status == "active", ', "",
           "test_a_name_that_is_taken_is_refused_and_an_archived_one_is_free", ("sqlite",)),
    Mutant("the state is written when it should not be", f"{MEMORY}documents:MemoryDocumentRows.update",
           "document if state else", "document if True else",
           "test_a_large_state_lags_behind_its_log_and_is_read_at_its_version"),
]  # fmt: skip
MUTANTS = [*ENGINE_MUTANTS, *SESSION_MUTANTS, *PLATFORM_MUTANTS, *MERGE_MUTANTS, *STORE_MUTANTS]
CASES = [(mutant, store) for mutant in MUTANTS for store in mutant.stores]


def run_contract(store: str, mutant: Mutant, place: Path) -> None:
    """The named test, as pytest would run it in the blocking lane."""
    place.mkdir()
    contract = STORES[store]()
    lab = Lab(LANES["blocking"], contract.make_store, place)
    getattr(contract, mutant.caught_by)(lab, **mutant.arguments)


@pytest.mark.parametrize(
    ("mutant", "store"), CASES, ids=[f"{mutant.name.replace(' ', '-')}-{store}" for mutant, store in CASES]
)
def test_a_planted_bug_is_caught(mutant: Mutant, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_contract(store, mutant, tmp_path / "sound")
    plant(monkeypatch, mutant.target, mutant.old, mutant.new)
    for attempt in range(mutant.tries):
        try:
            run_contract(store, mutant, tmp_path / f"planted {attempt}")
        except CAUGHT:
            return
    pytest.fail(f"{mutant.caught_by} passes although {mutant.name}")


@pytest.mark.parametrize("clash", ["version", "seq", "key"])
def test_a_log_without_unique_keys_is_caught(clash: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_documents, "_INSERT_CHANGE", insert(changes).prefix_with("OR REPLACE"))
    name = "test_version_seq_and_key_are_unique_in_the_store_itself"
    planted = Mutant("the keys are not unique", "", "", "", name, arguments={"clash": clash})
    with pytest.raises(CAUGHT):
        run_contract("sqlite", planted, tmp_path / "planted")
