"""The truth: SQLite embedded. SQL is written once, as plain functions on a SQLAlchemy Core connection."""

from sessile.stores.sql.store import AsyncSqliteStore, BlockingSqliteStore

__all__ = ["AsyncSqliteStore", "BlockingSqliteStore"]
