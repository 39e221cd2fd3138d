"""A change moves as few entries of indexes as can be: the index of active documents is over hours, so PostgreSQL writes a document's row alone (HOT), and
idempotency keys have an index of those lines only that have one."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_KEYS = "uq_changes_document_id_idempotency_key"


def upgrade() -> None:
    is_postgres = op.get_bind().dialect.name == "postgresql"
    op.drop_index(op.f("ix_documents_last_activity_at"), table_name="documents")
    hour = sa.Computed("last_activity_at / 3600000000", persisted=True if is_postgres else None)
    op.add_column("documents", sa.Column("active_hour", sa.BigInteger(), hour, nullable=True))
    op.create_index(op.f("ix_documents_active_hour"), "documents", ["active_hour"])
    if is_postgres:
        op.drop_constraint(op.f(_KEYS), "changes")
        # Room in each page for the next version of its rows.
        op.execute("ALTER TABLE documents SET (fillfactor = 70)")
        op.execute("ALTER TABLE document_devices SET (fillfactor = 70)")
    else:
        _without_constraint()
    has_key = sa.text("idempotency_key IS NOT NULL")
    op.create_index(
        op.f(_KEYS),
        "changes",
        ["document_id", "idempotency_key"],
        unique=True,
        sqlite_where=has_key,
        postgresql_where=has_key,
    )


def _without_constraint() -> None:
    """SQLite drops no constraint: the table is made anew."""
    made = op.get_bind().scalar(sa.text("SELECT sql FROM sqlite_schema WHERE name = 'changes'"))
    constraint = f"CONSTRAINT {_KEYS} UNIQUE (document_id, idempotency_key)"
    before, found, after = made.partition(constraint)
    if not found:
        raise RuntimeError(f"the table changes has no {_KEYS}: it was not made by schema 1")
    without = (before.rstrip().rstrip(",") + after).replace("CREATE TABLE changes", "CREATE TABLE changes_new", 1)
    op.execute(sa.text(without))
    op.execute("INSERT INTO changes_new SELECT * FROM changes")
    op.execute("DROP TABLE changes")
    op.execute("ALTER TABLE changes_new RENAME TO changes")
