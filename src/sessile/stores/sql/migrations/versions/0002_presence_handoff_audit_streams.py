"""Remembered sessions, presence, hand-off, limits by key; audit chains with a head, a base, and personal fields that are hashed apart."""

import hashlib
import secrets
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("is_remembered", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("sessions", sa.Column("disconnected_at", sa.BigInteger(), nullable=True))
    op.add_column("sessions", sa.Column("reconnected_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_sessions_ended_at",
        "sessions",
        ["ended_at"],
        sqlite_where=sa.text("ended_at IS NOT NULL"),
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.add_column(
        "document_devices", sa.Column("label", sa.String(length=200), server_default=sa.text("''"), nullable=False)
    )
    op.add_column(
        "document_devices", sa.Column("seen_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("document_devices", sa.Column("disconnected_at", sa.BigInteger(), nullable=True))
    op.add_column("document_devices", sa.Column("reconnected_at", sa.BigInteger(), nullable=True))
    _presence()
    _handoffs()
    _rate_limits()
    _audit()


def _presence() -> None:
    op.create_table(
        "presence",
        sa.Column("node_id", sa.String(length=36), nullable=False),
        sa.Column("session_id", sa.String(length=36), nullable=False),
        sa.Column("device_id", sa.String(length=36), nullable=False),
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("tabs", sa.Integer(), nullable=False),
        sa.Column("visible", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("is_following", sa.Boolean(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "session_id", "device_id", "document_id", name=op.f("pk_presence")),
    )
    op.create_index("ix_presence_of_document", "presence", ["document_id"])
    op.create_index("ix_presence_of_session", "presence", ["session_id"])
    op.create_index("ix_presence_lease_until", "presence", ["lease_until"])


def _handoffs() -> None:
    op.create_table(
        "handoffs",
        sa.Column("handoff_id", sa.String(length=36), nullable=False),
        sa.Column("session_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("claim_hash", sa.LargeBinary(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("new_session_id", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("handoff_id", name=op.f("pk_handoffs")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_handoffs_code_hash")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_handoffs_secret_hash")),
    )
    op.create_index("ix_handoffs_expires_at", "handoffs", ["expires_at"])
    op.create_index("ix_handoffs_of_session", "handoffs", ["session_id"])


def _rate_limits() -> None:
    op.create_table(
        "rate_limits",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rate_limits")),
    )
    op.create_index("ix_rate_limits_until", "rate_limits", ["until"])


def _audit() -> None:
    op.drop_index("ix_audit_events_at", table_name="audit_events")
    op.rename_table("audit_events", "audit_events_0001")
    if op.get_context().dialect.name == "postgresql":  # where the key's name is not the table's own
        op.execute("ALTER TABLE audit_events_0001 RENAME CONSTRAINT pk_audit_events TO pk_audit_events_0001")
    op.create_table(
        "audit_events",
        sa.Column("stream", sa.String(length=300), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=True),
        sa.Column("session_id", sa.String(length=36), nullable=True),
        sa.Column("document_id", sa.String(length=36), nullable=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("personal_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "position", name=op.f("pk_audit_events")),
    )
    op.create_index("ix_audit_events_at", "audit_events", ["at"])
    op.create_table(
        "audit_streams",
        sa.Column("stream", sa.String(length=300), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("base_position", sa.BigInteger(), nullable=False),
        sa.Column("base_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_audit_streams")),
    )
    _chain_again()
    op.drop_table("audit_events_0001")


def _chain_again() -> None:
    """The events as they are, in chains of the new form."""
    connection = op.get_bind()
    old = sa.table("audit_events_0001", *(sa.column(name) for name in _KEPT))
    new = sa.table(
        "audit_events", *(sa.column(name) for name in (*_KEPT, "salt", "personal_hash", "previous_hash", "hash"))
    )
    heads = sa.table(
        "audit_streams", *(sa.column(name) for name in ("stream", "position", "hash", "base_position", "base_hash"))
    )
    stream, previous, last = None, b"", 0
    for row in connection.execute(sa.select(old).order_by(old.c.stream, old.c.position)).all():
        values: dict[str, Any] = row._asdict()
        if values["stream"] != stream:
            _end(connection, heads, stream, last, previous)
            stream, previous = values["stream"], b""
        salt = secrets.token_bytes(16)
        personal = hashlib.sha256(salt + _personal(values)).digest()
        chained = hashlib.sha256(previous + _content(values, personal)).digest()
        connection.execute(
            sa.insert(new),
            {**values, "salt": salt, "personal_hash": personal, "previous_hash": previous, "hash": chained},
        )
        previous, last = chained, values["position"]
    _end(connection, heads, stream, last, previous)


_KEPT = ("stream", "position", "type", "at", "user_id", "session_id", "document_id", "data")


def _end(connection: sa.Connection, heads: sa.TableClause, stream: str | None, position: int, last: bytes) -> None:
    if stream is not None:
        values = {"stream": stream, "position": position, "hash": last, "base_position": 0, "base_hash": b""}
        connection.execute(sa.insert(heads), values)


def _personal(row: dict[str, Any]) -> bytes:
    return _canonical({"user_id": row["user_id"], "data": msgspec.json.decode(row["data"])})


def _content(row: dict[str, Any], personal: bytes) -> bytes:
    return _canonical(
        {
            "stream": hashlib.sha256(row["stream"].encode()).hexdigest(),
            "position": row["position"],
            "type": row["type"],
            "at": row["at"],
            "session_id": row["session_id"],
            "document_id": row["document_id"],
            "personal": personal.hex(),
        }
    )


def _canonical(value: Any) -> bytes:
    from sessile.model.canonical import canonical  # RFC 8785, which does not change

    return canonical(value)
