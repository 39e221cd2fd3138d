"""`django.contrib.auth` and sessions: what pages may see of who logs in, and the end of the other sessions when a password changes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from django.apps import apps
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.http import HttpRequest
from django.utils.module_loading import import_string

from sessile.integrations.django.configuration import NAME, PUBLIC
from sessile.integrations.django.core import LAST_LOADED
from sessile.integrations.django.middleware import CURRENT
from sessile.integrations.django.process import get_manager, here
from sessile.integrations.django.store import SessionStore
from sessile.model.errors import StoreUnavailable
from sessile.model.session import EndReason

logger = logging.getLogger("sessile.django")
_UID: Final = "sessile.integrations.django"


def connect() -> None:
    """Listens from now on. Without `django.contrib.auth` there is nothing to listen to."""
    if not apps.is_installed("django.contrib.auth"):
        return
    from django.contrib.auth import get_user_model

    model = get_user_model()
    user_logged_in.connect(_logged_in, dispatch_uid=_UID)
    post_save.connect(_saved, sender=model, dispatch_uid=_UID)
    post_delete.connect(_deleted, sender=model, dispatch_uid=_UID)


def _logged_in(*, request: HttpRequest | None = None, user: Any = None, **_named: Any) -> None:
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore) and user is not None:
        session.attend_login(public_of(user))


def public_of(user: Any) -> Mapping[str, Any] | None:
    """What the function under `PUBLIC` says of a user; None where there is none. Raises ImproperlyConfigured."""
    path = here().public
    if path is None:
        return None
    try:
        function = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f'{NAME}["{PUBLIC}"]: {path!r} cannot be imported: {error}') from error
    facts = function(user)
    if facts is not None and not isinstance(facts, Mapping):
        raise ImproperlyConfigured(f'{NAME}["{PUBLIC}"]: {path} returns a dict; it returned {type(facts).__name__}')
    return facts


def _saved(*, instance: Any, created: bool, using: str | None = None, **_named: Any) -> None:
    """Django keeps the raw password on the user until it is saved; when it only hashes an old one anew it does not."""
    if not created and getattr(instance, "_password", None) is not None:
        _end_later(str(instance.pk), EndReason.PASSWORD_CHANGED, keep=_own_handle(str(instance.pk)), using=using)


def _deleted(*, instance: Any, using: str | None = None, **_named: Any) -> None:
    _end_later(str(instance.pk), EndReason.ADMIN, keep=None, using=using)


def _end_later(user_id: str, reason: EndReason, *, keep: str | None, using: str | None) -> None:
    transaction.on_commit(partial(_end_others, user_id, reason, keep), using=using)


def _own_handle(user_id: str) -> str | None:
    """The session that the change is made in stays, as far as this is concerned: whether it does is up to `update_session_auth_hash`."""
    session, last = CURRENT.get(), LAST_LOADED.get()
    core = session._core if session is not None else last() if last is not None else None
    if core is None or not core.is_loaded or core.has_failed or core.record is None:
        return None
    return core.record.session_id if core.record.user_id == user_id else None


def _end_others(user_id: str, reason: EndReason, keep: str | None) -> None:
    try:
        ended = get_manager().cleanup_user_sessions(user_id, keep=keep, reason=reason)
    except StoreUnavailable:
        # Each of them ends all the same when it is used next: what Django wrote into it does not fit the user any more.
        logger.warning(
            "The store is away: sessions of a user whose password changed end at their next use, not now",
            extra={"event_name": "user_sessions_end_later"},
        )
        return
    if ended:
        logger.info(
            "%d session(s) of a user ended: %s", ended, reason.value, extra={"event_name": "user_sessions_ended"}
        )
