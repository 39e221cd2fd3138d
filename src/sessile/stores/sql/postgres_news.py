"""News between processes on one PostgreSQL: by NOTIFY, sent inside the transaction that it tells of. A messenger may carry the same text."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from sessile.model.events import KNOWN_KINDS, Event, EventKind
from sessile.stores.sql.postgres_errors import errors

logger = logging.getLogger("sessile.postgres")

CHANNEL: Final = "sessile"
_NOTIFY_BYTES_MAX: Final = 7_900
"""PostgreSQL takes less than 8000 bytes (NOTIFY, "payload")."""
_LISTEN_AGAIN_S: Final = 1.0
_ASK_EVERY_S: Final = 10.0

_Entry = tuple[str, str, int, str, str]
_Payload = tuple[str, list[_Entry]]


def payloads(origin: str, events: Sequence[Event]) -> list[str]:
    """As few notifications as hold the events of a commit."""
    found: list[str] = []
    batch: list[_Entry] = []
    size = room = len(_payload(origin, []))
    for one in events:
        entry = (str(one.kind), one.key, one.version, one.detail, one.epoch)
        size_of_one = len(msgspec.json.encode(entry)) + 1
        if batch and size + size_of_one > _NOTIFY_BYTES_MAX:
            found.append(_payload(origin, batch))
            batch, size = [], room
        batch.append(entry)
        size += size_of_one
    return [*found, _payload(origin, batch)] if batch else found


def _payload(origin: str, entries: Sequence[_Entry]) -> str:
    return msgspec.json.encode((origin, entries)).decode()


def notifying(payload: str) -> str:
    """The statement that sends it, for a server with `standard_conforming_strings`."""
    return f"NOTIFY {CHANNEL}, '{payload.replace(chr(39), chr(39) * 2)}'"


def hints(payload: str | bytes, origin: str) -> list[Event]:
    """News of another process than `origin`. What cannot be read is no news: versions are the truth, and heads are compared again at every ping."""
    try:
        sender, events = msgspec.json.decode(payload, type=_Payload)
    except msgspec.MsgspecError:
        logger.warning("Something on the channel of news is not one of ours", extra={"event_name": "news_foreign"})
        return []
    if sender == origin:
        return []
    return [
        Event(EventKind(kind), key, version, detail, epoch)
        for kind, key, version, detail, epoch in events
        if kind in KNOWN_KINDS
    ]


class Listening:
    """A connection of its own that listens; another one when it is lost, and then `missed` is called."""

    def __init__(
        self, url: str, connect_timeout_s: float, heard: Callable[[str], None], missed: Callable[[], None]
    ) -> None:
        self._missed = missed
        self._url = url
        self._timeout_s = connect_timeout_s
        self._heard = heard
        self._connection: Any = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises what a connection raises."""
        self._connection = await self._connect()
        self._keeping = asyncio.create_task(self._keep(), name="sessile-listen")

    async def stop(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._keeping = None
            self._connection.terminate()

    async def _connect(self) -> Any:
        import asyncpg  # type: ignore[import-untyped]  # it has no types

        connection = await asyncpg.connect(self._url, timeout=self._timeout_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.add_listener(
                    CHANNEL, lambda _connection, _pid, _channel, payload: self._heard(payload)
                )
        except BaseException:  # `stop` may come just now, and nobody else knows of this connection
            connection.terminate()
            raise
        return connection

    async def _keep(self) -> None:
        while True:
            connection, lost = self._connection, asyncio.Event()
            connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
            try:
                while not lost.is_set() and not connection.is_closed():
                    # A half-open connection says nothing by itself, so it is asked now and then. Not with wait_for: Python 3.11's swallows a
                    # cancellation that comes in the moment of the loss, and `stop` would wait for ever.
                    try:
                        async with asyncio.timeout(_ASK_EVERY_S):
                            await lost.wait()
                    except TimeoutError:
                        async with asyncio.timeout(self._timeout_s):
                            await connection.execute("SELECT 1")
            except Exception as error:  # noqa: BLE001 - asyncpg's errors have no common root; whatever it was, a new connection is the answer
                logger.info(
                    "The connection that listens for news is lost: %s",
                    type(error).__name__,
                    extra={"event_name": "news_lost"},
                )
            connection.terminate()
            self._connection = await self._connect_again()
            self._missed()

    async def _connect_again(self) -> Any:
        while True:
            await asyncio.sleep(_LISTEN_AGAIN_S)
            try:
                with errors():
                    return await self._connect()
            except Exception as error:  # noqa: BLE001 - the same
                logger.debug(
                    "Listening for news does not work yet: %s",
                    type(error).__name__,
                    extra={"event_name": "news_unheard"},
                )
