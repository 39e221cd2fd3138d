"""`sessile sweep`: does now what the background work does now and then."""

from __future__ import annotations

import sys

from sessile.cli.acting import opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_facts, print_json


def sweep(database: Database = None, as_json: AsJson = False) -> None:
    """End sessions past a deadline, forget what is older than it is kept, shorten logs. Running servers do the same by themselves."""
    done = {"ended": 0, "forgotten": 0, "compacted": 0}
    with opened(database, as_json=as_json) as manager:
        for name, batch in (
            ("ended", manager.cleanup_expired_sessions),
            ("forgotten", manager.forget_old),
            ("compacted", manager.documents.compact),
        ):
            while number := batch():
                done[name] += number
                if sys.stderr.isatty():
                    sys.stderr.write(f"\r{name} {done[name]}\x1b[K")
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
    if as_json:
        print_json(done)
    else:
        print_facts(
            "Swept",
            {
                "sessions ended": done["ended"],
                "old rows forgotten": done["forgotten"],
                "lines of logs forgotten": done["compacted"],
            },
        )
