"""Where a session comes from: the browser's fingerprint (a keyed hash), and the hash of the session at the identity provider, by which that one ends it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("fingerprint", sa.String(64)))
    op.add_column("sessions", sa.Column("provider_session", sa.String(64)))
    live = sa.text("provider_session IS NOT NULL AND ended_at IS NULL")
    op.create_index(
        "ix_sessions_live_of_provider", "sessions", ["provider_session"], postgresql_where=live, sqlite_where=live
    )
