"""FastAPI has the shop: it works with the session that began in Django.   uvicorn shop:app --port 8002"""

from fastapi import Depends, FastAPI

from sessile.integrations.fastapi import CurrentSession, Sessile, require_user

app = FastAPI(dependencies=[Depends(require_user)])
Sessile(app)  # SESSILE_DATABASE_URL


@app.post("/shop/basket/{sku}")
async def add(sku: str, session: CurrentSession):
    session.setdefault("basket", {})[sku] = 1
    return {"user": session.user_id, "session": session.handle, "basket": session["basket"]}
