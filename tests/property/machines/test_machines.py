"""Sessions, hand-offs and documents: both stores do what the other does, and what a simple model says. In the soak 100 000 steps each."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.contract.mutation import plant
from tests.property.machines.document_machine import DocumentMachine
from tests.property.machines.handoff_machine import HandoffMachine
from tests.property.machines.run import FIRST_FAULT, LONG, MACHINES, SLICE, Machine, run

IS_SOAK = os.environ.get("SESSILE_SOAK") == "1" or os.environ.get("HYPOTHESIS_PROFILE") == "soak"
STEPS_MIN = 100_000 if IS_SOAK else 300

SESSIONS = "sessile.engine.sessions:SessionEngine."
PLANTED: list[tuple[Machine, str, str, str]] = [
    (HandoffMachine, "sessile.engine.principals:PrincipalEngine._set_limit", "max(0, len(live) - allowed)", "len(live) - allowed"),
    (HandoffMachine, f"{SESSIONS}_standing", "if retired.principal_changed:", "if False:"),
    (HandoffMachine, "sessile.engine.handoff:HandoffEngine._confirm", "or now >= handoff.expires_at", ""),
    (HandoffMachine, "sessile.stores.sql.sessions:_live", "sessions.c.idle_expires_at > now", "sessions.c.idle_expires_at.is_not(None)"),
    (DocumentMachine, "sessile.engine.changes:ChangeEngine._replay", "if stored.operations_hash != operations_hash(change):", "if False:"),
    (DocumentMachine, "sessile.stores.memory.documents:MemoryDocumentRows.delete_changes", "change.version > up_to", "change.version >= up_to"),
]  # fmt: skip

DEEP: list[tuple[Machine, str, str, str]] = [
    (HandoffMachine, "sessile.engine.logins:Logins._clocks_of", "wishes or (session.is_remembered and not was_anonymous)", "wishes"),
    (DocumentMachine, "sessile.engine.checkpoints:CheckpointEngine._restore", "document.version != expected_version", "False"),
    (HandoffMachine, "sessile.model.maintenance:Maintenance.is_over", "now >= self.until", "False"),
    (HandoffMachine, "sessile.engine.logins:Logins.with_new_token", "if principal_changed:", "if False:"),
    (HandoffMachine, "sessile.stores.sql.sessions:SqlSessionRows.ended_before", "sessions.c.ended_at < moment", "sessions.c.ended_at <= moment"),
    (HandoffMachine, "sessile.stores.memory.sessions:MemorySessionRows.touch", "current.absolute_expires_at", "session.idle_expires_at"),
]  # fmt: skip
"""They show when several things come together, so they take a while."""


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__)
def test_both_stores_do_what_the_model_says(
    machine: Machine, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    figures = run(machine, LONG, STEPS_MIN) if IS_SOAK else run(machine, SLICE)
    record_property("steps", figures.steps)
    record_property("duration_s", round(figures.duration_s, 1))
    with capsys.disabled():
        print(f"\n{figures}")
    assert figures.steps >= STEPS_MIN


@pytest.mark.parametrize(
    ("machine", "target", "old", "new"),
    [*PLANTED, *(pytest.param(*deep, marks=pytest.mark.soak) for deep in DEEP)],
    ids=[target for _, target, *_ in [*PLANTED, *DEEP]],
)
def test_a_planted_bug_is_found(
    machine: Machine, target: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, target, old, new)
    with pytest.raises(AssertionError):
        run(machine, FIRST_FAULT)
