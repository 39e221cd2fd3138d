"""The pages for debugging in a Django project: the same as anywhere."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from django.test import Client, override_settings

from sessile.integrations.django import get_manager, process
from sessile.integrations.django.configuration import configuration
from tests.integration.debug_pages import SECRET, Answer, nothing_is_there, only_this_machine_sees_them

pytestmark = pytest.mark.usefixtures("_project")


@pytest.mark.parametrize("is_on", [False, True])
def test_only_this_machine_sees_them_and_only_when_they_are_on(is_on: bool) -> None:
    given = {"DATABASE_URL": "memory://", "DEBUG": is_on}
    with override_settings(SESSILE=given, ALLOWED_HOSTS=["*"], SESSION_COOKIE_NAME="sessile"):
        process.use(process.Process(configuration()))
        try:

            def get(path: str, headers: Mapping[str, str]) -> Answer:
                answer = Client(SERVER_NAME="localhost").get(path, headers=dict(headers))
                return Answer(answer.status_code, answer.content.decode())

            token = get_manager().create_session("ada", data={"note": SECRET}).token
            if is_on:
                only_this_machine_sees_them(get, token)
            else:
                nothing_is_there(get, {"Cookie": f"sessile={token}"})
        finally:
            process.close()
