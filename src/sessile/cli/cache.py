"""`sessile cache`: which entries of the cache are believed, and how to have none of them believed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sessile.cli.acting import Reason, Yes, confirm, note, opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_facts, print_json
from sessile.engine.looks import MARGIN_S
from sessile.model.errors import ConfigurationError

if TYPE_CHECKING:
    from sessile.model.fence import Fence
    from sessile.runtime.blocking import SessionManager

app = typer.Typer(help="Look at the cache in front of the database, and empty it.", no_args_is_help=True)


@app.command()
def inspect(
    session_id: Annotated[str | None, typer.Argument(metavar="[HANDLE]", help="Compare its copy with its row.")] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Show whether the cache is used, by which server, and what it has of one session. Status 1 when a copy is not what the row is."""
    with opened(database, as_json=as_json) as manager:
        facts: dict[str, Any] = {"redis": _redis(manager), "fence": fence_facts(manager.operators.fence())}
        if session_id is not None:
            facts["copy"] = manager.operators.cached_copy(session_id)
    if as_json:
        print_json(facts)
    else:
        print_facts("Cache", {"redis": facts["redis"], **_shown(facts["fence"])})
        if session_id is not None:
            typer.echo(f"  copy of {session_id}: {_COPIES[facts['copy']]}")
    if facts.get("copy") == "differs":
        raise typer.Exit(1)


_COPIES = {
    "none": "there is none; the row answers.",
    "same": "it is what the row is.",
    "behind": "activity was seen since it was made; nobody is refused on its word.",
    "busy": "somebody is writing it just now; the row answers.",
    "differs": "it is NOT what the row is. sessile cache flush has nobody believe it; please report it.",
    "unused": "the cache is not used just now; the row answers.",
}


@app.command()
def flush(yes: Yes = False, reason: Reason = "", database: Database = None, as_json: AsJson = False) -> None:
    """Have nobody believe anything that the cache holds now. Returns when that is so; old entries lapse by themselves within ten minutes."""
    with opened(database, as_json=as_json) as manager:
        need_redis(manager)
        confirm("Every session is read from the database once, then from the cache again.", "flush", yes=yes)
        fence = _raise(manager, "cache_flush", reason, 0.0)
    if as_json:
        print_json({"epoch": fence.number})
    else:
        typer.echo(f"Nothing of what the cache held is believed any more (epoch {fence.number}).")


@app.command("fence")
def fence_(
    hold_s: Annotated[
        float | None, typer.Option("--hold", min=1, max=86_400, help="Leave the cache unused for so many seconds.")
    ] = None,
    yes: Yes = False,
    reason: Reason = "",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Show the fence. With --hold nobody uses the cache for a while, to work on Redis; the database answers meanwhile."""
    with opened(database, as_json=as_json) as manager:
        if hold_s is None:
            fence = manager.operators.fence()
        else:
            need_redis(manager)
            confirm(f"The database answers everything for {hold_s:g} seconds.", "hold", yes=yes)
            fence = _raise(manager, "cache_hold", reason, hold_s)
    facts = fence_facts(fence)
    if as_json:
        print_json(facts)
    else:
        print_facts("Fence", _shown(facts))


def _raise(manager: SessionManager, action: str, reason: str, held_s: float) -> Fence:
    note(manager, "system", action, reason, held_s=held_s)
    return begin_epoch(manager, held_s)


def begin_epoch(manager: SessionManager, held_s: float = 0.0) -> Fence:
    """Returns when nobody believes anything any more that the cache held before; at once where there is no cache."""
    fence = manager.operators.raise_fence(held_s=held_s)
    if manager.settings.redis_url is not None:
        time.sleep(manager.settings.fence_period_s * 1.01 + MARGIN_S)  # until then somebody may have looked before
    return fence


def need_redis(manager: SessionManager) -> None:
    if manager.settings.redis_url is None:
        raise ConfigurationError("SESSILE_REDIS_URL is not set, so there is no cache")


def _redis(manager: SessionManager) -> str:
    return manager.operators.cache_state()


def fence_facts(fence: Fence) -> dict[str, Any]:
    return {
        "epoch": fence.number,
        "open": fence.is_open,
        "server": fence.server,
        "held_for_s": round(fence.held_for_s, 3),
    }


def _shown(facts: dict[str, Any]) -> dict[str, object]:
    held = f", held for {facts['held_for_s']:g} s" if facts["held_for_s"] > 0 else ""
    state = "open: entries are believed" if facts["open"] else f"closed: the database answers{held}"
    return {"fence": state, "epoch": facts["epoch"], "server": facts["server"] or "none yet"}
