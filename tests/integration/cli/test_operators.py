"""Operators are let into the console, and out of it, on a file and on PostgreSQL with Redis."""

from __future__ import annotations

import pytest

from tests.integration.cli.conftest import Place

pytestmark = pytest.mark.server


def test_a_token_is_made_listed_used_and_taken_back(place: Place) -> None:
    made = place.ok("operators", "token", "--name", "ada", "--role", "operator", "--for", "15m")
    assert len(made.out.split()) == 1, "standard output has the token and nothing else"
    assert "For ada (operator), once, until" in made.err
    other = place.values("operators", "token", "--name", "bob", "--for", "2h")
    assert (other["role"], other["token"] in place.ok("operators", "list").out) == ("read_only", False)
    with place.manager() as manager:
        session = manager.operator_access.sign_in(made.out.strip(), address="192.0.2.1")
    listed = {one["operator"]: one for one in place.values("operators", "list")}
    assert {name: one["kind"] for name, one in listed.items()} == {"ada": "session", "bob": "token"}
    for one in listed.values():
        place.ok("operators", "end", one["id"], "--reason", "done")
    assert "Nobody is signed in" in place.ok("operators", "list").out
    assert place.run("operators", "end", listed["ada"]["id"]).status == 1
    with place.manager() as manager:
        assert manager.operator_access.look(session.credential.credential_id) == "ended:revoked"
        kinds = [one.type for one in reversed(manager.audit.events("system")) if one.type.startswith("operator")]
    assert kinds == ["operator_token_made"] * 2 + ["operator_signed_in"] + ["operator_ended"] * 2


def test_what_is_no_name_and_no_time_is_refused(place: Place) -> None:
    assert place.run("operators", "token", "--name", "a b").status == 1
    assert place.run("operators", "token", "--name", "ada", "--for", "2d").status == 2
    assert place.run("operators", "token", "--name", "ada", "--for", "25h").status == 1
    assert place.run("operators", "token", "--name", "ada", "--role", "root").status == 2


def test_the_console_is_not_served_in_clear_to_a_network(place: Place) -> None:
    refused = place.run("serve", "--console", "--host", "0.0.0.0", "--port", "0")
    assert (refused.status, "SESSILE_TRUSTED_PROXIES" in refused.err) == (1, True)
    refused = place.run("serve", "--console", "--host", "0.0.0.0", "--port", "0", "--insecure-lan", "--json")
    assert refused.json["error"]["code"] == "configuration"
