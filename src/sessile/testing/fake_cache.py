"""A cache server in memory that a test can cut off, empty, or replace by an older one; it carries out what the port asks, step by step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from sessile.model.fence import CachePlace, CacheUnavailable, Miss, Publication
from sessile.model.health import CacheLink

_LEASE = b"L"
_MARK = b"M"
_VALUE = b"V"


class FakeCacheServer:
    """The entries, shared by all its clients. Lifetimes are not counted: what a test wants gone, it removes."""

    def __init__(self, identity: str = "first") -> None:
        self.identity = identity
        self.entries: dict[tuple[str, str], bytes] = {}
        self.lock = threading.Lock()

    def flush(self) -> None:
        """Everything is forgotten."""
        with self.lock:
            self.entries.clear()

    def restart(self, identity: str, entries: dict[tuple[str, str], bytes] | None = None) -> None:
        """Another process with these entries: none, or those of an old copy."""
        with self.lock:
            self.identity = identity
            self.entries = dict(entries or {})


class FakeCache:
    """One process's client; works in both lanes. `before` is called with the name of each call and may raise CacheUnavailable; `after` likewise, when
    the call has been carried out and only its answer is lost. `calls` has the names of those that were asked."""

    def __init__(self, server: FakeCacheServer) -> None:
        self.at = server
        self.is_cut_off = False
        self.before: Callable[[str], None] | None = None
        self.after: Callable[[str], None] | None = None
        self.calls: list[str] = []

    def _ask(self, name: str, place: CachePlace | None = None) -> None:
        self.calls.append(name)
        if self.is_cut_off or (place is not None and place.server != self.at.identity):
            raise CacheUnavailable
        if self.before is not None:
            self.before(name)

    def _answer(self, name: str) -> None:
        if self.after is not None:
            self.after(name)

    async def server(self) -> str:
        self._ask("server")
        return self.at.identity

    async def get(self, place: CachePlace, session_id: str) -> bytes | Miss:
        self._ask("get", place)
        with self.at.lock:
            found = self.at.entries.get((place.epoch, session_id))
        self._answer("get")
        if found is None:
            return Miss.ABSENT
        return found[1:] if found[:1] == _VALUE else Miss.BUSY

    async def lease(self, place: CachePlace, session_id: str, token: bytes) -> bool:
        self._ask("lease", place)
        with self.at.lock:
            is_absent = (place.epoch, session_id) not in self.at.entries
            if is_absent:
                self.at.entries[place.epoch, session_id] = _LEASE + token
        self._answer("lease")
        return is_absent

    async def fill(self, place: CachePlace, session_id: str, token: bytes, entry: bytes, ttl_s: float) -> None:
        try:
            self._ask("fill", place)
        except CacheUnavailable:
            return
        with self.at.lock:
            if self.at.entries.get((place.epoch, session_id)) == _LEASE + token:
                self.at.entries[place.epoch, session_id] = _VALUE + entry

    async def mark(self, place: CachePlace, tokens: Sequence[tuple[str, bytes]]) -> None:
        self._ask("mark", place)
        with self.at.lock:
            for session_id, token in tokens:
                self.at.entries[place.epoch, session_id] = _MARK + token
        self._answer("mark")

    async def publish(self, place: CachePlace, publications: Sequence[Publication]) -> None:
        self._ask("publish", place)
        with self.at.lock:
            for publication in publications:
                self._publish_one((place.epoch, publication.session_id), publication)
        self._answer("publish")

    def _publish_one(self, key: tuple[str, str], publication: Publication) -> None:
        found = self.at.entries.get(key)
        if publication.token is not None and found == _MARK + publication.token:
            self.at.entries[key] = _VALUE + publication.entry
        elif found is not None and found[:1] != _MARK:
            del self.at.entries[key]

    def status(self) -> CacheLink:
        return CacheLink("down" if self.is_cut_off else "up")

    async def close(self) -> None:
        """Nothing to let go of."""
