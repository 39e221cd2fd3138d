"""A node as a process of its own, under the same load: prints each call as a line of JSON as soon as it is over. It ends when its stdin ends.

The argument is JSON: lane, name, settings, whether it only reads, and people (handle, token, user) whose sessions it reads.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import astuple

from sessile.runtime.settings import Settings
from tests.faults.load import Person, Round
from tests.faults.nodes import LANES

_EVERY_S = 0.002


def main() -> None:
    config = json.loads(sys.argv[1])
    node = LANES[config["lane"]](config["name"], Settings(**config["settings"]), None, None)
    round_ = Round([node])
    round_.here += [Person(*person) for person in config["people"]]
    station = round_.stations[0]
    told = {"writer": astuple(station.writer), "document": station.document_id, "user": station.actor.user_id}
    print(json.dumps(told), flush=True)
    over = threading.Event()
    teller = threading.Thread(target=_tell, args=(round_, over))
    if config["only_reads"]:
        round_.rests = True
    round_.start()
    print(json.dumps({"ready": True}), flush=True)
    teller.start()
    sys.stdin.read()
    round_.stop()
    over.set()
    teller.join()
    node.close()


def _tell(round_: Round, over: threading.Event) -> None:
    """Ends are told when they begin, too."""
    calls, told_began, told_returned = 0, set[str](), set[str]()
    while True:
        is_last = over.is_set()
        history = round_.history
        new = history.calls[calls:]  # before the ends: what a call could have met had begun by now
        calls += len(new)
        for session_id in set(history.end_began) - told_began:
            print(json.dumps({"began": [session_id, history.end_began[session_id]]}))
            told_began.add(session_id)
        for call in new:
            print(json.dumps(astuple(call)))
        for session_id in set(history.end_returned) - told_returned:
            print(json.dumps({"returned": [session_id, history.end_returned[session_id]]}))
            told_returned.add(session_id)
        sys.stdout.flush()
        if is_last:
            return
        time.sleep(_EVERY_S)


if __name__ == "__main__":
    main()
