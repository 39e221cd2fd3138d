"""The device that a session is bound to: its key, and where its cookies have come to."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("binding", sa.LargeBinary()))
