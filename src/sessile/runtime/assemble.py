"""From settings to parts: the store that a URL names, the system's clock and randomness, the engines."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sessile.engine.activity import ActivityEngine
from sessile.engine.changes import ChangeEngine
from sessile.engine.checkpoints import CheckpointEngine
from sessile.engine.copies import CopyEngine
from sessile.engine.documents import DocumentEngine
from sessile.engine.history import CompactionRule, HistoryEngine
from sessile.engine.platforms import PlatformEngine
from sessile.engine.principals import PrincipalEngine, SessionLimit
from sessile.engine.sessions import SessionEngine, SessionRules, expiry_policy
from sessile.model.errors import ConfigurationError
from sessile.ports import Clock, Random, Store
from sessile.runtime.kinds import DocumentKind, kinds_of
from sessile.runtime.settings import Settings


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class SystemRandom:
    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


@dataclass(frozen=True, slots=True)
class Engines:
    sessions: SessionEngine
    principals: PrincipalEngine
    platforms: PlatformEngine
    documents: DocumentEngine
    changes: ChangeEngine
    checkpoints: CheckpointEngine
    history: HistoryEngine
    copies: CopyEngine
    activity: ActivityEngine


def make_store(database_url: str, *, blocking: bool) -> Store:
    """The store of that URL for one of the two lanes. Raises ConfigurationError for a scheme that is not supported."""
    scheme = database_url.partition(":")[0].partition("+")[0]
    if database_url == "memory://":
        from sessile.stores.memory import MemoryStore

        return MemoryStore()
    if scheme != "sqlite":
        raise ConfigurationError(
            f"SESSILE_DATABASE_URL: `{scheme}` is not supported by this version; use sqlite:///sessile.db or memory://"
        )
    from sessile.stores.sql import AsyncSqliteStore, BlockingSqliteStore

    return BlockingSqliteStore(database_url) if blocking else AsyncSqliteStore(database_url)


def make_engines(
    settings: Settings, store: Store, clock: Clock, random: Random, registered: Sequence[DocumentKind] = ()
) -> Engines:
    """Raises ConfigurationError for document kinds that cannot be."""
    kinds = kinds_of(registered, settings.documents)
    limit = SessionLimit(settings.sessions_per_user_max, settings.session_limit_action)
    rules = SessionRules(
        expiry=expiry_policy(settings.idle_timeout_s, settings.absolute_timeout_s, settings.rotation_window_s),
        limit=limit,
        anonymous_keys_dropped=settings.anonymous_keys_dropped,
        claim_on_login=settings.claim_on_login,
        end_on_late_use=settings.end_on_late_use,
    )
    return Engines(
        SessionEngine(store, clock, random, rules),
        PrincipalEngine(store, clock, limit),
        PlatformEngine(store, clock),
        DocumentEngine(store, clock, random, kinds),
        ChangeEngine(store, clock, random, settings.policies_of, kinds),
        CheckpointEngine(store, clock, random, kinds),
        HistoryEngine(
            store,
            clock,
            CompactionRule(
                settings.log_versions_kept, timedelta(days=settings.log_retention_d), settings.compaction_batch
            ),
        ),
        CopyEngine(store, clock, random, kinds),
        ActivityEngine(store, clock),
    )
