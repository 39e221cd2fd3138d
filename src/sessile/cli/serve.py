"""`sessile serve`: the service alone on one database, or with an application on one origin."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from sessile import __version__
from sessile.cli.options import Database, Host, Port, settings_with
from sessile.cli.output import AsJson, print_facts, print_json, told
from sessile.model.errors import ConfigurationError
from sessile.runtime.manager import AsyncSessionManager

if TYPE_CHECKING:
    from sessile.cli.hosted import Site


class LogForm(StrEnum):
    PLAIN = "plain"
    JSON = "json"


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    database: Database = None,
    access_log: Annotated[bool, typer.Option(help="Write a line for every request.")] = False,
    log_format: Annotated[LogForm, typer.Option("--log-format", help="Lines of the log for people, or of JSON.")] = (
        LogForm.PLAIN
    ),
    insecure_lan: Annotated[
        bool, typer.Option("--insecure-lan", help="Allow the session cookie on plain http for other hosts.")
    ] = False,
    console: Annotated[bool, typer.Option("--console", help="Serve the operators' console at /console, too.")] = False,
    wsgi: Annotated[
        str | None, typer.Option("--wsgi", metavar="MODULE:APP", help="Serve this WSGI application (Flask) as well.")
    ] = None,
    asgi: Annotated[
        str | None, typer.Option("--asgi", metavar="MODULE:APP", help="Serve this ASGI application (Django) as well.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=1000, help="Threads for --wsgi.")] = 16,
    as_json: AsJson = False,
) -> None:
    """Serve the API, the WebSocket and the browser client, alone or on one origin with an application. Start it again on another port for another
    process on the same database."""
    from sessile.server.app import OPENAPI_PATH
    from sessile.server.serving import run

    with told(as_json=as_json):
        site = _site(wsgi, asgi, threads, database=database, insecure_lan=insecure_lan, console=console)
        settings = site.settings
        if settings.console:
            from sessile.server.console.access import require_safe_bind

            require_safe_bind(host, settings)

        def started(at_host: str, at_port: int) -> None:
            address = f"http://{f'[{at_host}]' if ':' in at_host else at_host}:{at_port}"
            if as_json:
                print_json({"event": "started", "address": address, "database": settings.database_shown})
                return
            facts = {"address": address, "database": settings.database_shown, "openapi": address + OPENAPI_PATH}
            if wsgi is None and asgi is None:  # else that address is the application's
                facts["health"] = f"{address}/healthz"
            if settings.console:
                facts["console"] = f"{address}/console/"
            print_facts(f"Sessile {__version__}", facts)

        run(
            site.app,
            host=host,
            port=port,
            drain=site.drain,
            trusted_proxies=settings.trusted_proxies,
            access_log=access_log,
            on_started=started,
            log_form=log_format.value,
            on_hangup=site.reload,
        )


def _site(
    wsgi: str | None, asgi: str | None, threads: int, *, database: str | None, insecure_lan: bool, console: bool
) -> Site:
    from sessile.cli.hosted import Site, host_asgi, host_wsgi
    from sessile.server.app import create_app

    if wsgi is not None and asgi is not None:
        raise ConfigurationError("Name one application: --wsgi or --asgi")
    if wsgi is None and asgi is None:
        settings = settings_with(database_url=database, insecure_lan=insecure_lan or None, console=console or None)
        manager = AsyncSessionManager(settings)
        service = create_app(manager, standalone=True)
        return Site(service, service.drain, settings, manager.configuration.reload)
    if database is not None:  # the application reads its settings by itself
        os.environ["SESSILE_DATABASE_URL"] = database
    if insecure_lan:
        os.environ["SESSILE_INSECURE_LAN"] = "1"
    if console:
        os.environ["SESSILE_CONSOLE"] = "1"
    return host_wsgi(wsgi, threads=threads) if wsgi is not None else host_asgi(asgi or "")
