"""What commands print: for people with colour where there is a terminal, or one JSON value with `--json`. Whatever came from outside is
shown with its control characters escaped, so that no device's name moves a cursor or hides a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from sessile.model.shown import escaped, shown

if TYPE_CHECKING:
    from sessile.model.errors import SessileError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]


def print_json(value: Any) -> None:
    sys.stdout.write(escaped(json.dumps(value, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def print_facts(title: str, facts: Mapping[str, object]) -> None:
    """A title and aligned lines of name and value."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print(f"[bold]{title}[/bold]")
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        console.print(f"  {name:<{width}}  {shown(str(value))}", markup=False, soft_wrap=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(shown(str(cell)) for cell in row))
    Console(highlight=False, markup=False).print(table)


def fail(error: SessileError, *, as_json: bool) -> NoReturn:
    """Says what went wrong, ends the command with status 1."""
    if as_json:
        print_json({"error": error.as_dict()})
    else:
        from rich.console import Console

        Console(stderr=True, highlight=False, markup=False).print(f"sessile: {shown(error.message)}", soft_wrap=True)
    raise typer.Exit(1)


@contextmanager
def told(*, as_json: bool) -> Iterator[None]:
    """Turns the errors of Sessile into a message and an exit status."""
    from sessile.model.errors import SessileError

    try:
        yield
    except SessileError as error:
        fail(error, as_json=as_json)
