"""`sessile config`: the settings as they are in force."""

from __future__ import annotations

from typing import Any

import typer

from sessile.cli.output import AsJson, print_facts, print_json, told
from sessile.runtime.settings import Settings

app = typer.Typer(help="Look at the configuration.", no_args_is_help=True)


@app.callback()
def config() -> None:
    """Look at the configuration."""


@app.command()
def show(as_json: AsJson = False) -> None:
    """Print every setting that is in force. Secrets are replaced by asterisks."""
    with told(as_json=as_json):
        settings = Settings()
    shown: dict[str, Any] = {**settings.model_dump(mode="json"), "database_url": settings.database_shown}
    if as_json:
        print_json(shown)
    else:
        print_facts("Settings", {f"SESSILE_{name.upper()}": value for name, value in shown.items()})
