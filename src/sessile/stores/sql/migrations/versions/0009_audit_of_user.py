"""What the audit log says of one user is found without reading all of it: for an export, and for an erasure."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    named = sa.text("user_id IS NOT NULL")
    op.create_index(
        "ix_audit_events_of_user",
        "audit_events",
        ["user_id", "stream", "position"],
        postgresql_where=named,
        sqlite_where=named,
    )
