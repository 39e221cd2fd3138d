"""W0 to W7: a write, a revoke, and a revoke of what is revoked already, which commits nothing new. One transaction, its row locked from W0."""

from __future__ import annotations

from typing import Any

from tests.model.turn import Turn
from tests.model.world import LOCKED, Process, World


def is_row_locked(turn: Turn) -> bool:
    if turn.row.planted.mark_without_lock:
        return False
    return any(process.at in LOCKED for process in turn.world.processes)


def has_open_look(turn: Turn) -> bool:
    process = turn.process
    return process.age < turn.row.life and turn.is_bound(process.number)


def begin_write(turn: Turn) -> None:
    """W0 and W1: the row is locked; then the open look that I have, else a look in this transaction."""
    process, world, planted = turn.process, turn.world, turn.row.planted
    if planted.ended_answered_at_once and world.version == turn.row.versions:
        turn.go("is revoked already, returns", process, world._replace(promised=world.version))
        return
    if world.version == turn.row.versions > world.promised:
        begin_again(turn)
    if planted.look_before_lock and has_open_look(turn):
        turn.go(
            "look is open, asks for the lock",
            process._replace(at="queued", epoch=process.number, look_age=process.age),
            is_chance=True,
        )
    if planted.closed_look_remembered and not world.is_open and process.number == world.number:
        turn.go("look is closed, asks for the lock", process._replace(at="queued"), is_chance=True)
    if is_row_locked(turn):
        return
    if has_open_look(turn):
        turn.go(
            "locks, look is open",
            process._replace(at="marking", epoch=process.number, look_age=process.age),
            is_chance=True,
        )
        return
    looked = turn.looked()
    if not world.is_open:
        turn.go("locks, looks: closed", process._replace(at="degraded", **looked), is_chance=True)
    elif turn.is_bound(world.number):
        turn.go(
            "locks, looks: open",
            process._replace(at="marking", epoch=world.number, look_age=0, **looked),
            is_chance=True,
        )
    else:
        other = process._replace(at="unmarked", epoch=world.number, **looked)
        turn.go("locks, looks: other server", other, is_chance=True)


def begin_again(turn: Turn) -> None:
    """W7 without a lock, also for a row that is gone: it is revoked already, by a query that looks at the fence too. As after a degraded commit."""
    version = turn.world.version
    process = turn.process._replace(version=version)
    if not turn.world.is_open:
        finish(turn, "is revoked already, looks: closed", process, turn.looked())
    elif turn.is_bound(turn.world.number):
        cleaning = process._replace(at="cleaning", epoch=turn.world.number, **turn.looked())
        if turn.row.planted.ended_not_published:
            promise(turn, "is revoked already, looks: open, returns", turn.process, version=version)
        turn.go("is revoked already, looks: open", cleaning)
    else:
        turn.go("is revoked already, looks: other server", process._replace(at="unsure", **turn.looked()))


def queued(turn: Turn) -> None:
    """Planted errors only: what was known before the lock is used after it."""
    if not is_row_locked(turn):
        turn.go("gets the lock", turn.process._replace(at="marking" if turn.process.epoch >= 0 else "degraded"))


def mark(turn: Turn) -> None:
    """W2: whatever was there. Without an answer the write goes on without a mark."""
    process, planted = turn.process, turn.row.planted
    token = turn.free_token()
    marked = process._replace(at="marked", token=token)
    if planted.no_mark or planted.mark_after_commit:
        turn.go("no mark", marked)
        return
    unmarked = process._replace(at="unmarked", look_age=0)
    turn.call("mark", marked, marked if planted.unanswered_mark_counts else unmarked, 0, token)


def unmarked(turn: Turn) -> None:
    """W2x: an open fence is raised in this transaction; its row stays locked until the commit. A closed one is left: goes on as degraded."""
    process, world, planted = turn.process, turn.world, turn.row.planted
    degraded = process._replace(at="degraded", epoch=-1, **turn.looked())
    if world.is_open and world.number != process.epoch:
        kept = world.number if planted.look_aged_from_commit else -1
        turn.go("another epoch is open: leaves it", degraded._replace(epoch=kept))
    if not world.is_open:
        turn.go("fence is closed", degraded)
    elif planted.no_raise:
        following = committed(turn)
        done = process._replace(version=following.version)
        finish(turn, f"COMMIT {following.version} alone", done, turn.looked() | {"seen": 0}, following)
    elif planted.raise_apart_after:
        following = committed(turn)
        done = process._replace(at="unsure", epoch=-1, version=following.version)
        turn.go(f"COMMIT {following.version} alone", done, following)
    elif not turn.can_raise():
        turn.go("gives up (no epoch left in the model)", turn.idle())
    elif planted.raise_apart_before:
        following = turn.raised()
        turn.go(
            "RAISE, committed apart", process._replace(at="raised", epoch=-1, **turn.after_raise(following)), following
        )
    else:
        turn.go("RAISE in the transaction", process._replace(at="raising", epoch=-1, look_age=0))


def committed(turn: Turn) -> World:
    """W3. A revoke of what is revoked already (W7) commits nothing new."""
    return turn.world._replace(version=min(turn.world.version + 1, turn.row.versions))


def commit_marked(turn: Turn) -> None:
    process, world, planted = turn.process, turn.world, turn.row.planted
    following = committed(turn)
    if planted.publish_before_commit and process.version == 0:
        early = process._replace(version=following.version)
        turn.call("publish", early, early, following.version, process.token)
    # The epoch was replaced and the next one opened: my mark is in keys that nobody reads any more.
    lost = int(process.lost or (world.number != process.epoch and world.is_open))
    at = "remarking" if planted.mark_after_commit else "publishing"
    turn.go(f"COMMIT {following.version}", process._replace(at=at, version=following.version, lost=lost), following)


def remark(turn: Turn) -> None:
    """A planted error only."""
    publishing = turn.process._replace(at="publishing")
    turn.call("mark", publishing, publishing, 0, turn.process.token)


def commit_degraded(turn: Turn) -> None:
    following = committed(turn)
    process = turn.process._replace(version=following.version)
    words = f"COMMIT {following.version} without a mark"
    if process.epoch >= 0:  # planted: what the transaction saw is taken for a look of now
        process = process._replace(number=process.epoch, age=0, epoch=-1)
    if turn.row.planted.no_look_after_degraded:
        commit_after_raise(turn)
    else:
        turn.go(words, process._replace(at="unsure", lost=int(turn.world.is_open)), following)


def commit_raise(turn: Turn) -> None:
    """Both at once. From this answer on one's own clock counts."""
    since = turn.process.look_age
    following = turn.raised(committed(turn), since=since)
    looked = turn.after_raise(following, since if turn.row.planted.wait_from_statement else 0)
    process = turn.process._replace(version=following.version)
    finish(turn, f"COMMIT {following.version} and RAISE", process, looked, following)


def commit_after_raise(turn: Turn) -> None:
    """A planted error only: the raise was a transaction of its own, and its epoch is taken to be closed still."""
    process, following = turn.process, committed(turn)
    done = process._replace(version=following.version)
    looked = {"number": process.number, "age": process.age, "seen": process.seen}
    finish(turn, f"COMMIT {following.version} alone", done, looked, following)


def publish(turn: Turn) -> None:
    """W4, with the token of my mark."""
    process, planted = turn.process, turn.row.planted
    own = process.epoch if planted.raise_own_number_only else -1
    unsure = process._replace(at="unsure", epoch=own, look_age=0, token=-1)
    published = process._replace(at="published", token=-1)
    turn.call(
        "publish", published, published if planted.failed_publish_ignored else unsure, process.version, process.token
    )


def judge(turn: Turn) -> None:
    """W5: while the look of W1 is young, no newer epoch can have been open at the commit."""
    process, world = turn.process, turn.world
    if process.look_age < turn.row.life or turn.row.planted.no_look_after_publish:
        promise(turn, "look is young: returns", turn.idle())
        return
    looked = turn.looked()
    if not world.is_open:
        finish(turn, "looks again: closed", process, looked)
    elif world.number == process.epoch:
        promise(turn, "looks again: the same, returns", turn.idle(**looked))
    else:
        to_clean(turn, "looks again: newer", looked)


def settle(turn: Turn) -> None:
    """After a commit without a mark, and W6 after a failed publish: what is the fence now?"""
    process, world, planted = turn.process, turn.world, turn.row.planted
    looked = turn.looked()
    is_missed = planted.raise_own_number_only and process.epoch not in {-1, world.number}
    if not world.is_open or is_missed:
        finish(turn, "looks: closed" if not world.is_open else "RAISE of the old number", process, looked)
        return
    to_clean(turn, "looks: open", looked)
    if turn.can_raise():
        following = turn.raised()
        finish(turn, "RAISE after the commit", process, turn.after_raise(following), following)


def to_clean(turn: Turn, what: str, looked: dict[str, Any]) -> None:
    """The look of after the commit is open: publish without a token in its epoch, if its server can be reached."""
    if turn.is_bound(turn.world.number):
        following = turn.process._replace(at="cleaning", epoch=turn.world.number, look_age=0, token=-1, **looked)
    else:
        following = turn.process._replace(at="unsure", epoch=-1, look_age=0, token=-1, **looked)
    if following != turn.process:
        turn.go(what, following)


def clean(turn: Turn) -> None:
    """W4 without a token: what could be older than the commit goes, marks stay."""
    process = turn.process
    unsure = process._replace(at="unsure", epoch=-1)
    turn.call("publish without token", turn.idle(), unsure, process.version, promises=True)


def finish(turn: Turn, what: str, process: Process, looked: dict[str, Any], world: World | None = None) -> None:
    """The fence is closed: whoever still has an open look loses it F after I first saw this number. Only a final write waits for that."""
    base = turn.world if world is None else world
    wait = max(0, turn.row.life - looked["seen"])
    planted = turn.row.planted
    is_final = process.version == turn.row.versions
    if wait == 0 or (planted.final_does_not_wait if is_final else planted.data_promised_at_once):
        promise(turn, f"{what}, returns", turn.idle(**looked), base, process.version)
    elif is_final:
        waiting = turn.idle(**looked)._replace(at="waiting", version=process.version, look_age=wait)
        turn.go(f"{what}, waits", waiting, base)
    else:
        due = tuple(sorted({*base.due, (process.version, wait)}))
        turn.go(f"{what}, returns with a bound", turn.idle(**looked), base._replace(due=due))


def promise(turn: Turn, what: str, process: Process, world: World | None = None, version: int | None = None) -> None:
    """The call returns: from now on nobody reads anything older."""
    base = turn.world if world is None else world
    version = turn.process.version if version is None else version
    turn.go(what, process, base._replace(promised=max(base.promised, version)))


def waited(turn: Turn) -> None:
    if turn.process.look_age == 0:
        promise(turn, "has waited, returns", turn.idle())


def touch(turn: Turn) -> None:
    """SQL only, then a publish without token. What it wrote changes no version."""
    process = turn.process
    turn.call("touch", turn.idle(), turn.idle(), process.version)
