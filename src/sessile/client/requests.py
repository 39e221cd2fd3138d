"""Frames with a request id, and those who wait for their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from sessile.client.errors import NotConnected
from sessile.client.outbox import new_id
from sessile.client.records import Frame
from sessile.model.errors import SessileError


class Requests:
    """`send` is False when there is no connection."""

    def __init__(self, send: Callable[[Frame], bool]) -> None:
        self._send = send
        self._open: dict[str, asyncio.Future[Frame]] = {}

    async def ask(self, frame: Mapping[str, Any]) -> Frame:
        """Sends the frame, under its request id if it has one, and waits. Raises NotConnected, and what `reject` is called with."""
        request_id: str = frame.get("request_id") or new_id()
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._open[request_id] = answer
        try:
            if not self._send({**frame, "request_id": request_id}):
                raise NotConnected
            return await answer
        finally:
            self._open.pop(request_id, None)

    def answered(self, frame: Frame) -> None:
        """A frame that may be somebody's answer."""
        waiting = self._open.get(frame.get("request_id") or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(frame)

    def reject(self, request_id: str | None, error: SessileError) -> bool:
        """False when nobody waits for that request."""
        waiting = self._open.get(request_id or "")
        if waiting is None or waiting.done():
            return False
        waiting.set_exception(error)
        return True

    def reject_all(self, error: SessileError) -> None:
        for request_id in tuple(self._open):
            self.reject(request_id, error)
