"""A log-in during maintenance, in a Flask application."""

from __future__ import annotations

from datetime import timedelta

from tests.integration.flask.conftest import with_routes
from tests.integration.flask.site import site


def test_a_new_log_in_is_refused_with_a_time_and_who_is_here_goes_on() -> None:
    with site() as made:
        here, new = with_routes(made).client(), made.client()
        here.post("/login/ada")
        made.manager.maintenance.begin("Back soon", until=made.clock.now() + timedelta(seconds=90))
        answer = new.post("/login/ada")
        assert (answer.status_code, answer.json["code"]) == (503, "maintenance")
        assert (answer.json["detail"], answer.headers["Retry-After"]) == ("Back soon", "90")
        assert here.get("/me").json["user"] == "ada"
        made.manager.change_principal("ada", roles=["admin"])
        made.manager.maintenance.begin("Back soon", roles_spared=["admin"])
        assert new.post("/login/ada").status_code == 200, "who is spared comes in"
