"""The cache of a manager, from its settings: looks, links, and what keeps them going."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from sessile.engine.caching import SessionCache
from sessile.engine.looks import Looks
from sessile.engine.sessions import StoredSessions
from sessile.model.errors import ConfigurationError
from sessile.ports import Cache, NewsTeller, Random, SessionReader, Store
from sessile.runtime.joined_reads import JoinedReads
from sessile.runtime.measuring import FallbackReader
from sessile.runtime.settings import Settings
from sessile.stores.encrypted import EncryptedStore, kept_in
from sessile.telemetry.hub import Telemetry
from sessile.telemetry.store import MeasuredStore

if TYPE_CHECKING:
    from sessile.runtime.news import RedisNews

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine is suspended, where there is such a clock: a look must not seem young after a sleep."""


class SystemStopwatch:
    seconds = partial(time.clock_gettime, _CLOCK)


class LoopPause:
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ThreadPause:
    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - the blocking lane has no loop


def make_reader(store: Store, *, blocking: bool, telemetry: Telemetry | None = None) -> SessionReader:
    """Where sessions are read when there is no cache, or it knows nothing."""
    return opened(store, _kept_sessions(store, telemetry, blocking=blocking))


def _kept_sessions(store: Store, telemetry: Telemetry | None, *, blocking: bool) -> SessionReader:
    kept = kept_in(store)
    if telemetry is not None:
        kept = MeasuredStore(kept, telemetry.metrics)
    return StoredSessions(kept) if blocking else JoinedReads(kept)


def opened(store: Store, reader: SessionReader) -> SessionReader:
    """For a reader that gives sessions as they are kept: what it gives is readable then, where the store is encrypted."""
    return store.opened(reader) if isinstance(store, EncryptedStore) else reader


def make_session_cache(
    cache: Cache,
    store: Store,
    random: Random,
    period_s: float,
    *,
    blocking: bool,
    telemetry: Telemetry | None = None,
) -> SessionCache:
    """A reader through `cache`, and from now on the guard of the store's commits. It has sessions as they are kept: `opened` makes them readable."""
    reader = _kept_sessions(store, telemetry, blocking=blocking)
    if telemetry is not None:
        reader = FallbackReader(reader, telemetry)
    looks = Looks(store, SystemStopwatch(), random, period_s)
    made = SessionCache(looks, cache, reader, ThreadPause() if blocking else LoopPause(), random, keeps_itself=blocking)
    store.guard(made)
    return made


def make_cache(settings: Settings, *, blocking: bool) -> Cache | None:
    """The cache that `redis_url` names; None without one. Raises ConfigurationError."""
    if settings.redis_url is None:
        return None
    try:
        from sessile.stores.redis import AsyncRedisCache, BlockingRedisCache
    except ImportError as error:
        raise ConfigurationError(f'Redis needs more packages ({error.name}): pip install "sessile[redis]"') from error
    kind = BlockingRedisCache if blocking else AsyncRedisCache
    return kind(settings.redis_url.get_secret_value())


def make_news(settings: Settings, store: Store) -> RedisNews | None:
    """What carries the news of a database that several processes share, while Redis is up; None without Redis, and where the store needs none."""
    if settings.redis_url is None or not isinstance(told := kept_in(store), NewsTeller):
        return None
    from sessile.runtime.news import RedisNews

    return RedisNews(settings.redis_url.get_secret_value(), store, told)
