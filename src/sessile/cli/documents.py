"""`sessile documents`: look at people's work, compare what it was, and bring it back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sessile.cli.acting import DryRun, Reason, Yes, confirm, note, opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_facts, print_json, print_table
from sessile.model.document import ABSENT, Actor, Owner
from sessile.model.wire import checkpoint_to_wire, iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessile.model.document import Difference, Document, Restored

app = typer.Typer(help="Look at documents, compare and restore them.", no_args_is_help=True)

DocumentId = Annotated[str, typer.Argument(metavar="DOCUMENT", help="The document's id.")]
_SYSTEM = Actor.system()


@app.command("list")
def list_documents(
    user: Annotated[str | None, typer.Option("--user", help="Documents of this user.")] = None,
    session_id: Annotated[
        str | None, typer.Option("--session", help="Documents that this anonymous session made.")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """List the documents of a user, or of an anonymous session, latest activity first; archived ones too."""
    if (user is None) == (session_id is None):
        raise typer.BadParameter("Name --user or --session, exactly one of them.")
    with opened(database, as_json=as_json) as manager:
        found = [_facts(one) for one in manager.operators.documents(Owner(user_id=user, session_id=session_id))]
    if as_json:
        print_json(found)
    elif not found:
        typer.echo("There is no document.")
    else:
        columns = ["document_id", "name", "version", "status", "last_activity"]
        print_table([name.replace("_", " ") for name in columns], [[one[name] for name in columns] for one in found])


@app.command()
def show(
    document_id: DocumentId,
    state: Annotated[bool, typer.Option("--state", help="Its contents too. They are somebody's private work.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Show one document: whose it is, its version, devices, open conflicts; with --state what is in it."""
    with opened(database, as_json=as_json) as manager:
        document = manager.operators.document(document_id)
        if state:
            note(manager, f"document:{document_id}", "show_state", "")
        conflicts = manager.documents.conflicts(_SYSTEM, document_id)
        devices = manager.documents.devices(_SYSTEM, document_id)
        checkpoints = manager.documents.checkpoints(_SYSTEM, document_id)
    facts: dict[str, Any] = {
        **_facts(document),
        "owner_user_id": document.owner.user_id,
        "owner_session_id": document.owner.session_id,
        "schema": document.schema_name,
        "generation": document.generation,
        "created_at": iso(document.created_at),
        "open_conflicts": [conflict.path for conflict in conflicts],
        "devices": [{"label": one.label, "connected": one.is_connected} for one in devices],
        "checkpoints": len(checkpoints),
        **({"state": dict(document.state)} if state else {}),
    }
    if as_json:
        print_json(facts)
        return
    shown = {
        name.replace("_", " "): value
        for name, value in facts.items()
        if value not in (None, "", []) and name != "state"
    }
    if devices:
        shown["devices"] = ", ".join(
            f"{one.label or 'a device'}{' (connected)' if one.is_connected else ''}" for one in devices
        )
    print_facts("Document", shown)
    if state:
        typer.echo(json.dumps(facts["state"], ensure_ascii=False, indent=2))


@app.command()
def checkpoints(document_id: DocumentId, database: Database = None, as_json: AsJson = False) -> None:
    """List what a document can be restored to, newest first."""
    with opened(database, as_json=as_json) as manager:
        manager.operators.document(document_id)
        found = manager.documents.checkpoints(_SYSTEM, document_id)
    if as_json:
        print_json([checkpoint_to_wire(one) for one in found])
    elif not found:
        typer.echo("There is no checkpoint.")
    else:
        rows = [[one.checkpoint_id, one.version, one.kind, iso(one.created_at), one.label] for one in found]
        print_table(["checkpoint", "version", "kind", "taken", "label"], rows)


@app.command()
def diff(
    document_id: DocumentId,
    before: Annotated[str, typer.Argument(metavar="A", help='A version, the id of a checkpoint, or "now".')],
    after: Annotated[str, typer.Argument(metavar="[B]", help="The same.")] = "now",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Compare a document at two points."""
    with opened(database, as_json=as_json) as manager:
        note(manager, f"document:{manager.operators.document(document_id).document_id}", "diff", "")
        found = manager.documents.diff(_SYSTEM, document_id, _point(before), _point(after))
    print_differences(found, before, after, as_json=as_json)


@app.command()
def restore(
    document_id: DocumentId,
    checkpoint_id: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="The checkpoint's id.")],
    paths: Annotated[
        list[str] | None, typer.Option("--path", help="Only this path, as /answers/3. May be given several times.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Put a document back to a checkpoint, whole or in part, as a new version. What is there now is kept in a checkpoint of its own."""
    with opened(database, as_json=as_json) as manager:
        preview = manager.documents.restore(_SYSTEM, document_id, checkpoint_id, paths=paths, dry_run=True)
        if dry_run:
            print_differences(preview.differences, "now", "restored", as_json=as_json)
            return
        if not as_json:
            print_differences(preview.differences, "now", "restored", as_json=False)
        document = preview.document
        confirm(f"This restores {document.name} ({len(preview.differences)} paths differ).", document_id[-4:], yes=yes)
        note(manager, f"document:{document_id}", "restore", reason, checkpoint_id=checkpoint_id)
        restored = manager.documents.restore(
            _SYSTEM, document_id, checkpoint_id, paths=paths, expected_version=document.version
        )
    _print_restored(restored, as_json=as_json)


def _print_restored(restored: Restored, *, as_json: bool) -> None:
    before = None if restored.before is None else restored.before.checkpoint_id
    if as_json:
        differing = [_difference(one) for one in restored.differences]
        print_json({"version": restored.document.version, "before": before, "differences": differing})
        return
    typer.echo(f"Restored; it is at version {restored.document.version} now.")
    if before is not None:
        typer.echo(f"What was there: sessile documents restore {restored.document.document_id} {before}")


def print_differences(found: Sequence[Difference], before: str, after: str, *, as_json: bool) -> None:
    if as_json:
        print_json([_difference(one) for one in found])
    elif not found:
        typer.echo("Nothing differs.")
    else:
        print_table(
            ["path", before, after], [[one.path or "(all)", _cell(one.current), _cell(one.restored)] for one in found]
        )


def _difference(one: Difference) -> dict[str, Any]:
    """A value that is not there is left out."""
    sides = {"from": one.current, "to": one.restored}
    return {"path": one.path, **{name: value for name, value in sides.items() if value is not ABSENT}}


def _cell(value: Any) -> str:
    shown = "(nothing)" if value is ABSENT else json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _point(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _facts(document: Document) -> dict[str, Any]:
    return {
        "document_id": document.document_id,
        "name": document.name,
        "version": document.version,
        "status": document.status,
        "last_activity": iso(document.last_activity_at),
    }
