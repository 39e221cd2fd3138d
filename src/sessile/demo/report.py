"""What the demo's document looks like: its name, its first state, its steps, and what happens when two devices differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sessile.model.document import Policy

NAME: Final = "incident-report"
COPIES: Final = f"{NAME}/"
"""The names of copies begin with this; the rest is what the person called it."""

STEPS: Final = (
    "What happened",
    "When and where",
    "People",
    "Damage and evidence",
    "Missing facts",
    "Review and send",
)
GAPS_STEP: Final = 5
"""From this step on nothing counts as not reached yet."""

DERIVED: Final = ("gaps_detected", "gaps_resolved", "user_responses")
"""Written by the server only."""

POLICIES: Final[Mapping[str, Mapping[str, Policy]]] = {
    f"{NAME}*": {
        "/current_step": Policy.LAST_WRITE_WINS,
        "/context/**": Policy.LAST_WRITE_WINS,
        **{f"/{name}": Policy.LAST_WRITE_WINS for name in DERIVED},
    }
}
"""Two devices on different steps are no conflict; two devices that wrote different words into one field are."""


def is_report(name: str) -> bool:
    """The report itself, or a copy of it."""
    return name == NAME or name.startswith(COPIES)


def first_state() -> dict[str, Any]:
    """The state of a report that nobody has written in."""
    return {
        "current_step": 1,
        "total_steps": len(STEPS),
        "gaps_detected": [],
        "gaps_resolved": [],
        "user_responses": [],
        "context": {"reached": 1},
        "report": {},
        "people": [],
        "attachments": [],
    }
