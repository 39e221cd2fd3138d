"""What a row of the model contains, and which error is planted in it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Planted:
    """Errors that somebody could make in good faith. All False: the protocol as it is."""

    # Marks
    no_mark: bool = False
    mark_after_commit: bool = False
    mark_forever: bool = False
    mark_without_lock: bool = False
    unanswered_mark_counts: bool = False
    # Publishing
    publish_before_commit: bool = False
    publish_over_marks: bool = False
    publish_drops_marks: bool = False
    publish_keeps_leases: bool = False
    publish_keeps_values: bool = False
    publish_creates: bool = False
    clean_drops_marks: bool = False
    touch_puts_entry: bool = False
    # Filling
    fill_without_lease: bool = False
    lease_after_sql: bool = False
    fill_while_closed: bool = False
    join_sent_flight: bool = False
    tokens_reused: bool = False
    # Looks and epochs
    serve_without_age: bool = False
    look_aged_from_reply: bool = False
    look_aged_from_commit: bool = False
    closed_look_remembered: bool = False
    look_before_lock: bool = False
    no_epoch_in_key: bool = False
    no_identity: bool = False
    # Opening
    open_at_once: bool = False
    open_from_raised_at: bool = False
    open_without_number: bool = False
    raise_keeps_number: bool = False
    # After the commit
    no_look_after_publish: bool = False
    no_look_after_degraded: bool = False
    no_raise: bool = False
    raise_apart_before: bool = False
    raise_apart_after: bool = False
    raise_own_number_only: bool = False
    failed_publish_ignored: bool = False
    final_does_not_wait: bool = False
    wait_from_statement: bool = False
    data_promised_at_once: bool = False
    ended_answered_at_once: bool = False
    ended_not_published: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One configuration that is explored. Versions count up from 0; committing the last one is the revocation, the others are data writes."""

    name: str
    roles: tuple[str, ...]
    """Per process what it does: R reads, W writes, T touches. Each of them looks at the fence and opens it."""
    versions: int = 1
    life: int = 1
    """F in ticks: how long an open look may be used."""
    epochs: int = 2
    """How many there can be; 2 is one raise."""
    late: bool = False
    """A call whose caller gave up may be carried out at any later time (one at a time)."""
    fork: bool = False
    """A second server with an old copy turns up."""
    busy_looks: bool = False
    """A process looks at the fence and opens it also in the middle of an operation, as one with several operations at once does."""
    is_calm: bool = False
    """No call fails, no key is lost, nobody crashes. Only for planted errors that are found without."""
    checks_return: bool = False
    """P4 is checked: from every state a fault-free way leads back."""
    promises_only: bool = False
    """Only P1 to P3 are looked for: what a caller can see."""
    no_residual: bool = False
    """P2b without its exemption."""
    planted: Planted = field(default_factory=Planted)
