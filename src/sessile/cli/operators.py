"""`sessile operators`: who may come into the console. A token is shown once, here and nowhere else."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from sessile.cli.acting import Reason, opened, operator
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_json, print_table
from sessile.model.errors import SessionNotFound
from sessile.model.operator_access import OperatorEnd, Role
from sessile.model.wire import iso

app = typer.Typer(help="Let operators into the console, and out of it.", no_args_is_help=True)

_SPAN: Final = re.compile(r"(\d{1,6})([smh]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}


def _span(text: str) -> float:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise typer.BadParameter("write 15m, 900s or 2h")
    return float(int(match[1]) * _SECONDS[match[2]])


@app.command()
def token(
    name: Annotated[str, typer.Option("--name", help="Who it is for; each act in the console is noted under it.")],
    role: Annotated[Role, typer.Option("--role", help="read_only looks, operator acts, admin may do everything.")] = (
        Role.READ_ONLY
    ),
    lifetime: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long it can be used: 15m, 900s, 2h (at most a day).")
    ] = "15m",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make a token for the console's login page, good once. Whoever has it comes in: give it to nobody else."""
    lifetime_s = _span(lifetime)
    with opened(database, as_json=as_json) as manager:
        issued = manager.operator_access.issue_token(name, role, lifetime_s=lifetime_s, made_by=operator())
    facts = {
        "operator": name,
        "role": str(role),
        "expires_at": iso(issued.credential.expires_at),
        "token": issued.token,
    }
    if as_json:
        print_json(facts)
        return
    typer.echo(issued.token)
    typer.echo(f"For {name} ({role}), once, until {facts['expires_at']}: type it into /console/login.", err=True)


@app.command("list")
def list_operators(database: Database = None, as_json: AsJson = False) -> None:
    """List tokens that can still be used, and who is signed in."""
    with opened(database, as_json=as_json) as manager:
        found = [
            {
                "id": one.credential_id,
                "operator": one.operator,
                "role": str(one.role),
                "kind": str(one.kind),
                "seen_at": iso(one.seen_at),
                "expires_at": iso(one.expires_at),
            }
            for one in manager.operator_access.credentials()
        ]
    if as_json:
        print_json(found)
    elif not found:
        typer.echo("Nobody is signed in, and there is no token.")
    else:
        print_table(list(found[0]), [list(one.values()) for one in found])


@app.command()
def end(
    credential_id: Annotated[str, typer.Argument(metavar="ID", help="As `sessile operators list` shows it.")],
    reason: Reason = "",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Sign an operator out, or take a token back. Their live feed closes within seconds."""
    with opened(database, as_json=as_json) as manager:
        if not manager.operator_access.end(credential_id, OperatorEnd.REVOKED, by=operator(), reason=reason):
            raise SessionNotFound
    if as_json:
        print_json({"ended": credential_id})
    else:
        typer.echo("Ended.")
