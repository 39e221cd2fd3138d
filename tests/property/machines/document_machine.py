"""Documents of several people at several devices under everything that can be done to them, by two processes of which one is older."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant

from sessile.model.difference import differences
from sessile.model.document import Actor, Change, CheckpointKind, Document, Outcome
from sessile.model.errors import DocumentNotFound, IdentityReused, SequenceGap
from sessile.testing.lab import ADA, EVE, PHONE, Bench
from sessile.testing.store_contract.kinds import FIRST, SECOND, known
from tests.property.history import plain
from tests.property.machines.document_model import Known, Rows, Sent
from tests.property.machines.doing import Doing, doing
from tests.property.machines.pair import Call, Pair, Told
from tests.property.machines.pair import Rows as Database
from tests.property.strategies import STATE, changes

VISITOR_DEVICE = "01900000-0000-7000-8000-0000000000cc"
NOTHING = "01900000-0000-7000-8000-000000000000"
OLD, NEW = 0, 1
DAY_S = 86_400
number = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3])
actor = st.sampled_from([0, 0, 0, 1, 1, 1, 2, 3])
"""Ada at one device, at another, Eve, and somebody who has not logged in."""
process = st.sampled_from([OLD, OLD, OLD, NEW])
name = st.sampled_from(["form", "other", "other", "third"])
"""`form` is a name of the kind that the two processes know in two versions."""


class DocumentMachine(Doing):
    """Documents, devices and checkpoints are picked by number, the newest first."""

    rows: ClassVar[Database]
    steps_done: ClassVar[int] = 0

    @initialize()
    def start(self) -> None:
        self.pair = Pair(self.rows, processes=(known(FIRST), known(SECOND)))
        self.documents: dict[str, Known] = {}
        self.touched: set[str] = set()
        self.come_anonymously()
        self.open(0, "other", OLD)
        self.open(0, "form", OLD)

    def come_anonymously(self) -> None:
        told = self.pair.step(lambda bench: bench.sessions.create(None))
        visitor = Actor(session_id=told.result.session.session_id, device_id=VISITOR_DEVICE)
        self.actors = [ADA, PHONE, EVE, visitor]

    def teardown(self) -> None:
        if hasattr(self, "pair"):
            type(self).steps_done += self.pair.steps
            self.pair.agree()

    def step(self, call: Call, process: int = OLD) -> Told:
        return self.pair.step(call, process)

    def pick(self, n: int) -> Known | None:
        """A document that will be looked at after the step."""
        if not self.documents:
            return None
        document_id = list(self.documents)[-1 - n % len(self.documents)]
        self.touched.add(document_id)
        return self.documents[document_id]

    def taken(self, who: Actor, name: str) -> Known | None:
        theirs = (d for d in self.documents.values() if d.owner == who.owner and not d.is_archived)
        return next((document for document in theirs if document.name == name), None)

    def begins(self, document: Document) -> Known:
        made = Known(document.document_id, document.owner, document.name, {}, document.version, document.generation)
        base = self.pair.read(lambda tx: tx.documents.log_base(document.document_id))
        made.states[base.version] = base.state
        made.version, made.generation, made.base = base.version, base.generation, base.version
        self.documents[document.document_id] = made
        self.touched.add(document.document_id)
        return made

    # -- opening and changing -------------------------------------------------------------------------------------------------------

    @doing(2, a=actor, name=name, process=process)
    def open(self, a: int, name: str, process: int) -> None:
        who, before = self.actors[a], self.taken(self.actors[a], name)
        told = self.step(lambda bench: bench.documents.open(who, name, None if name == "form" else STATE), process)
        if told.error is not None:
            of_other_version = (name, process, told.error.code) == ("form", NEW, "invalid_change")
            assert of_other_version or (self.is_over(who) and told.error.code == "session_expired")
            return
        opened = told.result
        assert opened.created is (before is None)
        document = before or self.begins(opened.document)
        assert opened.document.document_id == document.document_id
        assert opened.last_seq == document.seqs.setdefault(who.device_id or "", 0)
        self.touched.add(document.document_id)

    def is_over(self, who: Actor) -> bool:
        """Whether the session of who has not logged in has expired meanwhile."""
        session = self.pair.read(lambda tx: tx.sessions.get(who.session_id)) if who.session_id is not None else None
        return session is not None and session.expires_at <= self.pair.now

    def may_write(self, who: Actor, document: Known) -> bool:
        return who.may_open(document.owner) and not self.is_over(who)

    def submit(self, who: Actor, document: Known, change: Change, process: int) -> Outcome:
        async def send(bench: Bench) -> Outcome:
            return await bench.send(who, document.document_id, change)

        outcome: Outcome = self.step(send, process).result
        if not who.may_open(document.owner):
            assert isinstance(outcome.error, DocumentNotFound)
        elif not self.is_over(who):
            document.seqs.setdefault(who.device_id or "", 0)
        return outcome

    def next_change(
        self, who: Actor, document: Known, behind: int, operations: Sequence[Any], ahead: int = 1
    ) -> Change:
        return Change(
            device_id=who.device_id,
            seq=document.seqs.get(who.device_id or "", 0) + ahead,
            base_version=max(0, document.version - behind),
            generation=max(0, document.generation - (behind == 4)),
            operations=operations,
        )

    def took(self, who: Actor, document: Known, change: Change, outcome: Outcome) -> None:
        """It got a verdict, or there was a reason why not."""
        if outcome.error is not None:
            assert not outcome.logged
            codes = ("schema_unknown", "schema_upgrade_failed", "document_not_found", "session_expired")
            assert getattr(outcome.error, "code", None) in codes
            return
        (line,) = outcome.logged
        assert (line.device_id, line.seq) == (who.device_id, change.seq)
        document.seqs[who.device_id or ""] = change.seq or 0
        document.sent.append((who.device_id or "", Sent(change, line)))

    @doing(14, a=actor, n=number, behind=st.integers(0, 4), operations=changes, process=process)
    def change(self, a: int, n: int, behind: int, operations: list[Any], process: int) -> None:
        document, who = self.pick(n), self.actors[a]
        if document is not None:
            change = self.next_change(who, document, behind, operations)
            self.took(who, document, change, self.submit(who, document, change, process))

    @doing(2, a=actor, n=number, ahead=st.integers(2, 4), operations=changes)
    def leave_a_gap(self, a: int, n: int, ahead: int, operations: list[Any]) -> None:
        document, who = self.pick(n), self.actors[a]
        if document is not None and self.may_write(who, document):
            expected = document.seqs.get(who.device_id or "", 0) + 1
            outcome = self.submit(who, document, self.next_change(who, document, 0, operations, ahead), OLD)
            assert isinstance(outcome.error, SequenceGap)
            assert outcome.error.expected_seq == expected

    @doing(4, n=number, which=number, other=st.booleans(), process=process)
    def repeat(self, n: int, which: int, other: bool, process: int) -> None:
        """A change comes again, or its number comes with something else."""
        document = self.pick(n)
        if document is None or not document.sent:
            return
        device_id, sent = document.sent[-1 - which % len(document.sent)]
        who = next(who for who in [*self.actors[::-1]] if who.device_id == device_id)
        if not self.may_write(who, document):
            return
        operations = [{"op": "set", "path": "/never", "value": "sent"}] if other else sent.change.operations
        again = Change(
            device_id=device_id, seq=sent.change.seq, base_version=0, generation=0, operations=operations
        )  # fmt: skip
        outcome = self.submit(who, document, again, process)
        if sent.line.version <= document.base:
            assert outcome.logged[0].detail == {"code": "known", "message": "This change was taken long ago."}
        elif other:
            assert isinstance(outcome.error, IdentityReused)
        else:
            assert plain(outcome.logged) == plain([sent.line]), "a repetition got another verdict"

    @doing(3, a=actor, n=number, key=st.one_of(st.none(), number), operations=changes, process=process)
    def change_by_server(self, a: int, n: int, key: int | None, operations: list[Any], process: int) -> None:
        document, who = self.pick(n), self.actors[a]
        if document is None:
            return
        name = None if key is None else f"job {key}"
        told = self.step(lambda bench: bench.changes.change(who, document.document_id, operations, None, name), process)
        known = document.by_key.get(name or "")
        if known is not None and known.version > document.base and who.may_open(document.owner):
            assert told.error is not None or told.result == known, "an idempotency key got another line"
        elif name is not None and told.error is None:
            document.by_key[name] = told.result

    @doing(3, a=actor, n=number, choice=st.sampled_from(["mine", "theirs", "value"]), process=process)
    def resolve(self, a: int, n: int, choice: str, process: int) -> None:
        document, who = self.pick(n), self.actors[a]
        if document is None:
            return
        conflicts = self.pair.read(lambda tx: tx.documents.open_conflicts(document.document_id))
        conflict_id = conflicts[0].conflict_id if conflicts else NOTHING
        operation = {"op": "resolve", "conflict_id": conflict_id, "choice": choice, "value": 5}
        change = self.next_change(who, document, 0, [operation])
        self.took(who, document, change, self.submit(who, document, change, process))

    # -- checkpoints ----------------------------------------------------------------------------------------------------------------

    @doing(3, a=actor, n=number, request=st.one_of(st.none(), number), kind=st.sampled_from(["manual", "step"]))
    def save(self, a: int, n: int, request: int | None, kind: str) -> None:
        document, who = self.pick(n), self.actors[a]
        if document is not None:
            request_id = None if request is None else f"request {request}"
            arguments = ("label", CheckpointKind(kind), 1, request_id)
            self.step(lambda bench: bench.checkpoints.create(who, document.document_id, *arguments))

    @doing(1)
    def save_automatically(self) -> None:
        self.touched |= self.documents.keys()
        self.step(lambda bench: bench.checkpoints.automatic(timedelta(days=1), 5))

    @doing(
        4,
        a=actor,
        n=number,
        which=number,
        process=process,
        dry_run=st.booleans(),
        expects=st.sampled_from([None, None, 0, -1]),
        paths=st.sampled_from([None, None, ["/o"], ["/o/x", "/n"], ["/step"], ["/l/0"], ["no pointer"]]),
    )
    def restore(
        self, a: int, n: int, which: int, process: int, dry_run: bool, expects: int | None, paths: list[str] | None
    ) -> None:
        document, who = self.pick(n), self.actors[a]
        if document is None:
            return
        saved = list(document.checkpoints)
        checkpoint_id = saved[-1 - which % len(saved)] if saved else NOTHING
        version = None if expects is None else document.version + expects
        told = self.step(
            lambda bench: bench.checkpoints.restore(
                who, document.document_id, checkpoint_id, paths, version, dry_run=dry_run
            ),
            process,
        )
        if told.error is None and not dry_run:
            assert expects != -1, "it was not at the version that was expected"
            assert told.result.before is not None
            assert told.result.before.version == document.version
            assert told.result.document.generation == document.generation + 1

    # -- names, copies, history -----------------------------------------------------------------------------------------------------

    @doing(1, a=actor, n=number, name=name)
    def rename(self, a: int, n: int, name: str) -> None:
        document, who = self.pick(n), self.actors[a]
        if document is not None:
            told = self.step(lambda bench: bench.documents.rename(who, document.document_id, name))
            document.name = name if told.error is None else document.name

    @doing(1, a=actor, n=number)
    def archive(self, a: int, n: int) -> None:
        document, who = self.pick(n), self.actors[a]
        if document is not None:
            told = self.step(lambda bench: bench.documents.archive(who, document.document_id))
            document.is_archived = document.is_archived or told.error is None

    @doing(1, a=actor, n=number, name=name, at=st.one_of(st.none(), number), which=st.one_of(st.none(), number))
    def fork(self, a: int, n: int, name: str, at: int | None, which: int | None) -> None:
        document, who = self.pick(n), self.actors[a]
        if document is None:
            return
        saved = list(document.checkpoints)
        checkpoint_id = saved[-1 - which % len(saved)] if saved and which is not None else None
        version = None if at is None else max(0, document.version - at)
        told = self.step(lambda bench: bench.copies.fork(who, document.document_id, name, version, checkpoint_id))
        if told.error is None:
            fork = self.begins(told.result)
            if checkpoint_id is None:
                assert plain(fork.state) == plain(document.states[document.version if version is None else version])

    @doing(1, a=actor, to=actor, n=number, name=name, process=process)
    def export_and_import(self, a: int, to: int, n: int, name: str, process: int) -> None:
        document, who, receiver = self.pick(n), self.actors[a], self.actors[to]
        if document is None:
            return
        told = self.step(lambda bench: bench.copies.export(who, document.document_id))
        if told.error is None:
            copied = self.step(lambda bench: bench.copies.import_(receiver, told.result, name), process)
            if copied.error is None:
                assert plain(copied.result.state) == plain(document.state)
                self.begins(copied.result)

    @doing(2, a=actor, n=number, older=number, newer=number)
    def compare(self, a: int, n: int, older: int, newer: int) -> None:
        document, who = self.pick(n), self.actors[a]
        if document is None:
            return
        one, two = max(0, document.version - older), max(0, document.version - newer)
        told = self.step(lambda bench: bench.history.diff(who, document.document_id, one, two))
        if told.error is None:
            assert plain(told.result) == plain(list(differences(document.states[one], document.states[two])))

    @doing(2, a=actor, n=number, behind=st.integers(0, 3), process=process)
    def catch_up(self, a: int, n: int, behind: int, process: int) -> None:
        document, who = self.pick(n), self.actors[a]
        if document is None:
            return
        epoch = self.pair.read(lambda tx: tx.documents.get(document.document_id)).epoch
        at = max(0, document.version - behind)
        told = self.step(lambda bench: bench.documents.since(who, document.document_id, epoch, at), process)
        if told.error is None and not told.result.snapshot:
            assert [line.version for line in told.result.changes] == list(range(at + 1, document.version + 1))

    @doing(2, days=st.sampled_from([0, 1.5]))
    def compact(self, days: float) -> None:
        self.pair.wait(days * DAY_S)
        self.touched |= self.documents.keys()
        self.step(lambda bench: bench.history.compact(10))

    @doing(1)
    def claim(self) -> None:
        """Who was anonymous logs in as Ada, and somebody else comes. What was archived comes along, too."""
        visitor = self.actors[-1]
        told = self.step(lambda bench: bench.sessions.login(visitor.session_id, "ada"))
        assert told.error is None
        for document in self.documents.values():
            if document.owner == visitor.owner and told.result.session.session_id == visitor.session_id:
                document.owner = ADA.owner
                document.name = self.pair.read(lambda tx, key=document.document_id: tx.documents.get(key)).name
                self.touched.add(document.document_id)
        self.come_anonymously()

    @doing(5, seconds=st.sampled_from([0.001, 30, 400]))
    def time_passes(self, seconds: float) -> None:
        self.pair.wait(seconds)

    # -- after each step ------------------------------------------------------------------------------------------------------------

    @invariant()
    def every_document_is_what_its_log_gives(self) -> None:
        if not hasattr(self, "pair"):
            return
        for document_id in sorted(self.touched):
            self.documents[document_id].follow(self.pair.read(Rows.read, document_id))
        self.touched.clear()

    @invariant()
    def names_are_unique(self) -> None:
        if hasattr(self, "pair"):
            names = [(d.owner, d.name) for d in self.documents.values() if not d.is_archived]
            assert len(names) == len(set(names))
