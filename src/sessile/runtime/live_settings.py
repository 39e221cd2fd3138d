"""Which settings can change while the process runs, and from when a change holds. All others are read when something is built: a connection, a cookie's name, a
store. They need a restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

_AT_ONCE: Final = "at once"
_DEADLINES: Final = "for deadlines that are set from then on"
_NEW_SOCKETS: Final = "for sockets that open from then on"
_NEXT_ROUND: Final = "with the next round, within a minute"

LIVE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "service_key": _AT_ONCE,
        "debug": _AT_ONCE,
        "preset": _DEADLINES,
        "idle_timeout_s": _DEADLINES,
        "absolute_timeout_s": _DEADLINES,
        "remember_timeout_s": _DEADLINES,
        "rotation_window_s": _AT_ONCE,
        "fresh_timeout_s": _AT_ONCE,
        "expiry_warning_s": _AT_ONCE,
        "end_others_needs_fresh": _AT_ONCE,
        "sessions_per_user_max": "with a user's next login",
        "session_limit_action": "with a user's next login",
        "anonymous_keys_dropped": _AT_ONCE,
        "claim_on_login": _AT_ONCE,
        "fingerprint": _AT_ONCE,
        "login_tries_max": _AT_ONCE,
        "login_window_s": "for windows that open from then on",
        "platform_switches_per_hour_max": _AT_ONCE,
        "documents_per_hour_max": _AT_ONCE,
        "sweep_interval_s": _NEXT_ROUND,
        "sweep_batch": _NEXT_ROUND,
        "checkpoint_interval_s": _NEXT_ROUND,
        "ended_retention_d": _NEXT_ROUND,
        "audit_retention_d": _NEXT_ROUND,
        "checkpoint_retention_d": _NEXT_ROUND,
        "retention_interval_s": _NEXT_ROUND,
        "retention_batch": _NEXT_ROUND,
        "log_versions_kept": _NEXT_ROUND,
        "log_retention_d": _NEXT_ROUND,
        "compaction_interval_s": _NEXT_ROUND,
        "compaction_batch": _NEXT_ROUND,
        "sockets_per_user_max": _NEW_SOCKETS,
        "sockets_per_address_max": _NEW_SOCKETS,
        "socket_frames_per_s": _NEW_SOCKETS,
        "hello_timeout_s": _NEW_SOCKETS,
        "drain_timeout_s": _AT_ONCE,
        "legacy_until": _AT_ONCE,
        "handoff_path": _AT_ONCE,
        "cookie_persistent": "for cookies that are set from then on",
        "dbsc_missing": _AT_ONCE,
        "dbsc_missing_at": _AT_ONCE,
        "dbsc_excluded_paths": "for bindings that begin from then on",
    }
)
"""From when a change holds, by setting."""
RESTART: Final = "after a restart"


def holds_from(name: str) -> str:
    """From when a change of this setting holds."""
    return LIVE.get(name, RESTART)


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """What reading the settings again has changed: before and after by name, secrets masked; and what is said otherwise now but waits for a restart."""

    changed: Mapping[str, Sequence[Any]]
    waiting: Sequence[str]


SettingsListener = Callable[[SettingsChange], None]
