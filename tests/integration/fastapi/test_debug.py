"""The pages for debugging in a FastAPI application: the same as anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tests.integration.debug_pages import SECRET, Answer, nothing_is_there, only_this_machine_sees_them
from tests.integration.fastapi.site import site


@pytest.mark.parametrize("is_on", [False, True])
async def test_only_this_machine_sees_them_and_only_when_they_are_on(is_on: bool) -> None:
    async with site(debug=is_on) as made, made.client(host="localhost") as client:
        loop = asyncio.get_running_loop()

        async def asked(path: str, headers: Mapping[str, str]) -> Answer:
            answer = await client.get(path, headers=dict(headers))
            return Answer(answer.status_code, answer.text)

        def get(path: str, headers: Mapping[str, str]) -> Answer:
            return asyncio.run_coroutine_threadsafe(asked(path, headers), loop).result(20)

        token = (await made.manager.create_session("ada", data={"note": SECRET})).token
        if is_on:
            await asyncio.to_thread(only_this_machine_sees_them, get, token)
        else:
            await asyncio.to_thread(nothing_is_there, get, {"Cookie": f"sessile={token}"})
