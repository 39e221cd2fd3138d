"""What the engines hold of the settings. A process that runs may read its settings again: then what they hold is brought up to date in place."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any, Final

from sessile.engine.history import CompactionRule
from sessile.engine.limits import Quota, TryLimit
from sessile.engine.logins import SessionRules
from sessile.engine.principals import SessionLimit
from sessile.engine.retention import RetentionRule
from sessile.engine.sessions import expiry_policy
from sessile.runtime.settings import Settings

_PARTS: Final = ("limit", "session", "new_documents", "switches", "compaction", "retention")


class Rules:
    """Made with the engines, one for all of them."""

    def __init__(self, settings: Settings) -> None:
        self.limit = SessionLimit(settings.sessions_per_user_max, settings.session_limit_action)
        self.session = SessionRules(
            expiry=expiry_policy(
                settings.idle_timeout_s,
                settings.absolute_timeout_s,
                settings.rotation_window_s,
                settings.remember_timeout_s,
            ),
            limit=self.limit,
            anonymous_keys_dropped=settings.anonymous_keys_dropped,
            claim_on_login=settings.claim_on_login,
            end_on_late_use=settings.end_on_late_use,
            idle_max=None if settings.preset is None else timedelta(seconds=settings.idle_timeout_s),
        )
        self.new_documents = Quota("documents", settings.documents_per_hour_max)
        self.switches = Quota("switches", settings.platform_switches_per_hour_max)
        self.compaction = CompactionRule(
            settings.log_versions_kept, timedelta(days=settings.log_retention_d), settings.compaction_batch
        )
        checkpoints = settings.checkpoint_retention_d
        self.retention = RetentionRule(
            ended=timedelta(days=settings.ended_retention_d),
            audit=timedelta(days=settings.audit_retention_d),
            checkpoints=None if checkpoints is None else timedelta(days=checkpoints),
            batch=settings.retention_batch,
        )

    def follow(self, settings: Settings, tries: TryLimit) -> None:
        """As if made anew; whoever holds a part of it sees that."""
        made = Rules(settings)
        for name in _PARTS:
            _take_over(getattr(self, name), getattr(made, name))
        self.session.limit = self.limit
        tries.follow(settings.login_tries_max, timedelta(seconds=settings.login_window_s))


def _take_over(held: Any, made: Any) -> None:
    for one in fields(held):
        setattr(held, one.name, getattr(made, one.name))
