"""`sessile platforms`: whose accounts are known, and where new sessions begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sessile.cli.acting import Reason, Yes, confirm, note, opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_facts, print_json, print_table
from sessile.model.errors import PlatformRefused

if TYPE_CHECKING:
    from sessile.model.platform import Platform
    from sessile.runtime.blocking import SessionManager

app = typer.Typer(help="Look at platforms, and choose where new sessions begin.", no_args_is_help=True)

User = Annotated[str, typer.Argument(metavar="USER", help="The user's id.")]
_WHY = {
    "missing": "There is no platform of that id. The application tells its accounts with sync_platforms.",
    "other_owner": "It belongs to somebody else.",
    "inactive": "The application said that the user has it no more, or switched it off.",
}


@app.command("list")
def list_platforms(user: User, database: Database = None, as_json: AsJson = False) -> None:
    """List a user's platforms, oldest first, those that are switched off too."""
    with opened(database, as_json=as_json) as manager:
        found = [_facts(platform) for platform in manager.list_platforms(user, with_inactive=True)]
    if as_json:
        print_json(found)
    elif not found:
        typer.echo(f"{user} has no platform.")
    else:
        print_table(list(found[0]), [list(one.values()) for one in found])


@app.command("fix-default")
def fix_default(
    user: User,
    to: Annotated[str | None, typer.Option("--to", help="This one; without it the present one, or the oldest.")] = None,
    yes: Yes = False,
    reason: Reason = "",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """See that exactly one active platform of a user is the default: where new sessions begin. Sessions stay where they are."""
    with opened(database, as_json=as_json) as manager:
        before = _default(manager, user)
        if to is not None:
            manager.check_platform(user, to)
        told = to or "the present default, else the oldest active platform"
        confirm(f"New sessions of {user} begin on {told} from now on; until now: {before or 'none'}.", user, yes=yes)
        note(manager, f"user:{user}", "fix_default_platform", reason, wanted=to)
        chosen = manager.ensure_default_platform(user) if to is None else manager.set_default_platform(user, to)
    after = None if chosen is None else chosen.platform_id
    if as_json:
        print_json({"user_id": user, "before": before, "default": after})
    elif after is None:
        typer.echo(f"{user} has no active platform, so there can be no default.")
    else:
        typer.echo(f"New sessions of {user} begin on {after}{' as before' if after == before else ''}.")


@app.command()
def explain(
    user: User,
    platform_id: Annotated[
        str | None, typer.Argument(metavar="[PLATFORM]", help="May the user be on this one?")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Say why a user is on the platform they are on, or may not be on one."""
    with opened(database, as_json=as_json) as manager:
        known = manager.list_platforms(user, with_inactive=True)
        sessions = {session.session_id: session.platform_id for session in manager.list_sessions(user)}
        refused = _refused(manager, user, platform_id) if platform_id is not None else None
    facts: dict[str, Any] = {
        "user_id": user,
        "active": [platform.platform_id for platform in known if platform.is_active],
        "inactive": [platform.platform_id for platform in known if not platform.is_active],
        "default": next((platform.platform_id for platform in known if platform.is_default), None),
        "sessions": sessions,
    }
    if platform_id is not None:
        facts |= {"platform_id": platform_id, "allowed": refused is None, "reason": refused}
    if as_json:
        print_json(facts)
        return
    shown = {"platforms": ", ".join(facts["active"]) or "none", "switched off": ", ".join(facts["inactive"]) or "none"}
    shown["new sessions begin on"] = facts["default"] or "no platform"
    shown |= {f"session {handle}": on or "on no platform" for handle, on in sessions.items()}
    if platform_id is not None:
        shown[f"on {platform_id}?"] = "allowed" if refused is None else f"refused ({refused}): {_WHY[refused]}"
    print_facts(f"Platforms of {user}", shown)


def _default(manager: SessionManager, user: str) -> str | None:
    return next((one.platform_id for one in manager.list_platforms(user) if one.is_default), None)


def _refused(manager: SessionManager, user: str, platform_id: str) -> str | None:
    try:
        manager.check_platform(user, platform_id)
    except PlatformRefused as refusal:
        return refusal.reason
    return None


def _facts(platform: Platform) -> dict[str, Any]:
    return {
        "platform_id": platform.platform_id,
        "name": platform.name,
        "kind": platform.kind,
        "is_active": platform.is_active,
        "is_default": platform.is_default,
    }
