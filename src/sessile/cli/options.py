"""Options that several commands have, and settings from the environment with what a command line gave instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sessile.runtime.settings import Settings

Host = Annotated[str, typer.Option(envvar="HOST", help="Address to listen on.")]
Port = Annotated[int, typer.Option(envvar="PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
Database = Annotated[str | None, typer.Option("--database", help="Instead of SESSILE_DATABASE_URL.")]


def settings_with(**given: Any) -> Settings:
    """Settings from the environment, with what a command line gave instead. Raises ConfigurationError."""
    from sessile.runtime.settings import Settings

    return Settings(**{name: value for name, value in given.items() if value is not None})
