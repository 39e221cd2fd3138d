"""Our events in the words of the OWASP Logging Vocabulary Cheat Sheet, so that a log platform knows them without rules of its own."""

from __future__ import annotations

from typing import Final

from sessile.model.audit import AuditEvent

_NAMES: Final = {
    "session_created": "session_created",
    "session_imported": "session_created",
    "session_login": "authn_login_success",
    "session_renewed": "session_renewed",
    "session_extended": "session_renewed",
    "session_delta_dropped": "authz_fail",
    "principal_changed": "user_updated",
    "principal_limited": "user_updated",
    "principal_disabled": "user_archived",
    "principal_enabled": "user_updated",
    "principal_exported": "sensitive_read",
    "principal_erased": "user_deleted",
    "platforms_synced": "user_updated",
    "platform_default_changed": "user_updated",
    "platform_switched": "authz_change",
    "handoff_offered": "authn_token_created",
    "handoff_redeemed": "authn_token_created",
    "handoff_confirmed": "authn_token_created",
    "handoff_declined": "authn_token_revoked",
    "handoff_completed": "authn_login_success",
    "document_created": "sensitive_create",
    "document_claimed": "authz_change",
    "document_renamed": "sensitive_update",
    "document_restored": "sensitive_update",
    "document_archived": "sensitive_delete",
    "document_unarchived": "sensitive_update",
    "sessions_forgotten": "authz_admin",
    "audit_forgotten": "authz_admin",
    "sessions_imported": "authz_admin",
    "import_undone": "authz_admin",
    "content_encrypted": "authz_admin",
    "settings_reloaded": "authz_admin",
    "settings_refused": "authz_admin",
    "maintenance_announced": "authz_admin",
    "maintenance_begun": "authz_admin",
    "maintenance_ended": "authz_admin",
    "operator_token_made": "authn_token_created",
    "operator_signed_in": "authn_login_success",
    "operator_sign_in_refused": "authn_login_fail",
    "operator_signed_out": "session_logout",
    "operator_ended": "authn_token_revoked",
    "operator_refused": "authz_fail",
}
_ENDED: Final = {"logout": "session_logout", "limit": "excess_sessions_exceeded", "theft": "authn_token_reuse"}


def owasp_name(event: AuditEvent) -> str:
    """The vocabulary's name for it. A type that the vocabulary has no word for (a device that came back, an application's own event) keeps its own,
    and so does one that is in its words already."""
    if event.type == "session_ended":
        return _ENDED.get(str(event.data.get("reason", "")), "session_expired")
    if event.type == "principal_changed" and "roles" in event.data:
        return "privilege_permissions_changed"
    return _NAMES.get(event.type, event.type)
