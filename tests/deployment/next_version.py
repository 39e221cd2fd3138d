"""A next version of the package: this one with another number, one more migration, and more to say on the wire. Made of links, so it costs nothing to make."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sessile
from sessile.stores.sql import migrate

REVISION: Final = "0999"
VERSION: Final = "999.0"
PACKAGE: Final = Path(sessile.__file__).parent
_MIGRATION: Final = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
compatible_from = "{compatible_from}"


def upgrade() -> None:
{body}
"""
ADDS: Final = """
    for table in ("sessions", "documents", "changes", "document_devices", "presence", "audit_events", "principals"):
        op.add_column(table, sa.Column("later", sa.String(10), nullable=True))
    op.add_column("sessions", sa.Column("counted", sa.Integer(), nullable=False, server_default="0"))
    op.create_table("laters", sa.Column("id", sa.String(36), primary_key=True))
    op.create_index("ix_sessions_later", "sessions", ["later"])
"""
"""What is allowed while older programs work: columns that may be empty or have a default, tables, indexes."""
BREAKS: Final = """
    op.drop_column("sessions", "reconnected_at")
"""
_WELCOME: Final = """

_welcome_of_before = welcome


def welcome(*arguments: Any, **named: Any) -> str:
    return _welcome_of_before(*arguments, **named)[:-1] + ',"features":["later"],"later":{"any":1}}'
"""


def newest() -> str:
    """The last migration of this version."""
    return migrate._revisions()[0]


def make_next(folder: Path, *, is_compatible: bool = True) -> Path:
    """Makes it in this folder, which goes on PYTHONPATH before the real one; returns the folder."""
    migrations = Path("stores/sql/migrations/versions")
    body = ADDS if is_compatible else BREAKS
    migration = _MIGRATION.format(
        revision=REVISION, before=newest(), compatible_from=newest() if is_compatible else REVISION, body=body
    )
    _link(
        PACKAGE,
        folder / "sessile",
        {
            Path("__init__.py"): (PACKAGE / "__init__.py").read_text(encoding="utf-8")
            + f'\n__version__ = "{VERSION}"\n',
            migrations / f"{REVISION}_later.py": migration,
            Path("server/realtime/messages.py"): (PACKAGE / "server/realtime/messages.py").read_text(encoding="utf-8")
            + _WELCOME,
        },
    )
    return folder


def scripts_of(folder: Path) -> Path:
    """Where its migrations are, for `sessile.stores.sql.migrate`."""
    return folder / "sessile" / "stores" / "sql" / "migrations"


def _link(source: Path, target: Path, own: dict[Path, str]) -> None:
    """Folders with a file of its own are made, all else is linked."""
    target.mkdir(parents=True)
    here = {path.name: text for path, text in own.items() if len(path.parts) == 1}
    below: dict[str, dict[Path, str]] = {}
    for path, text in own.items():
        if len(path.parts) > 1:
            below.setdefault(path.parts[0], {})[Path(*path.parts[1:])] = text
    for entry in source.iterdir():
        if entry.name in below:
            _link(entry, target / entry.name, below[entry.name])
        elif entry.name not in here and entry.name != "__pycache__":
            (target / entry.name).symlink_to(entry)
    for name, text in here.items():
        (target / name).write_text(text, encoding="utf-8")
