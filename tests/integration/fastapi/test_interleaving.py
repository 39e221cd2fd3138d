"""Many users at once, in coroutines and in threads: nobody ever sees anybody else (Channels CVE-2020-35681)."""

from __future__ import annotations

import asyncio
import contextvars
import os
import random

from fastapi import Depends

from sessile.integrations.fastapi import CurrentSession, require_user
from sessile.testing.shows import shows_security
from tests.integration.fastapi.site import Site, site

USERS = 1000 if os.environ.get("SESSILE_SOAK") == "1" else 300
AT_ONCE = 50
here_is: contextvars.ContextVar[str] = contextvars.ContextVar("here_is")


def with_routes(here: Site) -> None:
    async def remember(user_id: str = Depends(require_user)) -> str:
        here_is.set(user_id)
        return user_id

    @here.app.post("/login/{name}")
    async def login(name: str, session: CurrentSession):
        await session.login(name, public={"name": name})
        await asyncio.sleep(0)
        session["own"] = name

    @here.app.get("/coroutine")
    async def coroutine(session: CurrentSession, user_id: str = Depends(remember)):
        seen = [user_id, session.user_id, session["own"]]
        await asyncio.sleep(0)
        session["turns"] = session.get("turns", 0) + 1
        return [*seen, session.public["name"], here_is.get(), session["turns"]]

    @here.app.get("/thread")
    def thread(session: CurrentSession, user_id: str = Depends(remember)):
        seen = [user_id, session.user_id, session["own"]]
        session["turns"] = session.get("turns", 0) + 1
        session.save()
        return [*seen, session.public["name"], here_is.get(), session["turns"]]


@shows_security("V-17")
async def test_interleaved_users_are_never_mixed(rng: random.Random) -> None:
    async with site() as here, here.client() as client:
        with_routes(here)
        limit = asyncio.Semaphore(AT_ONCE)

        async def user(name: str, kinds: list[str]) -> list[object]:
            async with limit:
                login = await client.post(f"/login/{name}", headers={"cookie": ""})
                cookie = login.headers["set-cookie"].split(";")[0]
                return [(await client.get(f"/{kind}", headers={"cookie": cookie})).json() for kind in kinds]

        names = [f"user-{number}" for number in range(USERS)]
        rng.shuffle(names)
        kinds = {name: rng.choices(["coroutine", "thread"], k=2) for name in names}
        answers = await asyncio.gather(*(user(name, kinds[name]) for name in names))
        mixed = [
            (name, answer)
            for name, answer in zip(names, answers, strict=True)
            if answer != [[name, name, name, name, name, turn] for turn in (1, 2)]
        ]
        assert mixed == []
