"""`sessile demo`: the demonstration application."""

from __future__ import annotations

from typing import Annotated

import typer

from sessile.cli.options import Host, Port
from sessile.cli.output import AsJson, print_json, told


def demo(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    database: Annotated[str, typer.Option(help="Where the demo keeps its data.")] = "sqlite:///sessile-demo.db",
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start the demo: one intake, several devices, and a server that may be killed at any time."""
    from sessile.demo.app import run

    with told(as_json=as_json):
        if as_json:
            print_json({"event": "starting", "address": f"http://{host}:{port}", "database": database})
        run(host, port, database, open_browser=open_browser)
