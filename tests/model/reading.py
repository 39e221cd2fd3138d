"""R1 to R6: reads that begin with an open look. All others read SQL and leave the cache alone."""

from __future__ import annotations

from tests.model.turn import Turn
from tests.model.world import VALUE


def read(turn: Turn) -> None:
    """R2: GET is the one round trip of a hit. A value is served if the look is still open; a mark or a lease, or no answer: SQL (R3)."""
    process, world, planted = turn.process, turn.world, turn.row.planted
    life = turn.row.life + (1 if planted.serve_without_age else 0)
    may = process.age < life or (planted.fill_while_closed and process.age == turn.closed)
    if process.number < 0 or not may or not turn.is_bound(process.number):
        return
    entry = world.keys[process.server][0 if planted.no_epoch_in_key else process.number]
    if not entry:
        version = world.version if planted.lease_after_sql else 0
        turn.go("GET: absent", process._replace(at="leasing", epoch=process.number, version=version))
    elif entry[0] == VALUE:
        broken = "P3 served what SQL never held" if entry[1] > world.version else ""
        if entry[1] < world.promised:
            broken = older(turn)
        if broken:
            turn.go(f"GET: serves version {entry[1]}", process, broken=broken)


def older(turn: Turn) -> str:
    """Which promise is broken when less than what was promised is served."""
    if turn.world.promised == turn.row.versions:
        return "P1 accepted after the revoke has returned"
    return "P2 older than promised"


def lease(turn: Turn) -> None:
    """R4: SET NX. Refused: SQL, and nothing is filled."""
    process, planted = turn.process, turn.row.planted
    if planted.fill_without_lease:  # it does not even ask
        turn.go("no lease", process._replace(at="reading"))
        return
    token = turn.free_token()
    slot = 0 if planted.no_epoch_in_key else process.epoch
    refused = not turn.is_bound(process.epoch) or turn.world.keys[process.server][slot]
    answered = turn.idle() if refused else process._replace(at="reading", token=token)
    turn.call("lease", answered, turn.idle(), 0, token)


def read_sql(turn: Turn) -> None:
    """R5: begins after the lease has been answered; is served as it is."""
    process = turn.process
    version = process.version if turn.row.planted.lease_after_sql else turn.world.version
    turn.go(f"reads version {version} in SQL", process._replace(at="filling", version=version))


def fill(turn: Turn) -> None:
    """R6: only if the key still holds my lease."""
    process = turn.process
    if turn.row.planted.join_sent_flight and process.version < turn.world.promised:
        turn.go("a new read joins this flight", process, broken=older(turn))
    turn.call("fill", turn.idle(), turn.idle(), process.version, process.token)
