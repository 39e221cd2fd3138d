"""What an entry of the cache looks like in Redis: its key, its content, and the two scripts that change it by what stands there.

A key is `{namespace}:{epoch}:{session id}`. Its content begins with a letter: `L` and the token of a lease, `M` and the token of a mark, `V` and the value
(empty: there is no such session). Each script touches the one key that it is given, so a cluster can run it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from sessile.model.errors import ConfigurationError
from sessile.model.fence import CachePlace, CacheUnavailable, Miss, Publication
from sessile.stores.redis.wire import Command, ServerFault, unavailable

LEASE_TTL_MS: Final = 3_000
MARK_TTL_MS: Final = 5_000
_LEASE, _MARK, _VALUE = b"L", b"M", b"V"
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Script:
    """Lua that the server knows by its hash, once it has seen it."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._hash = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def by_hash(self, key: str, *arguments: bytes | int) -> Command:
        return ("EVALSHA", self._hash, 1, key, *arguments)

    def in_full(self, key: str, *arguments: bytes | int) -> Command:
        """For a server that answered NOSCRIPT; it knows the script from then on."""
        return ("EVAL", self._source, 1, key, *arguments)


FILL: Final = Script(
    """if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1 end
return 0"""
)
"""Arguments: content with the lease, content with the value, its life in ms."""

PUBLISH: Final = Script(
    """local found = redis.call('GET', KEYS[1])
if not found then return 0 end
if found == ARGV[1] and tonumber(ARGV[3]) > 0 then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1 end
if found ~= ARGV[1] and string.sub(found, 1, 1) == 'M' then return 0 end
redis.call('DEL', KEYS[1])
return 2"""
)
"""Arguments: content with the mark (empty: none), content with the value, its life in ms. The value goes where the own mark stands; another's mark
stays; anything else is removed; nothing is made."""


def checked_namespace(namespace: str) -> str:
    """The beginning of all keys. Raises ConfigurationError: a `{` would send every key of a cluster to one slot."""
    if not _NAMESPACE.fullmatch(namespace):
        raise ConfigurationError(
            "The namespace of the cache has 1 to 64 letters, digits, dots, hyphens and underscores."
        )
    return namespace


def is_no_script(reply: object) -> bool:
    """Whether the server has not seen the script yet."""
    return isinstance(reply, ServerFault) and reply.code == "NOSCRIPT"


def found(reply: object) -> bytes | Miss:
    """What a GET has found. Raises CacheUnavailable."""
    if reply is None:
        return Miss.ABSENT
    if isinstance(reply, bytes):
        # A letter that only a newer release knows is as good as a mark: the truth is in the store.
        return reply[1:] if reply.startswith(_VALUE) else Miss.BUSY
    raise _refused(reply)


def lease(key: str, token: bytes) -> Command:
    return ("SET", key, _LEASE + token, "NX", "PX", LEASE_TTL_MS)


def is_leased(reply: object) -> bool:
    """What `lease` has come to. Raises CacheUnavailable."""
    if reply is None:
        return False
    check_done(reply)
    return True


def mark(key: str, token: bytes) -> Command:
    return ("SET", key, _MARK + token, "PX", MARK_TTL_MS)


def check_done(reply: object) -> None:
    """Raises CacheUnavailable unless the reply is OK."""
    if reply != b"OK":
        raise _refused(reply)


def check_published(reply: object) -> None:
    """Raises CacheUnavailable unless the script ran."""
    if not isinstance(reply, int):
        raise _refused(reply)


def fill(token: bytes, entry: bytes, ttl_s: float) -> tuple[bytes | int, ...]:
    """Arguments of FILL."""
    return _LEASE + token, _VALUE + entry, max(1, _ms(ttl_s))


def publication(told: Publication) -> tuple[bytes | int, ...]:
    """Arguments of PUBLISH."""
    return b"" if told.token is None else _MARK + told.token, _VALUE + told.entry, max(0, _ms(told.ttl_s))


def key_of(namespace: str, place: CachePlace, session_id: str) -> str:
    return f"{namespace}:{place.epoch}:{session_id}"


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _refused(reply: object) -> CacheUnavailable:
    return unavailable(reply) if isinstance(reply, ServerFault) else CacheUnavailable("it does not answer like Redis")
