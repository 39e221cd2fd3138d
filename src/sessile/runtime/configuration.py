"""Reading the settings again while the process runs, in both lanes."""

from __future__ import annotations

import logging
import os
import socket
from typing import Final

from sessile.engine.reloading import ReloadEngine
from sessile.model.errors import ConfigurationError, StoreUnavailable
from sessile.runtime.lane import drive
from sessile.runtime.live_settings import SettingsChange
from sessile.runtime.settings import Settings

logger = logging.getLogger("sessile.settings")

FOLLOW_INTERVAL_S: Final = 5.0
"""How late a process hears that somebody has asked all of them."""


class AsyncConfiguration:
    """`settings.reload()` with an audit event, and a call to all processes on this database."""

    def __init__(self, settings: Settings, engine: ReloadEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._seen: str | None = None
        self._has_looked = False

    async def reload(self, *, quietly: bool = False) -> SettingsChange:
        """Reads environment and file again: `Settings.reload`. Raises ConfigurationError with the reason, and then everything is as before. Both are audited in
        `system` (`settings_reloaded`, `settings_refused`); a store that is away keeps that from being written, and nothing else. `quietly`: no word where nothing
        is said otherwise than before."""
        try:
            change = self._settings.reload()
        except ConfigurationError as error:
            reason = error.message
            logger.error("The settings stay as they are: %s", reason, extra={"event_name": "settings_refused"})  # noqa: TRY400 - the reason is in the message
            await self._noted(None, error.message)
            raise
        if quietly and not change.changed and not change.waiting:
            return change
        logger.info(
            "Settings were read again; changed: %s; after a restart: %s",
            ", ".join(change.changed) or "nothing",
            ", ".join(change.waiting) or "nothing",
            extra={"event_name": "settings_reloaded"},
        )
        await self._noted(change, "")
        return change

    async def ask_all(self) -> str:
        """Every process on this database reads its own environment and file again, within `FOLLOW_INTERVAL_S` if it runs background work; the name of this
        call. What came of it is in the audit log. Raises StoreUnavailable."""
        return await self._engine.ask()

    async def follow(self) -> None:
        """For background work: reloads when somebody has asked since the last look. Whether that was before or after this process has read its settings
        is not known at the first look, so it reads them then, too. Raises StoreUnavailable."""
        asked = await self._engine.asked()
        is_first, is_new = not self._has_looked, asked != self._seen
        self._seen, self._has_looked = asked, True
        if is_new:
            try:
                await self.reload(quietly=is_first)
            except ConfigurationError:
                return  # logged and audited; the process goes on as it was

    async def _noted(self, change: SettingsChange | None, reason: str) -> None:
        process = f"{socket.gethostname()}:{os.getpid()}"
        try:
            if change is None:
                await self._engine.note_refused(process, reason)
            else:
                await self._engine.note_reloaded(process, change.changed, change.waiting)
        except StoreUnavailable:
            logger.warning(
                "The store is away: that the settings were read again is in no audit log",
                extra={"event_name": "settings_unwritten"},
            )


class Configuration:
    """The blocking twin of `AsyncConfiguration`."""

    def __init__(self, settings: Settings, engine: ReloadEngine) -> None:
        self._twin = AsyncConfiguration(settings, engine)

    def reload(self, *, quietly: bool = False) -> SettingsChange:
        """Reads environment and file again: `Settings.reload`. Raises ConfigurationError with the reason, and then everything is as before."""
        return drive(self._twin.reload(quietly=quietly))

    def ask_all(self) -> str:
        """Every process on this database reads its own environment and file again; the name of this call. Raises StoreUnavailable."""
        return drive(self._twin.ask_all())

    def follow(self) -> None:
        """For background work: reloads when somebody has asked since the last look. Raises StoreUnavailable."""
        drive(self._twin.follow())
