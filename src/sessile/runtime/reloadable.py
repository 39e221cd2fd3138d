"""Settings that can be read again while the process runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr
from pydantic_settings import BaseSettings

from sessile.model.errors import ConfigurationError
from sessile.runtime.live_settings import LIVE, SettingsChange, SettingsListener
from sessile.runtime.settings_file import settings_file

logger = logging.getLogger("sessile.settings")


class ReloadableSettings(BaseSettings):
    """What `Settings` is above its fields. A subclass calls `_remember` with its arguments when it is made."""

    _given: Mapping[str, Any] = PrivateAttr(default_factory=dict)
    _file: Path | None = PrivateAttr(default=None)
    _listeners: list[SettingsListener] = PrivateAttr(default_factory=list)

    def _remember(self, given: Mapping[str, Any]) -> None:
        self._given, self._file = given, settings_file()

    def reload(self) -> SettingsChange:
        """Reads environment and file again. What can change while the process runs (`LIVE`) is in force when this returns, the rest after a restart; arguments of
        `Settings(...)` stay. Raises ConfigurationError with the reason, and then everything is as before."""
        if self._file is not None and not self._file.is_file():
            raise ConfigurationError(f"{self._file} is gone; without it everything would be the default")
        fresh = type(self)(**self._given)
        differing = [name for name in type(self).model_fields if getattr(self, name) != getattr(fresh, name)]
        live, waiting = [name for name in differing if name in LIVE], [name for name in differing if name not in LIVE]
        if waiting:  # what is to hold until then has to fit together, too
            said = (fresh.model_fields_set | self.model_fields_set) - set(waiting)
            self._check({name: getattr(fresh, name) for name in said} | {name: getattr(self, name) for name in waiting})
        before, after = self.model_dump(mode="json"), fresh.model_dump(mode="json")
        self.__dict__.update({name: getattr(fresh, name) for name in live})
        self._file = fresh._file
        change = SettingsChange({name: (before[name], after[name]) for name in live}, tuple(waiting))
        if live:
            self._tell(change)
        return change

    def subscribe(self, listener: SettingsListener) -> Callable[[], None]:
        """`listener` is called after each `reload` that changed something, in its thread, when the new values are in force. Returns the way to stop."""
        self._listeners.append(listener)
        return partial(_take_off, self._listeners, listener)

    def _tell(self, change: SettingsChange) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(change)
            except Exception:  # one listener's fault must not keep the change from the others
                logger.exception("A listener for settings failed", extra={"event_name": "settings_listener_failed"})

    def _check(self, merged: dict[str, Any]) -> None:
        try:
            type(self)(**merged)
        except ConfigurationError as error:
            raise ConfigurationError(f"beside what waits for a restart: {error.message}") from None


def _take_off(listeners: list[SettingsListener], listener: SettingsListener) -> None:
    if listener in listeners:
        listeners.remove(listener)
