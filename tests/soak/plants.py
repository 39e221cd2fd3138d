"""Errors planted into the server process, each a mistake that an implementation could contain. The soak must report every one."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sessile.engine.changes import ChangeEngine
from sessile.model.audit import AuditEvent
from sessile.model.document import Actor, DocumentDevice, LoggedChange, Outcome, Submission, Verdict
from sessile.runtime.documents import AsyncDocuments
from sessile.server.realtime.keeper import Keeper
from sessile.server.realtime.subscription import Phase, Subscription
from sessile.stores.sql import database as sql_database
from sessile.stores.sql.database import SqliteDatabase
from sessile.stores.sql.documents import SqlDocumentRows
from sessile.stores.sql.store import AsyncSqliteStore
from sessile.stores.sql.together import Answer, Call
from sessile.stores.sql.transaction import SqlTransaction

COMMIT_DELAY_S = 0.05
SUBSCRIBE_DELAY_S = 0.3
AUDIT_DELAY_S = 0.02


def ack_before_commit() -> None:
    """The acknowledgement is sent, and the commit follows a little later."""
    original = AsyncDocuments.submit
    later: set[asyncio.Task[Any]] = set()
    order = asyncio.Lock()

    async def commit(documents: AsyncDocuments, submission: Submission) -> None:
        async with order:
            await asyncio.sleep(COMMIT_DELAY_S)
            await original(documents, submission)

    async def submit(documents: AsyncDocuments, submission: Submission) -> Outcome:
        task = asyncio.create_task(commit(documents, submission))
        later.add(task)
        task.add_done_callback(later.discard)
        document = await documents.get(Actor.system(), submission.document_id)
        logged = [
            LoggedChange(
                document_id=submission.document_id,
                version=document.version + number,
                generation=document.generation,
                base_version=change.base_version,
                operations=change.operations,
                verdict=Verdict.APPLIED,
                device_id=change.device_id,
                seq=change.seq,
                created_at=datetime.now(UTC),
            )
            for number, change in enumerate(submission.changes, start=1)
        ]
        return Outcome(submission.document_id, document.epoch, logged)

    _plant(AsyncDocuments, "submit", submit)


def no_unique_key() -> None:
    """(device, seq) is not unique in the table, and nothing looks for a repetition."""
    opened, take = SqliteDatabase.open, ChangeEngine._take

    def open_loosely(database: SqliteDatabase) -> None:
        opened(database)
        _loosen(str(database.path))

    def take_anything(engine: ChangeEngine, tx: Any, work: Any, change: Any, actor: Actor) -> LoggedChange:
        device = engine._device(tx, work, change, actor, engine._clock.now())
        if device is not None and change.seq is not None and change.seq <= device.last_seq:
            work.devices[device.device_id] = replace(device, last_seq=change.seq - 1)
        return take(engine, tx, work, change, actor)

    _plant(SqliteDatabase, "open", open_loosely)
    _plant(ChangeEngine, "_take", take_anything)


def _loosen(path: str) -> None:
    """The table of changes, made anew without its second key."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        statement: str = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'changes'").fetchone()[0]
        loose, found = re.subn(
            r",\s*(CONSTRAINT \S+ )?UNIQUE \(document_id, device_id, seq\)", "", statement, flags=re.IGNORECASE
        )
        if found:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ALTER TABLE changes RENAME TO changes_before")
            connection.execute(loose)
            connection.execute("INSERT INTO changes SELECT * FROM changes_before")
            connection.execute("DROP TABLE changes_before")
            connection.execute("COMMIT")
        elif "UNIQUE (document_id, device_id, seq)" in statement:
            raise AssertionError("the key was not found in the table's definition")
    finally:
        connection.close()


def no_gap_check() -> None:
    """A device's numbers may have gaps."""
    take = ChangeEngine._take

    def take_anything(engine: ChangeEngine, tx: Any, work: Any, change: Any, actor: Actor) -> LoggedChange:
        device = engine._device(tx, work, change, actor, engine._clock.now())
        if device is not None and change.seq is not None and change.seq > device.last_seq:
            work.devices[device.device_id] = replace(device, last_seq=change.seq - 1)
        return take(engine, tx, work, change, actor)

    _plant(ChangeEngine, "_take", take_anything)


def late_subscribe() -> None:
    """What is committed between a reader's read and its subscription is missed, and no ping tells it."""
    offer = Subscription.offer

    def offer_when_live(subscription: Subscription, update: Any) -> None:
        if subscription.phase is not Phase.LOADING:
            offer(subscription, update)

    async def go_live(subscription: Subscription) -> None:
        await asyncio.sleep(SUBSCRIBE_DELAY_S)
        subscription._missed = False
        subscription.phase = Phase.LIVE
        subscription.channel.reached(subscription.epoch, subscription.cursor, subscription._generation)

    _plant(Subscription, "offer", offer_when_live)
    _plant(Subscription, "_go_live", go_live)
    _plant(Keeper, "_heads", lambda _keeper: {})
    _plant(Keeper, "_look_at_heads", lambda _keeper, _now: None)


def audit_outside() -> None:
    """Audit events are written in a transaction of their own, a little after what they tell of."""
    write, lock = AsyncSqliteStore._write_alone, threading.Lock()
    later: list[Sequence[AuditEvent]] = []

    def write_rows(store: AsyncSqliteStore, call: Call) -> Answer:
        with lock:
            later.clear()
            outcome = write(store, call)
            events = [event for batch in later for event in batch]
        if events:
            time.sleep(AUDIT_DELAY_S)
            store.database.write(lambda connection: audit(SqlTransaction(connection, "", datetime.now(UTC)), events))
        return outcome

    audit = SqlTransaction.audit

    def keep(_tx: SqlTransaction, events: Sequence[AuditEvent]) -> None:
        later.append(events)

    _plant(AsyncSqliteStore, "_write_alone", write_rows)
    _plant(SqlTransaction, "audit", keep)


def dangling_device() -> None:
    """Foreign keys are off, and with each device another one is written of a document that is not there."""
    put = SqlDocumentRows.put_devices

    def put_devices(rows: SqlDocumentRows, devices: Sequence[DocumentDevice]) -> None:
        put(rows, devices)
        put(rows, [replace(device, document_id=f"{device.document_id[:-4]}0000") for device in devices])

    prepare = sql_database._prepare

    def prepare_loosely(connection: Any, record: Any) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA foreign_keys=OFF")

    setattr(sql_database, "_prepare", prepare_loosely)  # noqa: B010 - a patch, and meant as one
    _plant(SqlDocumentRows, "put_devices", put_devices)


PLANTS: Mapping[str, Callable[[], None]] = {
    plant.__name__: plant
    for plant in (ack_before_commit, no_unique_key, no_gap_check, late_subscribe, audit_outside, dangling_device)
}


def _plant(owner: type, name: str, value: Any) -> None:
    if not hasattr(owner, name):
        raise AttributeError(f"{owner.__name__}.{name} is not there any more: plant it where it is now")
    setattr(owner, name, value)
