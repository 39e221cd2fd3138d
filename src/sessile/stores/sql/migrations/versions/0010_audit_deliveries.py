"""How far the audit log was delivered to each sink."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "audit_deliveries",
        sa.Column("stream", sa.String(300), nullable=False),
        sa.Column("sink", sa.String(16), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "sink", name=op.f("pk_audit_deliveries")),
    )
