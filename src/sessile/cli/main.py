"""Entry point of `sessile`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sessile import __version__
from sessile.cli.lazy import LazyGroup
from sessile.cli.output import AsJson, print_json

app = typer.Typer(
    name="sessile",
    cls=LazyGroup,
    help="Sessions and live documents that keep people where they were.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they print the values of local variables, tokens included
)


@app.callback()
def sessile(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="A settings file instead of sessile.toml; the environment goes before it."),
    ] = None,
) -> None:
    """Sessions and live documents that keep people where they were."""
    if config is not None:
        os.environ["SESSILE_CONFIG"] = str(config)  # an application that is loaded reads its settings by itself


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        typer.echo(__version__)


def main() -> None:
    """What the console script calls."""
    app(prog_name="sessile")


if __name__ == "__main__":
    main()
