"""The index of active documents is over hours: a change moves no entry of any index of its document, so PostgreSQL writes the row alone (HOT)."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    is_postgres = op.get_bind().dialect.name == "postgresql"
    op.drop_index(op.f("ix_documents_last_activity_at"), table_name="documents")
    hour = sa.Computed("last_activity_at / 3600000000", persisted=True if is_postgres else None)
    op.add_column("documents", sa.Column("active_hour", sa.BigInteger(), hour, nullable=True))
    op.create_index(op.f("ix_documents_active_hour"), "documents", ["active_hour"])
    if is_postgres:
        # Room in each page for the next version of its rows.
        op.execute("ALTER TABLE documents SET (fillfactor = 70)")
        op.execute("ALTER TABLE document_devices SET (fillfactor = 70)")
