"""From settings to parts: the store that a URL names, the system's clock and randomness, the engines."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sessile.engine.activity import ActivityEngine
from sessile.engine.audit import AuditEngine
from sessile.engine.backups import BackupEngine
from sessile.engine.binding import BindingEngine
from sessile.engine.changes import ChangeEngine
from sessile.engine.checkpoints import CheckpointEngine
from sessile.engine.copies import CopyEngine
from sessile.engine.documents import DocumentEngine
from sessile.engine.erasing import ErasureEngine
from sessile.engine.exporting import ExportEngine
from sessile.engine.handoff import HandoffEngine
from sessile.engine.history import HistoryEngine
from sessile.engine.keys import KeyRing
from sessile.engine.legacy import LegacyEngine
from sessile.engine.limits import TryLimit
from sessile.engine.logins import Logins
from sessile.engine.maintenance import MaintenanceEngine
from sessile.engine.operator_access import AccessRules, OperatorAccessEngine
from sessile.engine.operators import OperatorEngine
from sessile.engine.oversight import OversightEngine
from sessile.engine.platforms import PlatformEngine
from sessile.engine.presence import PresenceEngine
from sessile.engine.principals import PrincipalEngine
from sessile.engine.reloading import ReloadEngine
from sessile.engine.retention import RetentionEngine
from sessile.engine.sessions import SessionEngine
from sessile.model.binding import BindingRules
from sessile.model.errors import ConfigurationError
from sessile.model.proof import require_cryptography
from sessile.ports import Cache, Clock, Random, SessionReader, Store
from sessile.runtime.kinds import DocumentKind, kinds_of
from sessile.runtime.measuring import MeasuredChanges, MeasuredSessions
from sessile.runtime.rules import Rules
from sessile.runtime.settings import Settings
from sessile.stores.encrypted import ContentCipher, EncryptedStore, parse_keys
from sessile.telemetry.hub import Telemetry


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
    handoffs: HandoffEngine
    audit: AuditEngine
    maintenance: MaintenanceEngine
    retention: RetentionEngine
    keys: KeyRing
    backups: BackupEngine
    presence: PresenceEngine
    legacy: LegacyEngine
    try_limit: TryLimit
    operators: OperatorEngine
    bindings: BindingEngine
    erasure: ErasureEngine
    export: ExportEngine
    operator_access: OperatorAccessEngine
    oversight: OversightEngine
    reloading: ReloadEngine


def make_store(settings: Settings, *, blocking: bool) -> Store:
    """The store of that URL for one of the two lanes, encrypted where there are keys. Raises ConfigurationError for a scheme that is not supported."""
    store = _store(settings, blocking=blocking)
    if not settings.encryption_keys:
        return store
    keys = parse_keys([key.get_secret_value() for key in settings.encryption_keys])
    return EncryptedStore(store, ContentCipher(keys, strict=settings.encryption_strict))


def _store(settings: Settings, *, blocking: bool) -> Store:
    database_url = settings.database_url
    scheme = database_url.partition(":")[0].partition("+")[0]
    if database_url == "memory://":
        from sessile.stores.memory import MemoryStore

        return MemoryStore()
    if scheme in {"postgresql", "postgres"}:
        return _postgres(settings, blocking=blocking)
    if scheme != "sqlite":
        raise ConfigurationError(
            f"SESSILE_DATABASE_URL: `{scheme}` is not supported; use postgresql://user@host/database, sqlite:///sessile.db or memory://"
        )
    from sessile.stores.sql import AsyncSqliteStore, BlockingSqliteStore

    kind = BlockingSqliteStore if blocking else AsyncSqliteStore
    return kind(database_url, pool_size=settings.pool_size, pool_timeout_s=settings.pool_timeout_s)


def _postgres(settings: Settings, *, blocking: bool) -> Store:
    try:
        from sessile.stores.sql.postgres import AsyncPostgresStore, BlockingPostgresStore

        kind = BlockingPostgresStore if blocking else AsyncPostgresStore
        return kind(settings.database_url, pool_size=settings.pool_size, pool_timeout_s=settings.pool_timeout_s)
    except ImportError as error:
        raise ConfigurationError(
            f'PostgreSQL needs more packages ({error.name}): pip install "sessile[postgres]"'
        ) from error


def make_engines(
    settings: Settings,
    store: Store,
    clock: Clock,
    random: Random,
    registered: Sequence[DocumentKind] = (),
    reader: SessionReader | None = None,
    cache: Cache | None = None,
    telemetry: Telemetry | None = None,
) -> Engines:
    """Raises ConfigurationError for document kinds that cannot be, and where a setting needs a package that is not there."""
    kinds = kinds_of(registered, settings.documents)
    held = Rules(settings)
    rules, limit, new_documents = held.session, held.limit, held.new_documents
    keys = KeyRing([key.get_secret_value().encode() for key in settings.secret_keys], store, random)
    tries = TryLimit(store, clock, keys, settings.login_tries_max, timedelta(seconds=settings.login_window_s))
    settings.subscribe(lambda _change: held.follow(settings, tries))
    documents = DocumentEngine(store, clock, random, kinds, new_documents)
    if telemetry is None:
        changes = ChangeEngine(store, clock, random, settings.policies_of, kinds)
        sessions = SessionEngine(store, clock, random, rules, reader)
    else:
        changes = MeasuredChanges(telemetry, store, clock, random, settings.policies_of, kinds)
        sessions = MeasuredSessions(telemetry, store, clock, random, rules, reader)
    return Engines(
        sessions,
        PrincipalEngine(store, clock, limit),
        PlatformEngine(store, clock, held.switches),
        documents,
        changes,
        CheckpointEngine(store, clock, random, kinds, settings.checkpoints_kept),
        HistoryEngine(store, clock, held.compaction),
        CopyEngine(store, clock, random, kinds, new_documents),
        ActivityEngine(store, clock),
        HandoffEngine(store, clock, random, keys, Logins(clock, random, rules)),
        AuditEngine(store),
        MaintenanceEngine(store, clock),
        RetentionEngine(store, clock, held.retention),
        keys,
        BackupEngine(store, changes),
        PresenceEngine(store, clock, timedelta(seconds=settings.presence_lease_s)),
        LegacyEngine(store, clock, random, rules, sessions),
        tries,
        OperatorEngine(store, clock, random, cache),
        _bindings(settings, store, clock, random, keys),
        ErasureEngine(store, clock, keys),
        ExportEngine(store, clock),
        OperatorAccessEngine(store, clock, random, keys, _access(settings)),
        OversightEngine(store, clock),
        ReloadEngine(store, clock, random),
    )


def _bindings(settings: Settings, store: Store, clock: Clock, random: Random, keys: KeyRing) -> BindingEngine:
    if settings.dbsc:
        require_cryptography()
    rules = BindingRules(
        cookie_ttl=timedelta(seconds=settings.dbsc_cookie_ttl_s), grace=timedelta(seconds=settings.dbsc_grace_s)
    )
    return BindingEngine(store, clock, random, keys, rules, end_on_late_use=settings.end_on_late_use)


def _access(settings: Settings) -> AccessRules:
    return AccessRules(
        idle=timedelta(seconds=settings.console_idle_timeout_s),
        absolute=timedelta(seconds=settings.console_absolute_timeout_s),
        tries_max=settings.login_tries_max,
        window=timedelta(seconds=settings.login_window_s),
    )
