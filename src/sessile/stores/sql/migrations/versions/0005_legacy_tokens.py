"""Credentials of other session libraries, while people are moved over: hashes only."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "legacy_tokens",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("session_id", sa.String(36), nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("run_id", sa.String(36), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("kept_until", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_legacy_tokens")),
    )
    op.create_index(op.f("ix_legacy_tokens_of_run"), "legacy_tokens", ["run_id", "hash"])
    op.create_index(op.f("ix_legacy_tokens_kept_until"), "legacy_tokens", ["kept_until"])
