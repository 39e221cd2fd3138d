"""Entry point of `sessile`."""

from __future__ import annotations

import typer

from sessile import __version__
from sessile.cli import adopting, bench, config, database, demo, importing, serve, sessions
from sessile.cli.output import AsJson, print_json

app = typer.Typer(
    name="sessile",
    help="Sessions and live documents that keep people where they were.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print the values of local variables, tokens included
)
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("import")(importing.import_sessions)
app.command("adopt")(adopting.adopt)
app.add_typer(sessions.app, name="sessions")
app.add_typer(config.app, name="config")
app.add_typer(database.app, name="db")
app.add_typer(bench.app, name="bench")


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        typer.echo(__version__)


def main() -> None:
    """What the console script calls."""
    app()


if __name__ == "__main__":
    main()
