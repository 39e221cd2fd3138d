"""Users, the audit log and maintenance, on a file and on PostgreSQL with Redis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from sessile.model.errors import MaintenanceUnderway, SessionCreationError
from tests.integration.cli.conftest import Place

pytestmark = pytest.mark.server


def test_a_user_is_shown_shut_out_and_let_in(place: Place) -> None:
    with place.manager() as manager:
        manager.create_session("ada")
        manager.change_principal("ada", roles=["editor"])
    shown = place.values("users", "show", "ada")
    assert (shown["roles"], len(shown["sessions"])) == (["editor"], 1)
    assert "editor" in place.ok("users", "show", "ada").out
    assert place.run("users", "show", "nobody").status == 1
    assert place.run("users", "end", "ada").status == 1
    assert place.values("users", "end", "ada", "--yes", "--reason", "asked")["ended"] == 1
    assert place.values("users", "disable", "ada", "--yes", "--reason", "fraud")["ended"] == 0
    with place.manager() as manager, pytest.raises(SessionCreationError):
        manager.create_session("ada")
    assert place.run("users", "enable", "ada").status == 1
    place.ok("users", "enable", "ada", "--yes", "--reason", "cleared")
    with place.manager() as manager:
        manager.create_session("ada")
        acts = [one.data["action"] for one in manager.audit.events("user:ada") if one.type == "operator_acted"]
    assert acts == ["enable", "disable", "end_sessions"]


def test_the_log_is_read_verified_and_copied(place: Place) -> None:
    with place.manager() as manager:
        session_id = manager.create_session("ada").session.session_id
        manager.destroy_session(session_id)
    assert [one["type"] for one in place.values("audit", "tail", "--limit", "2")] == [
        "session_created",
        "session_ended",
    ]
    of_stream = place.values("audit", "tail", "--stream", f"session:{session_id}", "--limit", "1")
    assert [one["type"] for one in of_stream] == ["session_ended"]
    assert "session_ended" in place.ok("audit", "tail").out
    checked = place.values("audit", "verify")
    assert (checked["events"] >= 2, checked["faults"]) == (True, [])
    assert "0 faults" in place.ok("audit", "verify").out
    copied = place.ok("audit", "export", "--stream", f"session:{session_id}").out.splitlines()
    assert [json.loads(line)["type"] for line in copied] == ["session_created", "session_ended"]
    assert place.values("audit", "export", "--write", "all.csv", "--format", "csv")["lines"] > 2
    assert "session_created" in Path("all.csv").read_text()
    assert place.run("audit", "export", "--write", "all.csv").status == 1, "an existing file is not overwritten"
    assert place.run("audit", "export", "--json").status == 2
    with place.manager() as manager:
        manager.transact(
            lambda connection: connection.execute(
                text("UPDATE audit_events SET type = 'session_creates' WHERE type = 'session_created'")
            )
        )
    found = place.run("audit", "verify", "--json")
    assert (found.status, [one["stream"] for one in found.json["faults"]]) == (1, [f"session:{session_id}"])
    assert "not as it was written" in place.run("audit", "verify").out


def test_maintenance_is_announced_and_ended(place: Place) -> None:
    with place.manager() as manager:
        for user_id, roles in (("ada", ["admin"]), ("bea", [])):
            manager.create_session(user_id)
            manager.change_principal(user_id, roles=roles)
    assert place.values("maintenance", "show") == {"in_force": False}
    assert place.run("maintenance", "begin").status == 1
    begun = place.values(
        "maintenance",
        "begin",
        "--message",
        "Back at noon",
        "--for",
        "30",
        "--spare",
        "admin",
        "--end-sessions",
        "--yes",
    )
    assert (begun["message"], begun["roles_spared"], begun["ended"]) == ("Back at noon", ["admin"], 1)
    assert "Back at noon" in place.ok("maintenance", "show").out
    with place.manager() as manager:
        assert len(manager.list_sessions("ada")) == 1, "admins are spared"
        manager.create_session("ada")
        with pytest.raises(MaintenanceUnderway, match="Back at noon"):
            manager.login(None, "bea")
    assert place.run("maintenance", "end").status == 1
    ahead = place.values("maintenance", "begin", "--in", "5", "--for", "1", "--drain", "--yes")
    assert (ahead["in_force"], ahead["drains"], ahead["since"] < ahead["until"]) == (False, True, True)
    assert "is announced" in place.ok("maintenance", "show").out
    with place.manager() as manager:
        manager.login(None, "bea")
    assert place.values("maintenance", "end", "--yes") == {"was_in_force": True}
    assert place.ok("maintenance", "end", "--yes").out == "No maintenance was in force.\n"
    with place.manager() as manager:
        manager.login(None, "bea")
        acts = [one.data["action"] for one in manager.audit.events("system") if one.type == "operator_acted"]
    assert acts == ["maintenance_end", "maintenance_end", "maintenance_begin", "maintenance_begin"]
