# pip install "sessile[flask]"            flask run       live push: sessile serve --wsgi app:app
from flask import Flask, session

from sessile.integrations.flask import Sessile, require_authentication

app = Flask(__name__)
sessile = Sessile(app)  # instance/sessile.db; Flask's SECRET_KEY is not needed


@app.post("/login/<name>")  # your own password check goes here
def login(name):
    session.login(name, public={"name": name})  # new token, same basket
    return "", 204


@app.post("/basket/<sku>")
def add(sku):
    session.setdefault("basket", {})[sku] = 1  # nested change is kept, parallel tabs too
    return session["basket"]


@app.get("/intake")
@require_authentication
def intake():
    return session.documents.open("intake", default={"step": 1}).state
