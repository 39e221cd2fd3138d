"""Flask-Login on our sessions: `login_user`, `logout_user`, session protection and "remember me" keep working, and mean a session of ours.

Flask-Login keeps three keys in the session's dict. Here its signals do the rest: a log-in gives the browser a new token and puts the user on the session, a
log-out ends it everywhere. `remember=True` is the longer clock of the same session, so Flask-Login's own cookie, which nobody can revoke, is never set and its
SECRET_KEY is not needed. Of a remembered session's user `login_fresh()` is True for as long as an ordinary session would live.
"""

from __future__ import annotations

from typing import Any, Final

from flask import Flask, Response, request_started, session

from sessile.integrations.flask.current import current_session

_OWN_KEYS: Final = ("_user_id", "_fresh", "_id")
_REMEMBER: Final = "_remember"
_REMEMBER_S: Final = "_remember_seconds"


def install(app: Flask) -> None:
    """Listens to Flask-Login's signals for this application. Where it is not installed, or not used, nothing happens."""
    try:
        import flask_login
    except ImportError:
        return
    signals = flask_login.signals
    signals.user_logged_in.connect(_logged_in, sender=app)
    signals.user_logged_out.connect(_logged_out, sender=app)
    signals.session_protected.connect(_protected, sender=app)
    signals.user_accessed.connect(_accessed, sender=app)
    signals.user_loaded_from_cookie.connect(_loaded_from_cookie, sender=app)
    request_started.connect(_quieten, sender=app)


def _logged_in(_app: Flask, user: Any, **_: Any) -> None:
    """Flask-Login has just written its keys. Another user's session ends here, with its data; the keys belong to the new one."""
    own = {key: session[key] for key in _OWN_KEYS if key in session}
    remember = session.pop(_REMEMBER, None) == "set"
    session.pop(_REMEMBER_S, None)
    current_session().login(str(own.get("_user_id", user.get_id())), remember=remember)
    session.update(own)


def _loaded_from_cookie(_app: Flask, user: Any, **_: Any) -> None:
    """A cookie of Flask-Login's from before Sessile: it becomes a remembered session, once, and is taken away."""
    own = {key: session[key] for key in _OWN_KEYS if key in session}
    current_session().login(str(own.get("_user_id", user.get_id())), remember=True)
    session.update({**own, _REMEMBER: "clear"})


def _logged_out(_app: Flask, **_: Any) -> None:
    clears = session.get(_REMEMBER) == "clear"  # a cookie from before Sessile, which Flask-Login now takes away
    current_session().logout()
    if clears:
        session[_REMEMBER] = "clear"


def _protected(_app: Flask, **_: Any) -> None:
    """Strong protection has found another browser behind the token: the session is over for both of them."""
    current = current_session()
    if "_user_id" not in session and current.user_id is not None:
        _logged_out(_app)


def _accessed(_app: Flask, **_: Any) -> None:
    """Before Flask-Login reads the user: is the log-in of a remembered session too old to count as fresh?"""
    if current_session().is_login_old and session.get("_fresh") is True:
        session["_fresh"] = False


def _quieten(app: Flask, **_: Any) -> None:
    """Flask-Login looks for its key in the session after every request, for a static file, too: from the first request on it looks only where the session was used."""
    request_started.disconnect(_quieten, sender=app)
    original = getattr(getattr(app, "login_manager", None), "_update_remember_cookie", None)
    functions = app.after_request_funcs.get(None, [])
    if original is None or original not in functions:
        return

    def update_remember_cookie(response: Response) -> Response:
        if current_session().accessed:
            original(response)
        return response

    functions[functions.index(original)] = update_remember_cookie
