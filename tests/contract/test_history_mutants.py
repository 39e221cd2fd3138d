"""Planted bugs in document kinds, history and copies; each must make a named contract test fail, as in test_mutants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.mutation import Mutant, plant
from tests.contract.test_mutants import BOTH, CAUGHT, MEMORY, SQL, run_contract

CHANGES = "sessile.engine.changes:ChangeEngine."
CHECKPOINTS = "sessile.engine.checkpoints:"
DOCUMENTS = "sessile.engine.documents:DocumentEngine."
COPIES = "sessile.engine.copies:"
HISTORY = "sessile.engine.history:HistoryEngine."
KINDS = "sessile.engine.kinds:"
TRANSFER = "sessile.model.transfer:"

MUTANTS = [
    Mutant("the schema is not asked", "sessile.model.merge:_run", "_check_schema(case)", "pass",
           "test_what_does_not_fit_the_kind_is_rejected_with_the_place", BOTH),
    Mutant("an older process writes", "sessile.model.kind:Kinds.of_schema", "or rules.version < schema_version", "",
           "test_who_does_not_know_the_kind_only_reads", BOTH),
    Mutant("old states are shown as they are", f"{KINDS}as_shown",
           "if rules is None or rules.version == document.schema_version:", "if True:",
           "test_an_old_state_is_shown_in_the_new_version_and_nothing_is_written"),
    Mutant("an upgrade has no line in the log", f"{CHANGES}_bring_up_to_date", "work.logged.append(line)", "pass",
           "test_the_first_write_upgrades_by_a_line_of_its_own", BOTH),
    Mutant("an upgrade collides with those who were shown it", f"{KINDS}touched_at",
           "line.version - 1 if is_upgrade else line.version", "line.version",
           "test_who_was_shown_the_upgraded_state_does_not_collide_with_it", BOTH),
    Mutant("an upgrade fails a precondition", "sessile.model.merge:_test", "version - (version == case.head.upgraded_at)",
           "version", "test_who_was_shown_the_upgraded_state_does_not_collide_with_it"),
    Mutant("an upgrade is not looked at", f"{KINDS}upgraded_state", "if fault is not None:", "if False:",
           "test_an_upgrade_that_fails_leaves_the_old_state_readable"),
    Mutant("a rename leads to any name", f"{KINDS}check_name_of_kind",
           "if claimed is not None and claimed.name != schema_name:", "if False:",
           "test_a_document_is_of_the_kind_that_claims_its_name"),
    Mutant("an old checkpoint is restored as it is", f"{CHECKPOINTS}_plan",
           "earlier = upgraded_state(rules, earlier, checkpoint.schema_version)", "pass",
           "test_a_restore_brings_an_old_checkpoint_up_to_date", BOTH),
    Mutant("a restore is not asked for its kind", f"{CHECKPOINTS}_plan", "if refused is not None:", "if False:",
           "test_a_partial_restore_that_does_not_fit_is_refused"),
    Mutant("server code collides with the upgrade", f"{CHANGES}_change", "if work.unknown is None:", "if False:",
           "test_server_code_bases_its_change_on_the_upgraded_state"),
    Mutant("the kind's policies are not used", "sessile.engine.heads:Heads._work",
           "policies = rules.policies if rules is not None else None", "policies = None",
           "test_the_policies_of_the_kind_hold"),
    Mutant("young lines are forgotten", f"{HISTORY}_compact", "or line.created_at >= before", "",
           "test_young_lines_are_kept_however_many_there_are", BOTH),
    Mutant("lines of an open conflict are forgotten", f"{HISTORY}_compact",
           "last = min(last, conflict.version - 1)", "pass", "test_what_an_open_conflict_needs_is_kept"),
    Mutant("the beginning of the log stays behind", f"{HISTORY}_compact", "tx.documents.put_log_base(base)", "pass",
           "test_old_lines_are_forgotten_in_bounded_batches_and_the_rest_stays_whole", BOTH),
    Mutant("a batch has no bound", f"{HISTORY}_compact", "limit=self._rule.batch", "limit=None",
           "test_old_lines_are_forgotten_in_bounded_batches_and_the_rest_stays_whole"),
    Mutant("one line too few is forgotten", f"{MEMORY}documents:MemoryDocumentRows.delete_changes",
           "change.version > up_to", "change.version >= up_to",
           "test_old_lines_are_forgotten_in_bounded_batches_and_the_rest_stays_whole"),
    Mutant("one line too few is forgotten", f"{SQL}history:SqlHistoryRows.delete_changes",
           "changes.c.version <= up_to", "changes.c.version < up_to",
           "test_old_lines_are_forgotten_in_bounded_batches_and_the_rest_stays_whole", ("sqlite",)),
    Mutant("what is forgotten counts as seen", "sessile.engine.heads:_touches", "if base_version < known_from", "if False",
           "test_a_change_based_on_what_is_forgotten_collides_where_it_differs", BOTH),
    Mutant("any number of lines is compared", "sessile.engine.heads:read_after",
           "max(base_version, row.version - JUDGED_CHANGES_MAX)", "base_version",
           "test_a_change_is_compared_with_so_many_lines_at_most"),
    Mutant("pages of activity overlap", f"{SQL}transaction:SqlTransaction.recent_audit",
           "audit_events.c.position < before", "audit_events.c.position <= before",
           "test_activity_is_one_list_page_by_page", ("sqlite",)),
    Mutant("the hash of an export is not looked at", f"{TRANSFER}imported", 'if raw.get("hash") != whole:', "if False:",
           "test_a_damaged_export_is_refused"),
    Mutant("the log of an export need not lead to its state", f"{COPIES}follow",
           "if not ends or not json_equal(point.state, source.state):", "if False:", "test_a_damaged_export_is_refused"),
    Mutant("hashes in the log are not compared", f"{TRANSFER}check_hash",
           "change.state_hash is not None and change.state_hash != state_hash(state)", "False",
           "test_a_damaged_export_is_refused"),
    Mutant("an import takes over somebody's conflicts", f"{TRANSFER}_Reader._conflict_id",
           "self._conflict_ids[old] = self._new_id()", "self._conflict_ids[old] = old",
           "test_an_import_is_what_was_exported", BOTH),
    Mutant("device numbers of an import are given again", f"{COPIES}CopyEngine._elsewhere", "if not highest:",
           "if True:", "test_an_imported_document_goes_on"),
    Mutant("an import need not fit its kind", f"{COPIES}CopyEngine._checked",
           'check_new_state(rules, shown, "/document/state")', "pass", "test_an_import_fits_its_kind_and_its_name"),
    Mutant("an archived document takes a name that is taken", f"{DOCUMENTS}_unarchive",
           "if tx.documents.by_name(document.owner, document.name) is not None:", "if False:",
           "test_an_archived_document_is_listed_apart_and_comes_back_while_its_name_is_free"),
    Mutant("anybody brings back what is archived", f"{DOCUMENTS}_unarchive",
           "find_for_change(tx, actor, document_id, now)", "find_for_change(tx, Actor.system(), document_id, now)",
           "test_an_archived_document_is_listed_apart_and_comes_back_while_its_name_is_free"),
    Mutant("another user claims", f"{DOCUMENTS}_claim", "session.user_id != actor.user_id", "False",
           "test_what_was_made_anonymously_is_claimed_once_and_by_its_own_session"),
    Mutant("a backup of another log is believed", "sessile.engine.backups:_unsaved",
           "backup.epoch != document.epoch or ", "", "test_a_backup_of_another_log_collides_wherever_it_differs"),
    Mutant("a backup takes the device's newer value back", "sessile.engine.backups:_unsaved",
           "not any(overlap(keys, parse(path)) for keys in own) and ", "", "test_an_old_backup_takes_nothing_newer_back"),
    Mutant("a backup takes somebody's newer value back", "sessile.engine.backups:_unsaved",
           " and not _equal(lookup(then, parse(path)), value)", "", "test_an_old_backup_takes_nothing_newer_back"),
    Mutant("a backup comes in twice", "sessile.engine.backups:BackupEngine.restore", "backup.key", "None",
           "test_a_backup_is_a_change_and_the_same_one_again_is_none"),
    Mutant("a backup may be the whole state", "sessile.model.backup:Backup.operations", "if not parts:", "if False:",
           "test_whose_document_it_is_and_what_a_backup_may_hold_are_looked_at"),
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
