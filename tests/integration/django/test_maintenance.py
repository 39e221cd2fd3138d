"""A log-in during maintenance, in a Django project."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from sessile.integrations.django import get_manager
from sessile.testing import FakeClock

pytestmark = pytest.mark.usefixtures("memory", "users")


@pytest.mark.parametrize("view", ["login", "async/login"])
def test_a_new_log_in_is_refused_with_a_time_and_who_is_here_goes_on(view: str, clock: FakeClock) -> None:
    here, new = Client(), Client()
    user_id = here.get("/login/ada").content.decode()
    maintenance = get_manager().maintenance
    maintenance.begin("Back soon", until=clock.now() + timedelta(seconds=90))
    answer = new.get(f"/{view}/ada")
    assert (answer.status_code, answer.json()["code"]) == (503, "maintenance")
    assert (answer.json()["detail"], answer.headers["Retry-After"]) == ("Back soon", "90")
    assert here.get("/whoami").json()["sessile"] == user_id
    get_manager().change_principal(user_id, roles=["admin"])
    maintenance.begin("Back soon", roles_spared=["admin"])
    assert new.get(f"/{view}/ada").status_code == 200, "who is spared comes in"
