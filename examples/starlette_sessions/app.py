# pip install "sessile[fastapi]"          app.py          SECRET_KEY=... SESSILE_DATABASE_URL=sqlite:///shop.db uvicorn app:app
import os

from fastapi import BackgroundTasks, FastAPI, Request, WebSocket

# instead of: from starlette.middleware.sessions import SessionMiddleware
from sessile.integrations.starlette import SessionMiddleware

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key=os.environ["SECRET_KEY"])


@app.get("/")
async def count(request: Request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return request.session.copy()


@app.websocket("/chat")
async def chat(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        socket.session["last"] = text
        await socket.session.save()  # now, and not when the socket closes
        await socket.send_text(f"heard {text}")


@app.post("/report")
async def report(request: Request, tasks: BackgroundTasks):
    tasks.add_task(make_report, request.session.detached())


async def make_report(later):
    async with later:  # the session as it is by then; saved when the block ends
        later["report"] = "ready"
