"""Lines of logs: each has one of these names as `event_name`, whatever its text. Texts may change, names do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class LogEvent:
    """`levels` are those of the standard library. `fields` come beside the text, under the same names in a line of JSON."""

    name: str
    loggers: tuple[str, ...]
    levels: tuple[str, ...]
    meaning: str
    fields: tuple[str, ...] = ()


_EVENTS: Final = (
    LogEvent("alert_fired", ("sessile.alerts",), ("WARNING", "ERROR"), "An alert fires; `rule` says which.", ("rule",)),
    LogEvent("alert_not_told", ("sessile.alerts",), ("ERROR",), "The webhook did not take an alert."),
    LogEvent("alert_resolved", ("sessile.alerts",), ("WARNING",), "An alert is over.", ("rule",)),
    LogEvent("audit_events_missing", ("sessile.audit",), ("ERROR",), "Events are gone that a sink has not got."),
    LogEvent("audit_sink_failed", ("sessile.audit",), ("WARNING",), "A sink did not take events."),
    LogEvent("audit_sink_recovered", ("sessile.audit",), ("INFO",), "A sink takes events again."),
    LogEvent("background_away", ("sessile.background",), ("WARNING",), "The work between requests waits for the store; told once an outage."),
    LogEvent("background_failed", ("sessile.background",), ("ERROR",), "A round of the work between requests raised."),
    LogEvent("binding_missing", ("sessile.binding",), ("INFO",), "A bound session came without its bound cookie."),
    LogEvent("binding_never_refreshed", ("sessile.binding",), ("WARNING",), "A device registered and never came back: the session is not bound."),
    LogEvent("binding_refresh_refused", ("sessile.binding",), ("WARNING",), "A device's proof was not right."),
    LogEvent("binding_registration_refused", ("sessile.binding",), ("INFO",), "A device's registration was not right."),
    LogEvent("binding_use_unwritten", ("sessile.binding",), ("WARNING",), "The store is away; the use of a bound cookie was not noted."),
    LogEvent("budget_exceeded", ("sessile.telemetry",), ("WARNING",), "A profiled operation took longer, or asked more, than its budget."),
    LogEvent("cache_down", ("sessile.redis",), ("WARNING",), "The way to the cache is down; told once a change."),
    LogEvent("cache_entry_unreadable", ("sessile.cache",), ("WARNING",), "An entry of the cache is of an unknown form."),
    LogEvent("cache_other_server", ("sessile.cache",), ("INFO",), "Another server answers than before; a new epoch begins."),
    LogEvent("cache_up", ("sessile.redis",), ("INFO",), "The way to the cache is up; told once a change."),
    LogEvent("cache_used", ("sessile.cache",), ("INFO",), "Sessions are read from the cache from now on."),
    LogEvent("client_document_unopened", ("sessile.client",), ("ERROR",), "The client could not open a document; the next connection tries again."),
    LogEvent("client_frame_failed", ("sessile.client",), ("ERROR",), "The client failed on a frame; a fault of ours."),
    LogEvent("client_frame_malformed", ("sessile.client",), ("WARNING",), "The client got what is not JSON."),
    LogEvent("client_handoff_asked_again", ("sessile.client",), ("INFO",), "The client asks about a hand-off again."),
    LogEvent("client_handshake_refused", ("sessile.client",), ("WARNING",), "The service answered the client's handshake with an error."),
    LogEvent("client_identity_renewed", ("sessile.client",), ("WARNING",), "The client goes on under another device id."),
    LogEvent("client_listener_failed", ("sessile.client",), ("ERROR",), "A listener of the application raised in the client."),
    LogEvent("client_outbox_kept", ("sessile.client",), ("WARNING",), "The outbox of the client could not be shortened."),
    LogEvent("client_send_failed", ("sessile.client",), ("WARNING",), "The client could not send; it tries again."),
    LogEvent("client_session_unread", ("sessile.client",), ("WARNING",), "The client could not read its session again."),
    LogEvent("client_unreachable", ("sessile.client",), ("INFO", "ERROR"), "The client cannot reach the service."),
    LogEvent("component_flipped", ("sessile.health",), ("INFO", "WARNING"), "A component changed its state.", ("component", "state")),
    LogEvent("console_sample_failed", ("sessile.console",), ("ERROR",), "The console could not measure this process; a fault of ours."),
    LogEvent("cookie_insecure", ("sessile.cookies",), ("WARNING",), "Cookies are allowed on plain http."),
    LogEvent("cookie_secure_on_http", ("sessile.cookies",), ("WARNING",), "Django sets a Secure cookie for a request that came by plain http."),
    LogEvent("cookie_twice", ("sessile.cookies",), ("WARNING",), "A request had the cookie twice."),
    LogEvent("delta_dropped", ("sessile.web",), ("INFO",), "A request's changes were dropped: its session was over, or another user's."),
    LogEvent("demo_look_failed", ("sessile.demo",), ("WARNING",), "The demo could not look for gaps."),
    LogEvent("document_waits", ("sessile.server",), ("INFO",), "A socket waits for the store to read a document."),
    LogEvent("drain_late", ("sessile.server",), ("WARNING",), "Sockets did not drain in time at a shutdown."),
    LogEvent("fingerprint_unwritten", ("sessile.web",), ("WARNING",), "Another browser used a session, and the audit log could not be written."),
    LogEvent("guessing_unwritten", ("sessile.web",), ("WARNING",), "Many unknown tokens come from one address, and the audit log could not be written."),
    LogEvent("leases_left", ("sessile.server",), ("INFO",), "Leases of presence could not be given up at a shutdown."),
    LogEvent("legacy_refused", ("sessile.web.legacy",), ("DEBUG",), "Another library's cookie is not taken over."),
    LogEvent("legacy_value_lost", ("sessile.web.legacy",), ("WARNING",), "A value of another library's cookie cannot be kept."),
    LogEvent("lifespan_missing", ("sessile.server",), ("INFO",), "The hosted application has no lifespan, or failed before it said so."),
    LogEvent("listener_failed", ("sessile.manager",), ("ERROR",), "A listener of the application raised."),
    LogEvent("maintenance_unknown", ("sessile.server",), ("INFO",), "Whether there is maintenance is not known yet."),
    LogEvent("maintenance_waits", ("sessile.server",), ("INFO",), "A look at the maintenance waits for the store."),
    LogEvent("news_foreign", ("sessile.postgres",), ("WARNING",), "Something else is on the channel of news."),
    LogEvent("news_listener_failed", ("sessile.redis",), ("ERROR",), "A listener to news from Redis raised."),
    LogEvent("news_lost", ("sessile.postgres",), ("INFO",), "The connection that listens for news is lost."),
    LogEvent("news_refused", ("sessile.redis",), ("WARNING",), "Redis did not take news."),
    LogEvent("news_unheard", ("sessile.postgres",), ("DEBUG",), "Listening for news does not work yet."),
    LogEvent("news_untold", ("sessile.server",), ("INFO",), "News were not passed on to a socket."),
    LogEvent("presence_failed", ("sessile.server",), ("ERROR",), "The writing of presence raised."),
    LogEvent("presence_unknown", ("sessile.server",), ("INFO",), "Who else has a document open is not known yet."),
    LogEvent("presence_waits", ("sessile.server",), ("INFO",), "Presence waits for the store."),
    LogEvent("request_failed", ("sessile.web",), ("ERROR",), "A request was answered with 500."),
    LogEvent("schema_failed", ("sessile.kinds",), ("ERROR",), "A schema raised."),
    LogEvent("schema_slow", ("sessile.kinds",), ("ERROR",), "A schema took longer over a state than it may."),
    LogEvent("secret_key_weak", ("sessile.starlette",), ("WARNING",), "A secret key is too weak and not used."),
    LogEvent("session_changed_late", ("sessile.web",), ("ERROR",), "The session was changed after the response had started."),
    LogEvent("session_damaged", ("sessile.web",), ("ERROR",), "The stored data of a session cannot be read."),
    LogEvent("session_unsaved", ("sessile.web",), ("ERROR",), "What a request changed in its session is not saved; the response says so."),
    LogEvent("setting_renamed", ("sessile.settings",), ("WARNING",), "A setting is read under its old name."),
    LogEvent("settings_listener_failed", ("sessile.settings",), ("ERROR",), "A listener to changes of settings raised."),
    LogEvent("settings_refused", ("sessile.settings",), ("ERROR",), "Settings that were read again do not fit; the old ones stay."),
    LogEvent("settings_reloaded", ("sessile.settings",), ("INFO",), "Settings were read again."),
    LogEvent("settings_unwritten", ("sessile.settings",), ("WARNING",), "Settings were read again, and the audit log could not be written."),
    LogEvent("socket_end_unheard", ("sessile.web",), ("WARNING",), "A Channels socket will not hear of the end of its session."),
    LogEvent("socket_failed", ("sessile.server",), ("ERROR",), "A socket failed; a fault of ours."),
    LogEvent("socket_session_unread", ("sessile.web",), ("INFO",), "A Channels socket could not look at its session."),
    LogEvent("socket_unclosed", ("sessile.server",), ("INFO",), "A socket did not take its close and was cut."),
    LogEvent("socket_unwritten", ("sessile.server",), ("ERROR",), "A frame could not be written to one of many sockets."),
    LogEvent("socket_work_failed", ("sessile.server",), ("ERROR",), "Background work of the socket service raised."),
    LogEvent("touch_unwritten", ("sessile.background", "sessile.web"), ("INFO", "WARNING"), "Activity was not written; the session may end somewhat earlier."),
    LogEvent("touch_waits", ("sessile.server",), ("INFO",), "Activity of a socket waits for the store."),
    LogEvent("trace_done", ("sessile.web.trace",), ("DEBUG",), "What a request did with its session (DEBUG of sessile.web.trace)."),
    LogEvent("trace_loaded", ("sessile.web.trace",), ("DEBUG",), "What became of a request's credential (DEBUG of sessile.web.trace)."),
    LogEvent("upgrade_failed", ("sessile.kinds",), ("ERROR",), "An upgrade function of a document kind raised."),
    LogEvent("user_sessions_end_later", ("sessile.django",), ("WARNING",), "The store is away; sessions of a user whose password changed end at their next use."),
    LogEvent("user_sessions_ended", ("sessile.django",), ("INFO",), "Sessions of a user ended with a change of the account."),
)  # fmt: skip

LOG_EVENTS: Final[Mapping[str, LogEvent]] = {event.name: event for event in _EVENTS}
