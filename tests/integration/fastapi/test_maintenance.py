"""A log-in during maintenance, in a FastAPI application."""

from __future__ import annotations

from datetime import timedelta

from tests.integration.fastapi.site import site
from tests.integration.fastapi.test_security import with_routes


async def test_a_new_log_in_is_refused_with_a_time_and_who_is_here_goes_on() -> None:
    async with site() as made, with_routes(made).client() as here, made.client() as new:
        await here.post("/login")
        await made.manager.maintenance.begin("Back soon", until=made.clock.now() + timedelta(seconds=90))
        answer = await new.post("/login")
        assert (answer.status_code, answer.json()["code"]) == (503, "maintenance")
        assert (answer.json()["detail"], answer.headers["retry-after"]) == ("Back soon", "90")
        assert (await here.get("/me")).json()["user"] == "ada"
        await made.manager.change_principal("ada", roles=["admin"])
        await made.manager.maintenance.begin("Back soon", roles_spared=["admin"])
        assert (await new.post("/login")).status_code == 200, "who is spared comes in"
