"""`sessile serve`: the service alone, on one database."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sessile import __version__
from sessile.cli.output import AsJson, print_facts, print_json, told
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings

Host = Annotated[str, typer.Option(envvar="HOST", help="Address to listen on.")]
Port = Annotated[int, typer.Option(envvar="PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
Database = Annotated[str | None, typer.Option("--database", help="Instead of SESSILE_DATABASE_URL.")]


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    database: Database = None,
    access_log: Annotated[bool, typer.Option(help="Write a line for every request.")] = False,
    insecure_lan: Annotated[
        bool, typer.Option("--insecure-lan", help="Allow the session cookie on plain http for other hosts.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Serve the API, the WebSocket and the browser client. Start it again on another port for another process on the same database."""
    from sessile.server.app import OPENAPI_PATH, create_app
    from sessile.server.serving import run

    with told(as_json=as_json):
        settings = settings_with(database_url=database, insecure_lan=insecure_lan or None)
        service = create_app(AsyncSessionManager(settings), standalone=True)

        def started(at_host: str, at_port: int) -> None:
            address = f"http://{f'[{at_host}]' if ':' in at_host else at_host}:{at_port}"
            if as_json:
                print_json({"event": "started", "address": address, "database": settings.database_shown})
                return
            print_facts(
                f"Sessile {__version__}",
                {
                    "address": address,
                    "database": settings.database_shown,
                    "openapi": address + OPENAPI_PATH,
                    "health": f"{address}/healthz",
                },
            )

        run(
            service,
            host=host,
            port=port,
            drain=service.drain,
            trusted_proxies=settings.trusted_proxies,
            access_log=access_log,
            on_started=started,
        )


def settings_with(**given: Any) -> Settings:
    """Settings from the environment, with what a command line gave instead. Raises ConfigurationError."""
    return Settings(**{name: value for name, value in given.items() if value is not None})
