"""What templates get: `csrf_token()`, unless Flask-WTF put its own there."""

from __future__ import annotations

from flask import Flask

from sessile.integrations.flask.current import current_session


def csrf_token() -> str:
    """For a hidden field `csrf_token` of a form: a token of this session, checked by `require_csrf`. A visitor without a session gets an anonymous one."""
    return current_session().csrf_token()


def install(app: Flask) -> None:
    """`csrf_token` is a name that Flask-WTF takes, too; whichever it is there, `sessile_csrf_token` is ours."""
    app.jinja_env.globals.setdefault("csrf_token", csrf_token)
    app.jinja_env.globals["sessile_csrf_token"] = csrf_token
