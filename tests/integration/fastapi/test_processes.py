"""The same results on an event loop, in threads and in several processes, also when the application was used before the fork.

There is nothing to show under gevent: an ASGI application runs on asyncio's loop, and greenlets under that loop are no server of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

pytestmark = pytest.mark.server
PROGRAM = """
import asyncio, os, sys, traceback
import httpx
from fastapi import FastAPI
from sessile.integrations.fastapi import CurrentSession, Sessile

app = FastAPI()
sessile = Sessile(app)

@app.post("/basket/{sku}")
async def add(sku: str, session: CurrentSession):
    session.setdefault("basket", {})[sku] = 1

@app.post("/threads/{sku}")
def add_in_a_thread(sku: str, session: CurrentSession):
    session.setdefault("basket", {})[sku] = 1
    session.save()

@app.get("/basket")
async def basket(session: CurrentSession):
    return sorted(session.get("basket", {}))

def browser(cookies=None):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost", cookies=cookies)

async def served(work):
    async with app.router.lifespan_context(app):
        return await work()

async def begin():
    async with browser() as client:
        (await client.post("/basket/first")).raise_for_status()
        return dict(client.cookies)

async def visit(cookies, name):
    async def add(number):
        async with browser(cookies) as tab:
            way = "threads" if number % 2 else "basket"
            (await tab.post(f"/{way}/{name}-{number}")).raise_for_status()
    await asyncio.gather(*(add(number) for number in range(6)))

cookies = asyncio.run(served(begin))   # the parent has served, and let go of its connections
children = []
for number in range(3):
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(served(lambda: visit(cookies, f"child{number}")))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    children.append(pid)
asyncio.run(served(lambda: visit(cookies, "parent")))
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]

async def look():
    async with browser(cookies) as client:
        return (await client.get("/basket")).json()

found = asyncio.run(served(look))
wanted = sorted(["first", *(f"{who}-{n}" for who in ("child0", "child1", "child2", "parent") for n in range(6))])
assert found == wanted, found
print("done")
"""


def test_workers_that_fork_after_the_set_up_their_loops_and_their_threads(tmp_path: Path) -> None:
    known = {name: value for name, value in os.environ.items() if not name.startswith("SESSILE_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env={**known, "SESSILE_DATABASE_URL": f"sqlite:///{tmp_path / 's.db'}"},
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr
