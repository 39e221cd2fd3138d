"""Redis or Valkey: entries of sessions that may be lost at any time, and news between processes. Nothing here is the truth."""

from sessile.stores.redis.cache import AsyncRedisCache, BlockingRedisCache

__all__ = ["AsyncRedisCache", "BlockingRedisCache"]
