"""The pages for debugging in a Flask application: the same as anywhere."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.integration.debug_pages import SECRET, Answer, nothing_is_there, only_this_machine_sees_them
from tests.integration.flask.site import site


@pytest.mark.parametrize("is_on", [False, True])
def test_only_this_machine_sees_them_and_only_when_they_are_on(is_on: bool) -> None:
    with site(debug=is_on) as made:
        client = made.client(cookies=False)

        def get(path: str, headers: Mapping[str, str]) -> Answer:
            answer = client.get(path, headers=dict(headers))
            return Answer(answer.status_code, answer.text)

        token = made.manager.create_session("ada", data={"note": SECRET}).token
        if is_on:
            only_this_machine_sees_them(get, token)
        else:
            nothing_is_there(get, {"Cookie": f"sessile={token}"})
