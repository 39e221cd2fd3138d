"""The quickstart's page as an application: a form bound by its markup and the one script, under the strictest policy."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.middleware.base import RequestResponseEndpoint

from sessile.integrations.fastapi import CurrentSession, Sessile

app = FastAPI()
Sessile(app)

SIGN_IN = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>
<form method="post" action="/sign-in"><label>Name <input name="name" required></label><button>Sign in</button></form>"""

INTAKE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Intake</title>
<script src="/sessile.js"></script>
<form data-sessile="intake">
  <label>Why <input name="why"></label>
  <label>Details <textarea name="details"></textarea></label>
  <label>How many <input name="count" type="number"></label>
  <label>Urgent <input name="urgent" type="checkbox"></label>
  <label>Mail <input name="channels" type="checkbox" value="mail"></label>
  <label>Phone <input name="channels" type="checkbox" value="phone"></label>
  <label>Morning <input name="when" type="radio" value="morning"></label>
  <label>Evening <input name="when" type="radio" value="evening"></label>
  <label>Size <select name="size"><option value="s">Small</option><option value="l">Large</option></select></label>
  <label>Secret <input name="secret" type="password"></label>
</form>
<sessile-status></sessile-status>"""


@app.middleware("http")
async def strict_policy(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    trusted = (
        "; require-trusted-types-for 'script'; trusted-types sessile" if "trusted-types" in request.query_params else ""
    )
    response.headers["content-security-policy"] = f"default-src 'self'{trusted}"
    return response


@app.get("/sign-in")
def sign_in_page() -> HTMLResponse:
    return HTMLResponse(SIGN_IN)


@app.post("/sign-in")
async def sign_in(request: Request, session: CurrentSession) -> Response:
    name = parse_qs((await request.body()).decode())["name"][0]
    await session.login(name, public={"name": name})
    return RedirectResponse("/intake", status_code=303)


@app.get("/intake")
def intake() -> HTMLResponse:
    return HTMLResponse(INTAKE)


@app.get("/favicon.ico")
def icon() -> Response:
    return Response(status_code=204)
