"""What a probe is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from sessile.testing.torture.stage import Stage
from sessile.testing.torture.verdicts import Stopped, Verdict, fail

Check: TypeAlias = Callable[[Stage], Verdict]


@dataclass(frozen=True)
class Probe:
    """One scenario. `title` is what holds where it ends with "ok"; `source` is where the fault is known from (a CVE, an
    issue, an RFC); empty where nobody has told of it."""

    key: str
    title: str
    source: str
    check: Check = field(repr=False)

    def run(self, stage: Stage) -> Verdict:
        """Never raises for what the application does: no answer is a failure, too."""
        try:
            return self.check(stage)
        except Stopped as stopped:
            return stopped.verdict
        except TimeoutError:
            return fail("a request was not answered within 30 s")
        except ConnectionError as error:
            return fail(f"the application closed the connection: {type(error).__name__}")
