"""Settings from a file: `sessile.toml` in the current folder, or the one that `SESSILE_CONFIG` names. Arguments and the environment go first."""

from __future__ import annotations

import logging
import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from sessile.model.errors import ConfigurationError

VARIABLE: Final = "SESSILE_CONFIG"
DEFAULT_NAME: Final = "sessile.toml"
logger = logging.getLogger("sessile.settings")
_OLD_NAMES: Final = {
    "SESSION_LIFETIME_SECONDS": "absolute_timeout_s",
    "SESSION_IDLE_TIMEOUT_SECONDS": "idle_timeout_s",
}


def settings_file() -> Path | None:
    """The file that is read; None when there is none. Raises ConfigurationError when the one that is named is missing."""
    named = os.environ.get(VARIABLE)
    if named:
        if not Path(named).is_file():
            raise ConfigurationError(f"{VARIABLE}: there is no file {named}")
        return Path(named)
    return Path(DEFAULT_NAME) if Path(DEFAULT_NAME).is_file() else None


def read_settings(file: Path, known: set[str]) -> dict[str, Any]:
    """What it says, by the names of settings. Raises ConfigurationError that names the file, and the line or the name that is wrong."""
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{file}: {error}") from None
    for name in sorted(values.keys() - known):
        near = get_close_matches(name.lower().removeprefix("sessile_"), known, n=1)
        raise ConfigurationError(f"{file}: there is no setting {name}{f'; did you mean {near[0]}?' if near else ''}")
    return values


class FileSource(PydanticBaseSettingsSource):
    """For pydantic-settings."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: the file is read once, as a whole."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        file = settings_file()
        return {} if file is None else read_settings(file, set(self.settings_cls.model_fields))


class OldNames(PydanticBaseSettingsSource):
    """Names that other session libraries taught people, read with a notice."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        for old, new in _OLD_NAMES.items():
            if new == field_name and old in os.environ:
                return os.environ[old], field_name, False
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {}
        for old, new in _OLD_NAMES.items():
            if old in os.environ:
                logger.warning(
                    "%s is read as SESSILE_%s; please rename it.",
                    old,
                    new.upper(),
                    extra={"event_name": "setting_renamed"},
                )
                found[new] = os.environ[old]
        return found
