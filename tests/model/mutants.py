"""Planted errors. Each is a mistake that somebody could make in good faith; each must be found, and as what it is."""

from __future__ import annotations

from dataclasses import replace

from tests.model.rules import Planted, Row

READER = ("W", "R")
WRITERS = ("W", "WR")


def mutant(
    name: str, found_as: str, planted: Planted, roles: tuple[str, ...] = READER, **more: object
) -> tuple[Row, str]:
    """P1 and P2 are looked for alone: what a caller can see, not the first thing that looks wrong inside."""
    row = Row(name, roles, planted=planted, promises_only=found_as in {"P1", "P2"})
    return replace(row, **more), found_as  # type: ignore[arg-type]


MUTANTS: list[tuple[Row, str]] = [
    # Marks
    mutant("no mark", "P2b", Planted(no_mark=True)),
    mutant("mark after the commit", "P2b", Planted(mark_after_commit=True)),
    mutant("mark before the row is locked", "P1", Planted(mark_without_lock=True), WRITERS, versions=2, epochs=1),
    mutant("unanswered mark taken for one", "P2b", Planted(unanswered_mark_counts=True)),
    # Publishing
    mutant("publish before the commit", "P3", Planted(publish_before_commit=True)),
    mutant("publish over another's mark", "P2b", Planted(publish_over_marks=True), WRITERS, versions=2, epochs=1),
    mutant("publish keeps a lease", "P1", Planted(publish_keeps_leases=True)),
    mutant("publish keeps an older value", "P1", Planted(publish_keeps_values=True)),
    mutant("publish where the key is absent", "P1", Planted(publish_creates=True), WRITERS, versions=2, epochs=1),
    mutant("publish without token drops marks", "P2b", Planted(clean_drops_marks=True), WRITERS, versions=2, epochs=1),
    mutant("touch puts what it has read", "P1", Planted(touch_puts_entry=True), ("W", "TR")),
    # Filling
    mutant("fill without a lease", "P1", Planted(fill_without_lease=True)),
    mutant("lease after the SQL read", "P1", Planted(lease_after_sql=True)),
    mutant("fill while the fence is closed", "P1", Planted(fill_while_closed=True)),
    mutant("join a flight that is sent", "P1", Planted(join_sent_flight=True)),
    mutant("a process always uses the same token", "P1", Planted(tokens_reused=True), late=True, epochs=1),
    # Looks and epochs
    mutant("serve without looking at the age", "P1", Planted(serve_without_age=True)),
    mutant("look aged from its reply", "P1", Planted(look_aged_from_reply=True)),
    mutant("open look judged before the lock", "P1", Planted(look_before_lock=True), WRITERS, versions=2, is_calm=True),
    mutant("no epoch in the key", "P1", Planted(no_epoch_in_key=True)),
    mutant("no identity in the epoch", "P1", Planted(no_identity=True), fork=True, is_calm=True),
    # Opening
    mutant("open whatever number is there", "P1", Planted(open_without_number=True), epochs=3, is_calm=True),
    # After the commit
    mutant("mark failed, no raise", "P1", Planted(no_raise=True)),
    mutant("raise before the commit, apart", "P1", Planted(raise_apart_before=True)),
    mutant("raise after the commit, apart", "P2b", Planted(raise_apart_after=True)),
    mutant("failed publish ignored", "P1", Planted(failed_publish_ignored=True)),
    mutant("revoke does not wait", "P1", Planted(final_does_not_wait=True)),
    mutant("wait from the statement, not from the commit", "P1", Planted(wait_from_statement=True)),
    mutant("degraded data write promised at once", "P2", Planted(data_promised_at_once=True), versions=2),
    mutant("revoked already: answered at once", "P1", Planted(ended_answered_at_once=True), WRITERS),
]

LONG_MUTANTS: list[tuple[Row, str]] = [
    mutant("revoked already: not published again", "P1", Planted(ended_not_published=True), WRITERS),
    mutant("no look after a degraded commit", "P1", Planted(no_look_after_degraded=True)),
    mutant("failed publish: raise of the own number only", "P1", Planted(raise_own_number_only=True)),
    mutant("open at once", "P1", Planted(open_at_once=True)),
    mutant("raise closes the same number", "P1", Planted(raise_keeps_number=True)),
    mutant("open F after the database's raised_at", "P1", Planted(open_from_raised_at=True)),
    mutant("publish drops another's mark", "P2b", Planted(publish_drops_marks=True), WRITERS, versions=2, epochs=1),
    mutant("no look after a publish", "P1", Planted(no_look_after_publish=True)),
    mutant("mark without an end", "P4", Planted(mark_forever=True), checks_return=True),
    mutant(
        "closed look from before the lock",
        "P1",
        Planted(closed_look_remembered=True),
        WRITERS,
        versions=2,
        is_calm=True,
    ),
    mutant(
        "look of a transaction aged from its commit",
        "P1",
        Planted(look_aged_from_commit=True),
        ("WR", "W"),
        versions=2,
        epochs=3,
    ),
]
"""They need many steps, so they take a while."""
