# pip install "sessile[fastapi]"          app.py          uvicorn app:app     (makes sessile.db beside it)
from fastapi import Depends, FastAPI

from sessile.integrations.fastapi import CurrentSession, Sessile, require_user

app = FastAPI()
sessile = Sessile(app)  # cookie, /api/v0, /ws, /sessile.js


@app.post("/login/{name}")  # your own password check goes here
async def login(name: str, session: CurrentSession):
    await session.login(name, public={"name": name})  # new token, same basket


@app.post("/basket/{sku}")
async def add(sku: str, session: CurrentSession):
    session.setdefault("basket", {})[sku] = 1  # nested change is kept, parallel tabs too
    return session["basket"]


@app.get("/intake", dependencies=[Depends(require_user)])
async def intake(session: CurrentSession):
    return (await session.documents.open("intake", default={"step": 1})).state


# page: <script src="/sessile.js"></script> <form data-sessile="intake"><input name="why"></form> <sessile-status></sessile-status>
