"""Real servers for tests, from the installed binaries: on free ports, each in a folder of its own; started, killed, stopped, continued."""

from sessile.testing.servers.cluster import RedisClusterSet
from sessile.testing.servers.postgres import PostgresServer, postgres_binaries
from sessile.testing.servers.process import ServerMissing, ServerProcess, free_port
from sessile.testing.servers.redis_server import RedisServer
from sessile.testing.servers.resp import RedisRefused, Reply
from sessile.testing.servers.sentinel import RedisSentinelSet

__all__ = [
    "PostgresServer",
    "RedisClusterSet",
    "RedisRefused",
    "RedisSentinelSet",
    "RedisServer",
    "Reply",
    "ServerMissing",
    "ServerProcess",
    "free_port",
    "postgres_binaries",
]
