"""Flask has the office: who is ended here is out everywhere.   flask --app office run --port 8003"""

from flask import Flask, abort

from sessile.integrations.flask import Sessile, require_authentication, session

app = Flask(__name__)
sessile = Sessile(app)  # SESSILE_DATABASE_URL


@app.delete("/office/users/<user>")
@require_authentication
def end(user):
    if session.user_id != "root":
        abort(403)
    return {"ended": sessile.manager.cleanup_user_sessions(user)}
