"""The fence of the cache: one row, closed until a process has found a cache server. A user's sessions in the order of their handles, for pages."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    fence = op.create_table(
        "cache_fence",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("nonce", sa.String(length=32), nullable=False),
        sa.Column("server", sa.String(length=128), nullable=True),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_cache_fence_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cache_fence")),
    )
    op.bulk_insert(fence, [{"id": 1, "number": 0, "nonce": secrets.token_hex(6), "is_open": False}])
    op.drop_index("ix_sessions_live_of_user", "sessions")
    op.create_index(
        "ix_sessions_live_of_user",
        "sessions",
        ["user_id", "session_id"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_sessions_ended_of_user",
        "sessions",
        ["user_id", "ended_at"],
        sqlite_where=sa.text("ended_at IS NOT NULL"),
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
