"""Planted bugs in presence; each must make a named contract test fail, as in test_mutants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.mutation import Mutant, plant
from tests.contract.test_mutants import BOTH, CAUGHT, MEMORY, SQL, run_contract

ENGINE = "sessile.engine.presence:"
MODEL = "sessile.model.presence:"
ROWS = f"{SQL}presence:SqlPresenceRows."

MUTANTS = [
    Mutant("another node's lease does not count for a session", f"{ENGINE}_sessions_away", "or session_id in still", "",
           "test_the_last_connection_over_all_nodes_disconnects_once", BOTH),
    Mutant("another node's lease does not count for a device", f"{ENGINE}_devices_away", " - still", "",
           "test_the_last_connection_over_all_nodes_disconnects_once"),
    Mutant("whoever says so is disconnected", f"{ENGINE}PresenceEngine._removed",
           "for lease in tx.presence.get_many(list(known), lock=True)", "for lease in leases",
           "test_what_was_never_there_is_not_disconnected", BOTH),
    Mutant("a disconnection is written twice", f"{ENGINE}_sessions_away",
           "if not is_away(session.disconnected_at, session.reconnected_at):", "if True:",
           "test_a_device_that_is_away_already_is_not_disconnected_again"),
    Mutant("a device's disconnection is written twice", f"{ENGINE}_devices_away",
           "if device is None or is_away(device.disconnected_at, device.reconnected_at):", "if device is None:",
           "test_a_device_that_is_away_already_is_not_disconnected_again"),
    Mutant("every connection is a reconnection", f"{ENGINE}_session_here",
           "is_here and is_away(session.disconnected_at, session.reconnected_at)", "session.disconnected_at is not None",
           "test_the_first_connection_after_that_reconnects_once", BOTH),
    Mutant("a device never comes back", f"{ENGINE}_device_here",
           "if is_away(device.disconnected_at, device.reconnected_at) and", "if False and",
           "test_the_first_connection_after_that_reconnects_once"),
    Mutant("what devices say brings them back", f"{ENGINE}_session_here", "is_here and is_away(", "is_away(",
           "test_a_report_alone_is_no_connection"),
    Mutant("at the same moment nobody knows which was first", f"{MODEL}disconnection_at", "reconnected_at + _TICK",
           "now", "test_coming_and_going_at_the_same_moment_stay_apart"),
    Mutant("an ended session is written to", f"{ENGINE}_sessions_away", "session.ended_at is not None or", "",
           "test_an_ended_session_gets_nothing_any_more", BOTH),
    Mutant("an ended session is connected", f"{ENGINE}PresenceEngine._connected", "if s.ended_at is None", "",
           "test_an_ended_session_gets_nothing_any_more", BOTH),
    Mutant("how far it had come is forgotten", f"{ENGINE}_devices_away",
           "max(device.seen_version, *(lease.version for lease in theirs))", "device.seen_version",
           "test_what_the_device_had_is_kept_with_what_it_had_sent", BOTH),
    Mutant("a device has more than there is", f"{ENGINE}_devices_away", "min(head, max(", "max(0, max(",
           "test_what_the_device_had_is_kept_with_what_it_had_sent"),
    Mutant("who renews in time is taken for dead", f"{ENGINE}PresenceEngine._removed",
           "lapsed_at is None or lease.lease_until <= lapsed_at", "True",
           "test_a_node_that_renews_while_it_is_taken_for_dead_keeps_its_devices", BOTH),
    Mutant("a batch has no bound", f"{ROWS}lapsed", ".limit(limit)", "",
           "test_the_leases_of_a_dead_node_lapse_in_bounded_batches", ("sqlite",)),
    Mutant("everybody's leases are renewed", f"{ROWS}renew", ".where(presence.c.node_id == node_id)", "",
           "test_leases_are_replaced_renewed_and_removed_by_their_keys", ("sqlite",)),
    Mutant("everybody's leases are renewed", f"{MEMORY}presence:MemoryPresenceRows.renew",
           " if lease.node_id == node_id", "", "test_leases_are_replaced_renewed_and_removed_by_their_keys"),
    Mutant("what was removed comes back", f"{MEMORY}presence:MemoryPresenceRows.advance", "if known is not None:",
           "if (known := lease):", "test_leases_are_replaced_renewed_and_removed_by_their_keys"),
    Mutant("a lapsed lease still shows somebody", f"{ROWS}_standing", "presence.c.lease_until > now",
           "presence.c.lease_until >= now", "test_a_lease_is_over_at_its_end", ("sqlite",)),
    Mutant("documents count as sessions", f"{MEMORY}presence:MemoryPresenceRows.of_sessions",
           " and not lease.document_id", "", "test_a_lease_is_over_at_its_end"),
    Mutant("a node sees its own devices elsewhere", f"{ENGINE}_elsewhere", "if lease.node_id != node_id", "",
           "test_a_device_on_two_nodes_is_one"),
    Mutant("anybody may see who is there", f"{ENGINE}_of_document", "or not actor.may_open(document.owner)", "",
           "test_every_device_of_a_document_as_it_stands", BOTH),
    Mutant("who follows is behind", f"{MODEL}DevicePresence.behind", "0 if self.is_following else", "",
           "test_a_device_on_two_nodes_is_one"),
    Mutant("a removal is told to nobody", f"{ENGINE}PresenceEngine._removed",
           "_tell(tx, over, is_lapse=lapsed_at is not None)", "pass", "test_others_are_told_which_node_changed_what", BOTH),
    Mutant("a browser's guess beats the name that was given", f"{ENGINE}described", 'or known.get("label")', "",
           "test_a_session_knows_what_its_device_says_of_itself"),
    Mutant("another device inherits the facts", f"{ENGINE}described", "session.device if is_same else {}",
           "session.device", "test_a_session_knows_what_its_device_says_of_itself"),
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
