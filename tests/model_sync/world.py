"""Everything there is in the model, and every step it can take.

A step is a name and a number of a device (or -1). `World.steps()` lists what can happen now; `World.take(step)` gives the next world
and leaves this one as it was. What the network and the processes can do to anybody is bounded by budgets.

The server's volatile half (queues, subscriptions, fan-out) is modelled after `sessile.server.realtime`: it subscribes before it reads,
answers after the commit, and tells every subscriber. Frames are made by the real encoders.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sessile.model.canonical import state_hash
from sessile.model.change_format import parse_changes
from sessile.model.document import LoggedChange, Operation, Outcome, Submission
from sessile.model.errors import StoreUnavailable
from sessile.server.realtime import messages
from tests.model_sync.answers import answers_of, premature_ack
from tests.model_sync.backend import Backend
from tests.model_sync.device import Device, Frame

Step = tuple[str, int]
Operations = Sequence[Operation]


class Violation(AssertionError):
    """An invariant does not hold; `args` say which, and after which steps."""


@dataclass(frozen=True)
class Budgets:
    """How often what can still happen. `edits` is per device."""

    edits: tuple[int, ...]
    cut: int = 0
    kill_server: int = 0
    kill_device: int = 0
    lose_news: int = 0
    """News of a commit that is lost, doubled or overtaken on its way to a subscriber."""
    refuse_commit: int = 0
    """The store is away: nothing is written."""
    unknown_commit: int = 0
    """The store is away after the commit: it is written, and nobody is told."""
    restore: int = 0
    roll_back: int = 0
    """The database is replaced by the copy from before the last commit, under a new epoch: what was acknowledged since is lost."""


@dataclass(frozen=True)
class Rules:
    """The server as it should be; each flag turned over is a planted error."""

    acks_before_commit: bool = False
    tells_before_commit: bool = False
    subscribes_before_reading: bool = True
    pings_carry_heads: bool = True


@dataclass(frozen=True)
class Conn:
    """One connection: what is on its way up, what on its way down, and news that the server has not passed on yet."""

    device_id: str
    up: tuple[Frame, ...] = ()
    down: tuple[Frame, ...] = ()
    news: tuple[tuple[LoggedChange, ...], ...] = ()
    is_subscribed: bool = False
    is_live: bool = False
    is_late: bool = False
    position: tuple[str, int] | None = None
    """Where the hello said that the client is."""


@dataclass
class World:
    backend: Backend
    devices: tuple[Device, ...]
    boxes: tuple[Any, ...]
    budgets: Budgets
    rules: Rules = field(default_factory=Rules)
    conns: tuple[Conn | None, ...] = ()
    batch: tuple[tuple[int | None, Submission], ...] = ()
    answers: tuple[tuple[int | None, Frame], ...] = ()
    untold: tuple[tuple[LoggedChange, ...], ...] = ()
    """Each commit's changes, contiguous."""
    made: tuple[str, ...] = ()
    acknowledged: frozenset[str] = frozenset()
    states: Mapping[tuple[str, int], Any] = field(default_factory=dict)
    """The state at every position that was ever committed."""
    trace: tuple[Step, ...] = ()
    frame_changes: int = 1
    """How many changes a device puts into one frame."""
    operations_of: Any = None
    """From (device number, number of the edit, nonce) to operations."""
    news_were_lost: bool = False
    went_back: bool = False
    """By a restore or a roll-back: then changes may leave the page."""
    former: Backend | None = None
    """The database before the last commit."""

    def __post_init__(self) -> None:
        self.conns = self.conns or (None,) * len(self.devices)
        self.states = self.states or {self.backend.head: {}}

    # -- what can happen --------------------------------------------------------------------------------------------

    def steps(self) -> Iterator[Step]:
        """Everything that can happen now, faults last."""
        yield from self.progress()
        for number in range(len(self.devices)):
            yield from self._steps_at(number)
        budgets = self.budgets
        if budgets.kill_server:
            yield "kill_server", -1
        if self.batch and not self.rules.acks_before_commit:
            if budgets.refuse_commit:
                yield "refuse_commit", -1
            if budgets.unknown_commit:
                yield "unknown_commit", -1
        if budgets.restore and self.backend.head[1]:
            yield "restore", -1
        if budgets.roll_back and self.former is not None:
            yield "roll_back", -1

    def _steps_at(self, number: int) -> Iterator[Step]:
        """What the user and the faults can do to one device."""
        conn, budgets = self.conns[number], self.budgets
        if budgets.edits[number]:
            yield "edit", number
        if budgets.kill_device:
            yield "kill_device", number
        if conn is not None and budgets.cut:
            yield "cut", number
        if conn is not None and conn.news and budgets.lose_news:
            yield "lose", number
            yield "double", number
            if len(conn.news) > 1:
                yield "overtake", number

    def progress(self) -> Iterator[Step]:
        """What happens when nobody does anything and nothing fails, except for pings."""
        if self.answers or self.untold:
            yield "tell", -1
        if self.batch:
            yield "commit", -1
        for number, conn in enumerate(self.conns):
            device = self.devices[number]
            if conn is None:
                yield "connect", number
                continue
            if device.wants_restart:
                yield "restart", number
            if device.up:
                yield "write", number
            if device.may_send(self.boxes[device.box_no]):
                yield "send", number
            if conn.up:
                yield "serve", number
            if conn.is_late and not conn.up:
                yield "subscribe_late", number
            if conn.news and conn.is_live:
                yield "pass_on", number
            if conn.down:
                yield "receive", number

    def take(self, step: Step) -> World:
        """The world after a step. Raises Violation when an invariant is broken by it."""
        world = copy.copy(self)
        world.trace = (*self.trace, step)
        name, number = step
        if name in ("commit", "unknown_commit", "restore", "serve"):
            world.backend = self.backend.clone()
            if name != "serve":
                world.former = self.backend
        if number >= 0:
            world.devices = _with(self.devices, number, self.devices[number].clone())
        method = getattr(world, f"_{name}")
        if number >= 0:
            method(number)
        else:
            method()
        world.check()
        return world

    # -- devices ----------------------------------------------------------------------------------------------------

    def _edit(self, number: int) -> None:
        edits = self.budgets.edits
        left = edits[number]
        self.budgets = replace(self.budgets, edits=_with(edits, number, left - 1))
        nonce = f"{number}.{left}"
        device = self.devices[number]
        self._put_box(device, device.edit(self.boxes[device.box_no], nonce, self.operations_of(number, left, nonce)))
        self.made = (*self.made, nonce)

    def _send(self, number: int) -> None:
        device = self.devices[number]
        self._put_box(device, device.send(self.boxes[device.box_no], self.frame_changes))

    def _write(self, number: int) -> None:
        """What the device has queued is on its way."""
        device = self.devices[number]
        self._change_conn(number, up=(*self._conn(number).up, *device.up))
        device.up = ()

    def _receive(self, number: int) -> None:
        conn, device = self._conn(number), self.devices[number]
        self._change_conn(number, down=conn.down[1:])
        box, gone = device.receive(conn.down[0], self.boxes[device.box_no])
        self._put_box(device, box)
        self.acknowledged |= {entry.nonce for entry in gone}

    def _connect(self, number: int) -> None:
        device = self.devices[number]
        hello = device.connect(self.boxes[device.box_no])
        self.conns = _with(self.conns, number, Conn(hello["device_id"], up=(hello,)))

    def _restart(self, number: int) -> None:
        self._drop(number)

    def _put_box(self, device: Device, box: Any) -> None:
        self.boxes = _with(self.boxes, device.box_no, box)

    # -- the server -------------------------------------------------------------------------------------------------

    def _serve(self, number: int) -> None:
        """The server takes one frame of a connection."""
        conn = self._conn(number)
        frame = conn.up[0]
        self._change_conn(number, up=conn.up[1:])
        match frame["type"]:
            case "hello":
                opened = self.backend.open(conn.device_id)
                self._down(number, {"type": "opened", **messages.opened_entry(opened)})
                if self.rules.subscribes_before_reading:
                    self._change_conn(number, is_subscribed=True, position=frame["position"])
                    self._change_conn(number, up=({"type": "load"}, *self._conn(number).up))
                else:
                    self._answer_sync(number, frame["position"])
                    self._change_conn(number, is_late=True)
            case "load":
                self._answer_sync(number, conn.position)
                self._change_conn(number, is_live=True)
            case "request_sync":
                self._answer_sync(number, frame["position"])
            case "change":
                changes = parse_changes(list(frame["changes"]), device_id=conn.device_id)
                self.batch = (*self.batch, (number, self.backend.submission(conn.device_id, changes)))
                if self.rules.acks_before_commit:
                    self._down(number, premature_ack(self.backend, changes))
                if self.rules.tells_before_commit:
                    self._tell_before_commit()

    def _subscribe_late(self, number: int) -> None:
        self._change_conn(number, is_subscribed=True, is_live=True, is_late=False)

    def _answer_sync(self, number: int, position: tuple[str, int] | None) -> None:
        delta = self.backend.since(position)
        if delta.snapshot:
            opened = self.backend.open(self._conn(number).device_id)
            self._down(number, messages.initial_state_body(opened, state_hash(opened.document.state)))
        elif delta.changes:
            self._down(number, self._update(delta.changes))
        else:
            self._down(number, messages.unchanged_body(delta.document))

    def _commit(self) -> None:
        self._commit_batch(is_told=True)

    def _commit_batch(self, *, is_told: bool) -> None:
        batch, self.batch = self.batch, ()
        before = len(self.backend.log)
        outcomes = self.backend.submit([submission for _, submission in batch])
        logged = tuple(self.backend.log[before:])
        self._note_states(logged)
        if is_told:
            self.untold += (logged,) if logged and not self.rules.tells_before_commit else ()
        if is_told and not self.rules.acks_before_commit:
            for (number, submission), outcome in zip(batch, outcomes, strict=True):
                self.answers += tuple((number, frame) for frame in answers_of(submission, outcome))

    def _tell(self) -> None:
        """Answers and news of what was committed leave the server's memory."""
        answers, news = self.answers, self.untold
        self.answers, self.untold = (), ()
        for number, frame in answers:
            if number is not None and self.conns[number] is not None:
                self._down(number, frame)
        for logged in news:
            self._spread(logged)

    def _spread(self, news: tuple[LoggedChange, ...]) -> None:
        for number, conn in enumerate(self.conns):
            if conn is not None and conn.is_subscribed and news:
                self._change_conn(number, news=(*conn.news, news))

    def _pass_on(self, number: int) -> None:
        conn = self._conn(number)
        self._change_conn(number, news=conn.news[1:])
        self._down(number, self._update(conn.news[0]))

    def _ping(self, number: int) -> None:
        heads = {"d": self.backend.head} if self.rules.pings_carry_heads else {}
        self._down(number, {"type": "ping", "heads": heads})

    def _tell_before_commit(self) -> None:
        foreseen = self.backend.clone()
        before = len(foreseen.log)
        foreseen.submit([submission for _, submission in self.batch])
        self._spread(tuple(foreseen.log[before:]))

    # -- faults -----------------------------------------------------------------------------------------------------

    def _cut(self, number: int) -> None:
        self._spend("cut")
        self._drop(number)

    def _kill_device(self, number: int) -> None:
        self._spend("kill_device")
        self._forget_conn(number)
        device = self.devices[number].restarted()
        device.load(self.boxes[device.box_no])
        self.devices = _with(self.devices, number, device)

    def _kill_server(self) -> None:
        self._spend("kill_server")
        self._lose_connections()

    def _lose_connections(self) -> None:
        self.batch, self.answers, self.untold = (), (), ()
        for number, conn in enumerate(self.conns):
            if conn is not None:
                self.devices = _with(self.devices, number, self.devices[number].clone())
                self._drop(number)

    def _lose(self, number: int) -> None:
        self._spend_news(number, self._conn(number).news[1:])

    def _double(self, number: int) -> None:
        news = self._conn(number).news
        self._spend_news(number, (news[0], *news))

    def _overtake(self, number: int) -> None:
        news = self._conn(number).news
        self._spend_news(number, (news[1], news[0], *news[2:]))

    def _refuse_commit(self) -> None:
        self._spend("refuse_commit")
        batch, self.batch = self.batch, ()
        self._answer_unavailable(batch)

    def _unknown_commit(self) -> None:
        self._spend("unknown_commit")
        batch = self.batch
        self._commit_batch(is_told=False)
        self.news_were_lost = True
        self._answer_unavailable(batch)

    def _answer_unavailable(self, batch: Sequence[tuple[int | None, Submission]]) -> None:
        for number, submission in batch:
            away = Outcome(submission.document_id, "", (), StoreUnavailable())
            self.answers += tuple((number, frame) for frame in answers_of(submission, away))

    def _restore(self) -> None:
        """Somebody goes back to the empty beginning."""
        self._spend("restore")
        before = len(self.backend.log)
        self.backend.restore_beginning()
        logged = tuple(self.backend.log[before:])
        self._note_states(logged)
        self.untold += (logged,)
        self.went_back = True

    def _roll_back(self) -> None:
        self._spend("roll_back")
        self._lose_connections()
        assert self.former is not None, "there is a copy"
        known = {nonce_of(change) for change in self.backend.log}
        self.backend, self.former = self.former.with_new_epoch(), None
        lost = known - {nonce_of(change) for change in self.backend.log}
        self.made = tuple(nonce for nonce in self.made if nonce not in lost & self.acknowledged)
        self.acknowledged -= lost
        epoch, version = self.backend.head
        states = {(epoch, at): state for (_, at), state in self.states.items() if at <= version}
        self.states = {**self.states, **states}
        self.went_back = True

    # -- parts ------------------------------------------------------------------------------------------------------

    def _spend(self, what: str) -> None:
        self.budgets = replace(self.budgets, **{what: getattr(self.budgets, what) - 1})

    def _spend_news(self, number: int, news: tuple[tuple[LoggedChange, ...], ...]) -> None:
        self._spend("lose_news")
        self.news_were_lost = True
        self._change_conn(number, news=news)

    def _conn(self, number: int) -> Conn:
        conn = self.conns[number]
        assert conn is not None, "the step needs a connection"
        return conn

    def _change_conn(self, number: int, **values: Any) -> None:
        self.conns = _with(self.conns, number, replace(self._conn(number), **values))

    def _down(self, number: int, frame: Frame) -> None:
        self._change_conn(number, down=(*self._conn(number).down, frame))

    def _drop(self, number: int) -> None:
        self._forget_conn(number)
        self.devices[number].disconnected()

    def _forget_conn(self, number: int) -> None:
        self.conns = _with(self.conns, number, None)
        self.batch = tuple((None if at == number else at, submission) for at, submission in self.batch)
        self.answers = tuple((at, frame) for at, frame in self.answers if at != number)

    def _update(self, changes: Sequence[LoggedChange]) -> Frame:
        epoch = self.backend.head[0]
        generation = changes[-1].generation
        body = messages.state_update_body("d", epoch, generation, changes[0].version - 1, changes)
        return {**body, "document_id": self.backend.document_id}

    def _note_states(self, logged: Sequence[LoggedChange]) -> None:
        self.states = {**self.states, **self.backend.states_after(logged, self.states)}

    # -- what must hold ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises Violation unless everything that must always hold does."""
        log = self.backend.log
        nonces = [nonce for change in log if (nonce := nonce_of(change)) is not None]
        self._must(len(nonces) == len(set(nonces)), "a change is in the log twice")
        self._must(self.acknowledged <= set(nonces), "an acknowledged change is not in the log")
        seqs: dict[str, int] = {}
        for change in log:
            if change.seq is not None and change.device_id is not None:
                self._must(change.seq == seqs.get(change.device_id, 0) + 1, "a device's changes are not in order")
                seqs[change.device_id] = change.seq
        for device in self.devices:
            core = device.core
            if core.position is not None:
                self._must(core.position in self.states, "a device shows a version that was never committed")
                self._must(core.confirmed == self.states[core.position], "a device's state is not that of its version")
                self._must(not core.diverged, "a device calls a state wrong that is right")
                self._must_show_own(device)

    def _must_show_own(self, device: Device) -> None:
        """A change that was made here does not vanish from the page, unless the server refused it or somebody restored."""
        if not self.went_back:
            shown = {item["id"] for item in device.core.state.get("log", ())}
            self._must(device.alive_nonces <= shown, "a change vanished from the device that made it")

    def check_at_rest(self, *, after_pings: bool) -> None:
        """Raises Violation unless everybody is where the server is and everything made is in the log. That another process on the same
        outbox had the ack may be found out at a ping."""
        log = self.backend.log
        nonces = {nonce_of(change) for change in log}
        self._must(set(self.made) <= nonces, "a change that was made never reached the log")
        self._must(all(not box.entries for box in self.boxes), "an outbox is not empty")
        conflicts = self.backend.open_conflict_ids()
        for device in self.devices:
            core = device.core
            self._must(core.position == self.backend.head, "a device stays behind")
            self._must(core.is_current and not core.pending, "a device waits for something")
            self._must(
                {c.conflict_id for c in core.conflicts} == conflicts, "a device's conflicts are not the server's"
            )
            if after_pings:
                self._must(device.alive_nonces <= device.settled, "a change's end was never told")

    def _must(self, holds: bool, what: str) -> None:
        if not holds:
            raise Violation(what, " ".join(name if number < 0 else f"{name}{number}" for name, number in self.trace))


def nonce_of(change: LoggedChange) -> str | None:
    """Every change of a user appends an item whose id is the change's nonce."""
    return next((operation["item"]["id"] for operation in change.operations if operation["op"] == "append"), None)


def _with(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*values[:index], value, *values[index + 1 :])
