"""${message}"""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
compatible_from = ${repr(up_revision)}
"""The oldest program, by the newest migration that it knows, which can work on what this makes: for additions alone (docs/how-to/upgrade.md, "Rules for a migration") that
of the release before, else this one."""


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
