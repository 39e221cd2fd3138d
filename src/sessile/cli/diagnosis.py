"""What a check of `sessile doctor` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note", "ok"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`error`: something does not work. `warning`: it will not, or is weaker than it need be. `note`: good to know. `cure` is a command where there is one."""

    check: str
    severity: Severity
    what: str
    why: str = ""
    cure: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"check": self.check, "severity": self.severity, "what": self.what, "why": self.why, "cure": self.cure}
