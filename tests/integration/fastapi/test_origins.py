"""`require_same_origin`: requests and sockets that another site's page sends."""

from __future__ import annotations

import pytest
from fastapi import Depends

from sessile.integrations.fastapi import CurrentSession, require_same_origin
from sessile.testing.shows import shows_security
from tests.integration.fastapi.site import site


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://testserver"}, 200),
        ({"origin": "https://partner.example"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({}, 403),
    ],
)
@shows_security("V3.5.1", "C-12")
async def test_a_forged_request_changes_nothing(headers: dict[str, str], status: int) -> None:
    async with site(allowed_origins=("https://partner.example",)) as here, here.client() as client:

        @here.app.post("/login")
        async def login(session: CurrentSession):
            await session.login("ann")

        @here.app.post("/transfer", dependencies=[Depends(require_same_origin)])
        async def transfer(session: CurrentSession):
            session["sent"] = True

        @here.app.get("/sent", dependencies=[Depends(require_same_origin)])
        async def sent(session: CurrentSession):
            return session.get("sent", False)

        await client.post("/login")
        response = await client.post("/transfer", headers=headers)
        assert response.status_code == status
        if status == 403:
            assert response.json()["code"] in {"origin_refused", "csrf_failed"}
        assert (await client.get("/sent")).json() is (status == 200)
