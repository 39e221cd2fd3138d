"""Flask: `Sessile(app)` gives an application sessions, documents, the API and the browser client.

    app = Flask(__name__)
    sessile = Sessile(app)

`flask.session` is then a `FlaskSession`: a dict as before, and `session.login(...)`, `.documents`, `.handle`, `.user_id`, `.public` beside it. For sessions
alone: `app.session_interface = SessileSessionInterface()`.
"""

from sessile.integrations.flask.current import (
    current_session,
    get_current_platform_id,
    get_current_session_context,
    get_current_user_id,
    is_session_authenticated,
    require_authentication,
    require_bound,
    require_csrf,
    require_fresh,
    require_platform,
    require_same_origin,
    session,
)
from sessile.integrations.flask.extension import Sessile
from sessile.integrations.flask.interface import SessileSessionInterface
from sessile.integrations.flask.session import FlaskSession
from sessile.integrations.flask.templates import csrf_token

__all__ = [
    "FlaskSession",
    "Sessile",
    "SessileSessionInterface",
    "csrf_token",
    "current_session",
    "get_current_platform_id",
    "get_current_session_context",
    "get_current_user_id",
    "is_session_authenticated",
    "require_authentication",
    "require_bound",
    "require_csrf",
    "require_fresh",
    "require_platform",
    "require_same_origin",
    "session",
]
