"""`sessile recover`: what to do after something was lost. Without --apply it only says what would be done; with it a backup is made, and the act noted, first."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sessile.cli.acting import Apply, BackupFile, Reason, Yes, confirm, note, opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_facts, print_json

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from sessile.cli.backing_up import Backup
    from sessile.model.document import Difference
    from sessile.runtime.blocking import SessionManager

app = typer.Typer(help="Repair what was lost, after a look at what would be done.", no_args_is_help=True)
_RENAMED_AT_ONCE = 2_000
_NOTED_IN = frozenset({"audit_events", "audit_streams", "cache_fence", "instance"})


@app.callback()
def recover() -> None:
    """Repair what was lost, after a look at what would be done."""


@dataclass(frozen=True, slots=True)
class _Given:
    """What every verb is told."""

    apply: bool
    yes: bool
    reason: str
    as_json: bool
    backup: Path | None = None

    def planned(self, manager: SessionManager) -> Backup:
        """Where the backup goes; refused before anything is asked when it cannot be made."""
        from sessile.cli.backing_up import planned

        return planned(manager.settings, self.backup, manager.clock.now())

    def tell(self, facts: dict[str, Any], backup: Backup | None) -> None:
        """What was found, and what was done or would be."""
        file = None if backup is None or backup.file is None else str(backup.file)
        if self.as_json:
            print_json({"done": self.apply, **facts, "backup": file})
            return
        shown = {
            name.replace("_", " "): "; ".join(value) or "none" if isinstance(value, list) else value
            for name, value in facts.items()
            if value is not None
        }
        if backup is not None:
            shown["backup"] = backup.told
        print_facts("Recovery", shown)
        if not self.apply:
            typer.echo("Nothing was done: --apply does it.")


@app.command()
def table(
    apply: Apply = False, yes: Yes = False, reason: Reason = "", backup: BackupFile = None, database: Database = None, as_json: AsJson = False
) -> None:  # fmt: skip
    """Make tables that are missing, empty, and columns that may be empty without harm. Refuses where an empty column would let somebody in, or lose work:
    what was lost does not come back, restore a copy for that. Nothing that the cache holds is believed afterwards."""
    from sessile.cli.cache import begin_epoch
    from sessile.cli.schema_gaps import LOSSES, fill, find_gaps
    from sessile.model.errors import ConfigurationError

    given = _Given(apply, yes, reason, as_json, backup)
    with opened(database, as_json=as_json) as manager:
        gaps, copy = manager.transact(find_gaps), given.planned(manager)
        if gaps.lost:
            raise ConfigurationError(
                f"{', '.join(gaps.lost)}: what was in it decides who gets in, or is somebody's work, so an empty one is not made. "
                "Restore a copy of the database, then: sessile recover system --apply"
            )
        made = [*gaps.tables, *gaps.columns]
        if made and apply:
            confirm(f"This makes {', '.join(made)}, empty.", "tables", yes=yes)
            copy.make()
            is_noted = not _NOTED_IN.intersection(gaps.tables)
            if is_noted:
                note(manager, "system", "recover_table", reason, made=made)
            manager.transact(lambda connection: fill(connection, gaps))
            if not is_noted:  # it could not be before: a table that the note needs was missing
                note(manager, "system", "recover_table", reason, made=made)
            begin_epoch(manager)
    consequences = [f"{name}: {LOSSES[name]}" for name in gaps.tables if name in LOSSES]
    facts: dict[str, Any] = {"missing": made, "consequences": consequences}
    given.tell(facts if made else {**facts, "done": False}, copy if made else None)


@app.command()
def system(
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions/--keep-sessions", help="Whether everybody logs in again. A copy does not know who logged out after it was made.")
    ] = True,
    audit: Annotated[
        Path | None, typer.Option("--audit", metavar="FILE", help="The file of SESSILE_AUDIT_FILE: what it tells of since the copy was made holds again.")
    ] = None,
    apply: Apply = False, yes: Yes = False, reason: Reason = "", backup: BackupFile = None, database: Database = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Begin a new life after an older copy of the database was restored: no cache is believed, every device reads its documents anew, and everybody logs in again.

    Without it a browser that had seen later versions would take the restored ones for what it knows already, a session that the copy does not have would come back
    out of the cache, and one that ended after the copy was made would be live. Nothing in the copy tells which those are, so all end; --keep-sessions ends none of them
    but those that --audit tells of. With --audit users who were shut out since are shut out again; who was erased since is named.
    """
    from sessile.cli.cache import begin_epoch
    from sessile.cli.life import begin
    from sessile.cli.retelling import read_audit, tell_again

    given = _Given(apply, yes, reason, as_json, backup)
    with opened(database, as_json=as_json) as manager:
        copy, documents, sessions = (
            given.planned(manager),
            manager.transact(_count_documents),
            manager.operators.census().sessions,
        )
        told = None if audit is None else read_audit(manager, audit)
        facts: dict[str, Any] = {"documents": documents, "live_sessions": sessions, "sessions_ended": None, "cache_epoch": manager.operators.fence().number}  # fmt: skip
        if told is not None:
            facts |= {"events_since": told.events, "until": told.until, "ended_since": len(told.ended), "shut_out": list(told.shut_out), "erased_since": told.erasures, "erased": list(told.erased)}  # fmt: skip
        if apply:
            ending = f", and ends {sessions} sessions" if end_sessions else ""
            confirm(f"This begins a new epoch of the cache and of {documents} documents{ending}.", "system", yes=yes)
            copy.make()
            note(
                manager,
                "system",
                "recover_system",
                reason,
                documents=documents,
                end_sessions=end_sessions,
                audit=audit is not None,
            )
            _new_epochs(manager)
            facts["cache_epoch"] = begin_epoch(manager).number
            facts["sessions_ended"] = (0 if told is None else tell_again(manager, told)) + (
                _end_all(manager) if end_sessions else 0
            )
            manager.transact(
                begin
            )  # the last thing: until then `sessile db check` goes on saying that this is to be done
    given.tell(facts, copy)


@app.command()
def user(
    user_id: Annotated[str, typer.Argument(metavar="USER", help="The user's id.")],
    apply: Apply = False, yes: Yes = False, reason: Reason = "", backup: BackupFile = None, database: Database = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Bring a user back in who is stuck: see that exactly one platform is the default, then end every session, then print a code with which the person comes
    back in. The code is good once and for ten minutes, for whoever has it: make sure whom you tell it. No session begins before it is used."""
    from sessile.model.errors import InvalidValue, SessionCreationError

    given = _Given(apply, yes, reason, as_json, backup)
    with opened(database, as_json=as_json) as manager:
        known = manager.get_principal(user_id)
        if known is None:
            raise InvalidValue("/user", f"{user_id} never had a session here")
        if known.disabled_at is not None:
            raise SessionCreationError(f"{user_id} is shut out, and no code would let them in: sessile users enable")
        copy, platforms = given.planned(manager), manager.list_platforms(user_id)
        before = [one.platform_id for one in platforms if one.is_default]
        chosen = before[0] if before else next((one.platform_id for one in platforms), None)
        number = len(manager.list_sessions(user_id))
        facts: dict[str, Any] = {"user": user_id, "default_before": ", ".join(before) or None, "default_platform": chosen, "sessions": number, "code": None}  # fmt: skip
        if apply:
            confirm(
                f"This ends {number} sessions of {user_id} and makes a code that lets its holder in.", user_id, yes=yes
            )
            copy.make()
            note(manager, f"user:{user_id}", "recover_user", reason, sessions=number)
            facts |= _bring_back(manager, user_id)
    given.tell(facts, copy)
    if facts["code"] is not None and not as_json:
        typer.echo(f"They type the code at {manager.settings.handoff_path}; it is good once, for ten minutes.")


@app.command()
def document(
    document_id: Annotated[str, typer.Argument(metavar="DOCUMENT", help="The document's id.")],
    to: Annotated[str, typer.Option("--to", metavar="POINT", help="A version, or the id of a checkpoint.")],
    apply: Apply = False, yes: Yes = False, reason: Reason = "", backup: BackupFile = None, database: Database = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Bring a document back to any version that is kept, or to a checkpoint, as a new version. Shows first what that changes; what is there now is kept in a
    checkpoint of its own."""
    from sessile.cli.documents import print_differences
    from sessile.model.document import Actor

    given, actor = _Given(apply, yes, reason, as_json, backup), Actor.system()
    with opened(database, as_json=as_json) as manager:
        now, copy, subject = manager.operators.document(document_id), given.planned(manager), f"document:{document_id}"
        note(manager, subject, "recover_document_preview", reason, to=to)  # it shows somebody's work
        differing = _differing(manager, document_id, to)
        if not as_json:
            print_differences(differing, "now", to, as_json=False)
        facts: dict[str, Any] = {"document_id": document_id, "name": now.name, "paths": [one.path for one in differing], "version": now.version, "kept_in": None}  # fmt: skip
        if apply:
            confirm(f"This restores {now.name} ({len(differing)} paths differ).", document_id[-4:], yes=yes)
            copy.make()
            note(manager, subject, "recover_document", reason, to=to)
            checkpoint_id = to
            if to.isdecimal():
                checkpoint_id = manager.documents.checkpoint(
                    actor, document_id, label=f"version {to}", version=int(to)
                ).checkpoint_id
            restored = manager.documents.restore(actor, document_id, checkpoint_id, expected_version=now.version)
            facts["version"] = restored.document.version
            facts["kept_in"] = None if restored.before is None else restored.before.checkpoint_id
    given.tell(facts, copy)


@app.command()
def cache(
    apply: Apply = False, yes: Yes = False, reason: Reason = "", database: Database = None, as_json: AsJson = False
) -> None:
    """Begin a new epoch of the cache: nothing that it holds now is believed, and every session is read from the database once. Drops nothing else, so there is
    nothing to back up; old entries lapse by themselves within ten minutes."""
    from sessile.cli.cache import begin_epoch, fence_facts, need_redis

    given = _Given(apply, yes, reason, as_json)
    with opened(database, as_json=as_json) as manager:
        need_redis(manager)
        fence = manager.operators.fence()
        if apply:
            confirm("Every session is read from the database once, then from the cache again.", "cache", yes=yes)
            note(manager, "system", "recover_cache", reason, epoch=fence.number)
            fence = begin_epoch(manager)
        believed = (
            "what the database holds, and copies made from it in this epoch"
            if fence.is_open
            else "only the database; the next use opens the fence"
        )
        facts: dict[str, Any] = {"redis": manager.operators.cache_state(), **fence_facts(fence), "believed": believed}
    given.tell(facts, None)


def _bring_back(manager: SessionManager, user_id: str) -> dict[str, Any]:
    """In this order: whoever comes in begins on a platform that is settled, and finds no session of before."""
    default = manager.ensure_default_platform(user_id)
    ended = _end_user(manager, user_id)
    offered = manager.handoffs.offer_to_user(user_id)
    platform = None if default is None else default.platform_id
    return {"default_platform": platform, "sessions": ended, "code": offered.code}


def _end_user(manager: SessionManager, user_id: str) -> int:
    from sessile.model.session import EndReason

    return manager.cleanup_user_sessions(user_id, reason=EndReason.ADMIN)


def _end_all(manager: SessionManager) -> int:
    """Page by page. One that ends by itself meanwhile is as good."""
    from sessile.model.session import EndReason

    ended, after = 0, ""
    while page := manager.operators.sessions(after=after, limit=500):
        ended += sum(manager.destroy_session(one.session_id, reason=EndReason.ADMIN) for one in page)
        after = page[-1].session_id
    return ended


def _differing(manager: SessionManager, document_id: str, to: str) -> list[Difference]:
    from sessile.model.document import Actor

    if to.isdecimal():
        return list(manager.documents.diff(Actor.system(), document_id, "now", int(to)))
    return list(manager.documents.restore(Actor.system(), document_id, to, dry_run=True).differences)


def _count_documents(connection: Connection) -> int:
    from sqlalchemy import func, select

    from sessile.stores.sql.tables import documents

    return connection.execute(select(func.count()).select_from(documents)).scalar_one()


def _new_epochs(manager: SessionManager) -> None:
    """One new name for all logs: it only has to be another than before. In steps, because a database with many documents takes longer than a statement may. Codes that
    were under way go as well: one that was used since the copy was made would be good again."""
    epoch = str(uuid.uuid4())
    while manager.transact(lambda connection: _renamed(connection, epoch)):
        pass


def _renamed(connection: Connection, epoch: str) -> int:
    from sqlalchemy import delete, select, update

    from sessile.stores.sql.tables import documents, handoffs

    connection.execute(delete(handoffs))
    some = select(documents.c.document_id).where(documents.c.epoch != epoch).limit(_RENAMED_AT_ONCE)
    return connection.execute(update(documents).where(documents.c.document_id.in_(some)).values(epoch=epoch)).rowcount
