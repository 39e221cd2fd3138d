"""Tokens and sessions of the operators of the console: of each secret only its hash."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
compatible_from = "0010"


def upgrade() -> None:
    op.create_table(
        "operator_credentials",
        sa.Column("credential_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("operator", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("idle_expires_at", sa.BigInteger(), nullable=False),
        sa.Column("absolute_expires_at", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.String(200), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("end_reason", sa.String(32)),
        sa.PrimaryKeyConstraint("credential_id", name=op.f("pk_operator_credentials")),
    )
    op.create_index("ix_operator_credentials_absolute_expires_at", "operator_credentials", ["absolute_expires_at"])
