"""The admin's page: a user's live sessions, with device and times; whoever may delete sessions can end them. Nothing can be written otherwise."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import ngettext

from sessile.integrations.django.models import Session as SessionPermissions
from sessile.integrations.django.people import user_id_of
from sessile.integrations.django.process import get_manager
from sessile.integrations.django.store import SessionStore
from sessile.model.errors import StoreUnavailable
from sessile.model.session import EndReason, Session

_SHOWN_MAX: Final = 200


@admin.register(SessionPermissions)
class SessionAdmin(admin.ModelAdmin):
    """Permissions: `sessile.view_session` to look, `sessile.delete_session` to end. Each end is in the audit log, with the reason `admin`."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        return [path("", self.admin_site.admin_view(self.sessions_view), name="sessile_session_changelist")]

    def sessions_view(self, request: HttpRequest) -> HttpResponse:
        """The one page: whose sessions, and which to end."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        named = str(request.GET.get("user", "")).strip()
        if request.method == "POST":
            return self._end(request)
        rows, is_away = _rows(user_id_of(named), request) if named else ([], False)
        context = {
            **self.admin_site.each_context(request),
            "title": "Sessions",
            "opts": self.model._meta,
            "named": named,
            "rows": rows[:_SHOWN_MAX],
            "is_cut": len(rows) > _SHOWN_MAX,
            "is_away": is_away,
            "can_end": self.has_delete_permission(request),
        }
        return TemplateResponse(request, "admin/sessile/sessions.html", context, status=503 if is_away else 200)

    def _end(self, request: HttpRequest) -> HttpResponse:
        if not self.has_delete_permission(request):
            raise PermissionDenied
        user_id = user_id_of(str(request.GET.get("user", "")).strip())
        manager = get_manager()
        theirs = {session.session_id for session in manager.list_sessions(user_id)}
        chosen = [handle for handle in request.POST.getlist("session") if handle in theirs]
        ended = sum(manager.destroy_session(handle, reason=EndReason.ADMIN) for handle in chosen)
        self.message_user(request, ngettext("%d session ended.", "%d sessions ended.", ended) % ended, messages.SUCCESS)
        return HttpResponseRedirect(request.get_full_path())


def _rows(user_id: str, request: HttpRequest) -> tuple[list[dict[str, Any]], bool]:
    """What is shown of each session, the latest first, and whether nobody can look."""
    try:
        sessions = get_manager().list_sessions(user_id, limit=_SHOWN_MAX + 1)
    except StoreUnavailable:
        return [], True
    own = request.session.handle if isinstance(request.session, SessionStore) else None
    return [_row(session, own) for session in sorted(sessions, key=_seen_at, reverse=True)], False


def _seen_at(session: Session) -> datetime:
    return session.last_seen_at


def _row(session: Session, own: str | None) -> dict[str, Any]:
    device = session.device
    return {
        "handle": session.session_id,
        "device": device.get("label") or device.get("name") or "",
        "began_at": session.created_at,
        "seen_at": session.last_seen_at,
        "expires_at": session.expires_at,
        "platform": session.platform_id or "",
        "is_own": session.session_id == own,
    }
