"""The tables. A migration in `migrations/versions` makes the same ones; a test compares the two.

Ending a session is an update, never a delete. `session_id` outside `sessions` is a plain column: history outlives what it names.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Computed,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    false,
    text,
)

from sessile.stores.sql.types import Json, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_ID = String(36)


def _where(condition: ColumnElement[Any] | TextClause) -> dict[str, Any]:
    """An index over part of the rows, on every dialect."""
    return {"sqlite_where": condition, "postgresql_where": condition}


platforms = Table(
    "platforms",
    metadata,
    Column("platform_id", String(64), primary_key=True),
    Column("user_id", String(255), nullable=False),
    Column("name", String(200), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)
Index("ix_platforms_of_user", platforms.c.user_id)
Index("uq_platforms_default_of_user", platforms.c.user_id, unique=True, **_where(text("is_default")))

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", _ID, primary_key=True),
    Column("user_id", String(255)),
    Column("platform_id", String(64), ForeignKey("platforms.platform_id", ondelete="RESTRICT")),
    Column("device_id", _ID),
    Column("device", Json, nullable=False),
    Column("public", Json, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("authenticated_at", UtcDateTime),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("idle_expires_at", UtcDateTime, nullable=False),
    Column("absolute_expires_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("end_reason", String(32)),
    Column("token_hash", LargeBinary, nullable=False),
    Column("token_seen_at", UtcDateTime),
    Column("retired_tokens", Json, nullable=False),
    Column("is_remembered", Boolean, nullable=False, server_default=false()),
    Column("disconnected_at", UtcDateTime),
    Column("reconnected_at", UtcDateTime),
    Column("fingerprint", String(64)),
    Column("provider_session", String(64)),
    Column("binding", LargeBinary),
)
Index(
    "ix_sessions_live_of_provider",
    sessions.c.provider_session,
    **_where(text("provider_session IS NOT NULL AND ended_at IS NULL")),
)
Index("ix_sessions_live_of_user", sessions.c.user_id, sessions.c.session_id, **_where(sessions.c.ended_at.is_(None)))
Index("ix_sessions_ended_of_user", sessions.c.user_id, sessions.c.ended_at, **_where(sessions.c.ended_at.is_not(None)))
Index("ix_sessions_idle_deadline", sessions.c.idle_expires_at, **_where(sessions.c.ended_at.is_(None)))
Index("ix_sessions_ended_at", sessions.c.ended_at, **_where(sessions.c.ended_at.is_not(None)))

principals = Table(
    "principals",
    metadata,
    Column("user_id", String(255), primary_key=True),
    Column("public", Json, nullable=False),
    Column("roles", Json, nullable=False),
    Column("disabled_at", UtcDateTime),
    Column("sessions_max", Integer),
)

documents = Table(
    "documents",
    metadata,
    Column("document_id", _ID, primary_key=True),
    Column("owner_user_id", String(255)),
    Column("owner_session_id", _ID, ForeignKey("sessions.session_id", ondelete="RESTRICT")),
    Column("name", String(200), nullable=False),
    Column("schema_name", String(200), nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("state", Json, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("state_version", BigInteger, nullable=False),
    Column("checkpoint_version", BigInteger, nullable=False),
    Column("epoch", String(36), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("last_activity_at", UtcDateTime, nullable=False),
    Column("active_hour", BigInteger, Computed("last_activity_at / 3600000000")),
    CheckConstraint("(owner_user_id IS NULL) <> (owner_session_id IS NULL)", name="one_owner"),
    CheckConstraint("state_version <= version", name="state_not_ahead"),
)
Index(
    "uq_documents_name_of_user",
    documents.c.owner_user_id,
    documents.c.name,
    unique=True,
    **_where(text("owner_user_id IS NOT NULL AND status = 'active'")),
)
Index(
    "uq_documents_name_of_session",
    documents.c.owner_session_id,
    documents.c.name,
    unique=True,
    **_where(text("owner_session_id IS NOT NULL AND status = 'active'")),
)
Index("ix_documents_active_hour", documents.c.active_hour)


def _of_document() -> Column[str]:
    return Column("document_id", _ID, ForeignKey("documents.document_id", ondelete="CASCADE"), nullable=False)


changes = Table(
    "changes",
    metadata,
    Column("document_id", _ID, ForeignKey("documents.document_id", ondelete="CASCADE"), primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("generation", BigInteger, nullable=False),
    Column("base_version", BigInteger, nullable=False),
    Column("operations", Json, nullable=False),
    Column("operations_hash", LargeBinary, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("detail", Json),
    Column("device_id", _ID),
    Column("device_no", Integer, nullable=False),
    Column("seq", BigInteger),
    Column("idempotency_key", String(255)),
    Column("before", Json, nullable=False),
    Column("conflicts", Json, nullable=False),
    Column("resolved", Json, nullable=False),
    Column("state_hash", String(16)),
    Column("session_id", _ID),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("document_id", "device_id", "seq"),
    sqlite_with_rowid=False,
)
Index(
    "uq_changes_document_id_idempotency_key",
    changes.c.document_id,
    changes.c.idempotency_key,
    unique=True,
    **_where(text("idempotency_key IS NOT NULL")),
)

conflicts = Table(
    "conflicts",
    metadata,
    Column("conflict_id", _ID, primary_key=True),
    _of_document(),
    Column("path", Text, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("base", Json),
    Column("winner", Json),
    Column("loser", Json),
    Column("winner_device_no", Integer, nullable=False),
    Column("loser_device_no", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("status", String(16), nullable=False),
)
Index(
    "uq_conflicts_open_path",
    conflicts.c.document_id,
    conflicts.c.path,
    unique=True,
    **_where(text("status = 'open'")),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("checkpoint_id", _ID, primary_key=True),
    _of_document(),
    Column("version", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("label", String(200), nullable=False),
    Column("step", Integer),
    Column("device_no", Integer),
    Column("request_id", String(255)),
    Column("schema_version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("state", Json, nullable=False),
    UniqueConstraint("document_id", "request_id"),
)
Index("ix_checkpoints_of_document", checkpoints.c.document_id, checkpoints.c.created_at)

log_bases = Table(
    "log_bases",
    metadata,
    Column("document_id", _ID, ForeignKey("documents.document_id", ondelete="CASCADE"), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("state", Json, nullable=False),
)

document_devices = Table(
    "document_devices",
    metadata,
    Column("document_id", _ID, ForeignKey("documents.document_id", ondelete="CASCADE"), primary_key=True),
    Column("device_id", _ID, primary_key=True),
    Column("device_no", Integer, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("is_primary", Boolean, nullable=False),
    Column("session_id", _ID),
    Column("last_active_at", UtcDateTime, nullable=False),
    Column("label", String(200), nullable=False, server_default=text("''")),
    Column("seen_version", BigInteger, nullable=False, server_default=text("0")),
    Column("disconnected_at", UtcDateTime),
    Column("reconnected_at", UtcDateTime),
    UniqueConstraint("document_id", "device_no"),
)

presence = Table(
    "presence",
    metadata,
    Column("node_id", String(36), primary_key=True),
    Column("session_id", _ID, primary_key=True),
    Column("device_id", _ID, primary_key=True),
    Column("document_id", String(36), primary_key=True),
    Column("label", String(200), nullable=False),
    Column("tabs", Integer, nullable=False),
    Column("visible", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("is_following", Boolean, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime, nullable=False),
)
Index("ix_presence_of_document", presence.c.document_id)
Index("ix_presence_of_session", presence.c.session_id)
Index("ix_presence_lease_until", presence.c.lease_until)

handoffs = Table(
    "handoffs",
    metadata,
    Column("handoff_id", _ID, primary_key=True),
    Column("session_id", _ID, nullable=False),
    Column("user_id", String(255), nullable=False),
    Column("code_hash", LargeBinary, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("claim_hash", LargeBinary),
    Column("path", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("device", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("new_session_id", _ID),
    UniqueConstraint("code_hash"),
    UniqueConstraint("secret_hash"),
)
Index("ix_handoffs_expires_at", handoffs.c.expires_at)
Index("ix_handoffs_of_session", handoffs.c.session_id)

legacy_tokens = Table(
    "legacy_tokens",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("session_id", _ID, nullable=False),
    Column("source", String(32), nullable=False),
    Column("run_id", _ID),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("kept_until", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
)
Index("ix_legacy_tokens_of_run", legacy_tokens.c.run_id, legacy_tokens.c.hash)
Index("ix_legacy_tokens_kept_until", legacy_tokens.c.kept_until)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("key", String(128), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("until", UtcDateTime, nullable=False),
)
Index("ix_rate_limits_until", rate_limits.c.until)

audit_streams = Table(
    "audit_streams",
    metadata,
    Column("stream", String(300), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("base_position", BigInteger, nullable=False),
    Column("base_hash", LargeBinary, nullable=False),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("stream", String(300), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("type", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("user_id", String(255)),
    Column("session_id", _ID),
    Column("document_id", _ID),
    Column("data", Json, nullable=False),
    Column("salt", LargeBinary),
    Column("personal_hash", LargeBinary, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
Index("ix_audit_events_at", audit_events.c.at)
Index(
    "ix_audit_events_of_user",
    audit_events.c.user_id,
    audit_events.c.stream,
    audit_events.c.position,
    **_where(text("user_id IS NOT NULL")),
)

audit_deliveries = Table(
    "audit_deliveries",
    metadata,
    Column("stream", String(300), primary_key=True),
    Column("sink", String(16), primary_key=True),
    Column("position", BigInteger, nullable=False),
)

operator_credentials = Table(
    "operator_credentials",
    metadata,
    Column("credential_id", _ID, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("operator", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("idle_expires_at", UtcDateTime, nullable=False),
    Column("absolute_expires_at", UtcDateTime, nullable=False),
    Column("made_by", String(200), nullable=False),
    Column("ended_at", UtcDateTime),
    Column("end_reason", String(32)),
)
Index("ix_operator_credentials_absolute_expires_at", operator_credentials.c.absolute_expires_at)

bus_events = Table(
    "bus_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(32), nullable=False),
    Column("key", _ID, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("detail", String(64), nullable=False),
    Column("epoch", String(36), nullable=False),
    Column("origin", String(36), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("until", UtcDateTime, nullable=False),
)

instance = Table(
    "instance", metadata, Column("key", String(64), primary_key=True), Column("value", Text, nullable=False)
)

cache_fence = Table(
    "cache_fence",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("nonce", String(32), nullable=False),
    Column("server", String(128)),
    Column("is_open", Boolean, nullable=False),
    Column("raised_at", UtcDateTime),
    Column("held_until", UtcDateTime),
    CheckConstraint("id = 1", name="one_row"),
)
"""Which entries of the cache may be believed: see `sessile.model.fence`."""
