"""Every command that looks or acts, on a file and on PostgreSQL with Redis."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sessile.cli.acting import operator
from sessile.model.document import Actor, Owner
from sessile.model.platform import PlatformEntry
from tests.integration.cli.conftest import Place

pytestmark = pytest.mark.server
ADA = Actor(user_id="ada")


def noted(place: Place, stream: str) -> list[tuple[str, str, str]]:
    """What operators did to it, oldest first."""
    with place.manager() as manager:
        events = [one for one in manager.audit.events(stream) if one.type == "operator_acted"]
        assert manager.audit.verify().faults == []
    return [(one.data["action"], one.data["reason"], one.data["by"]) for one in reversed(events)]


def test_sessions_are_listed_in_pages_and_shown(place: Place) -> None:
    with place.manager() as manager:
        ada = [manager.create_session("ada", device={"label": "Firefox"}).session.session_id for _ in range(2)]
        anonymous = manager.create_session().session.session_id
        over = manager.create_session("bea")
        manager.destroy_session(over.session.session_id)
    listed = place.values("sessions", "list")
    assert {one["session_id"] for one in listed} == {*ada, anonymous}
    page = place.values("sessions", "list", "--limit", "2")
    rest = place.values("sessions", "list", "--after", page[-1]["session_id"])
    assert page + rest == listed
    assert f"--after {page[-1]['session_id']}" in place.ok("sessions", "list", "--limit", "2").out
    assert {one["session_id"] for one in place.values("sessions", "list", "--user", "ada")} == set(ada)
    shown = place.values("sessions", "show", ada[0])
    assert (shown["state"], shown["device"], shown["connected"]) == ("live", "Firefox", [])
    ended = place.values("sessions", "show", over.session.session_id)
    assert (ended["state"], ended["end_reason"]) == ("ended", "logout")
    text = place.ok("sessions", "show", over.session.session_id).out
    assert "logout" in text
    assert over.token not in text
    assert place.run("sessions", "show", "nothing").status == 1


def test_sessions_end_with_a_reason_and_only_when_it_is_meant(place: Place) -> None:
    with place.manager() as manager:
        one = manager.create_session("ada").session.session_id
        for _ in range(2):
            manager.create_session("ada")
    asked = place.run("sessions", "end", one)
    assert (asked.status, "--yes" in asked.err) == (1, True)
    assert len(place.values("sessions", "list")) == 3
    assert place.values("sessions", "end", one, "--yes", "--reason", "lost phone") == {"ended": 1}
    assert place.run("sessions", "end", one, "--yes").status == 1
    assert noted(place, f"session:{one}") == [("end", "lost phone", operator())]
    assert place.values("sessions", "end", "--user", "ada", "--yes", "--reason", "left the company") == {"ended": 2}
    assert noted(place, "user:ada") == [("end_sessions", "left the company", operator())]
    assert place.values("sessions", "list") == []
    assert place.run("sessions", "end").status == 2


def test_a_reason_that_cannot_be_kept_is_refused_and_nothing_ends(sqlite: Place) -> None:
    with sqlite.manager() as manager:
        one = manager.create_session("ada").session.session_id
    assert sqlite.run("sessions", "end", one, "--yes", "--reason", "a\nb").status == 1
    assert len(sqlite.values("sessions", "list")) == 1


def test_a_person_at_a_terminal_types_a_word(sqlite: Place) -> None:
    with sqlite.manager() as manager:
        one = manager.create_session("ada").session.session_id
    for typed, status, live in (("wrong", 1, 1), (one[-4:], 0, 0)):
        control, terminal = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "sessile.cli.main", "sessions", "end", one],
            stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **sqlite.environment},
        )  # fmt: skip
        os.write(control, f"{typed}\n".encode())
        out, _ = process.communicate(timeout=60)
        os.close(control)
        os.close(terminal)
        assert process.returncode == status, out
        assert f"Type {one[-4:]}" in out
        assert len(sqlite.values("sessions", "list")) == live


def test_a_deadline_is_moved(place: Place) -> None:
    with place.manager() as manager:
        session = manager.create_session("ada").session
    assert place.run("sessions", "extend", session.session_id).status == 1
    assert noted(place, f"session:{session.session_id}") == []
    extended = place.values("sessions", "extend", session.session_id, "--yes", "--reason", "long meeting")
    assert extended["moved"] is True
    assert noted(place, f"session:{session.session_id}") == [("extend", "long meeting", operator())]
    assert place.run("sessions", "extend", "nothing", "--yes").status == 1


def test_top_counts(place: Place) -> None:
    with place.manager() as manager:
        for user_id in ("ada", "ada", "bea", None):
            manager.create_session(user_id)
    counted = place.values("sessions", "top", "--rounds", "1")
    assert {name: counted[name] for name in ("sessions", "users", "anonymous", "active", "overdue")} == {
        "sessions": 4, "users": 2, "anonymous": 1, "active": 4, "overdue": 0,
    }  # fmt: skip
    assert counted["busiest"] == [{"user_id": "ada", "sessions": 2}, {"user_id": "bea", "sessions": 1}]
    shown = place.ok("sessions", "top", "--rounds", "2", "--interval", "0.2").out
    assert "4 sessions of 2 users, 1 anonymous" in shown


def test_documents_are_shown_compared_and_restored(place: Place) -> None:
    with place.manager() as manager:
        document = manager.documents.open(ADA, "intake", default={"name": "Ada", "step": 1}).document
        kept = manager.documents.checkpoint(ADA, document.document_id, label="before lunch")
        manager.documents.change(ADA, document.document_id, [{"op": "set", "path": "/name", "value": "Lost"}])
    key = document.document_id
    assert [one["name"] for one in place.values("documents", "list", "--user", "ada")] == ["intake"]
    assert "state" not in place.values("documents", "show", key)
    assert place.values("documents", "show", key, "--state")["state"] == {"name": "Lost", "step": 1}
    assert [one["label"] for one in place.values("documents", "checkpoints", key)] == ["before lunch"]
    difference = [{"path": "/name", "from": "Ada", "to": "Lost"}]
    assert place.values("documents", "diff", key, kept.checkpoint_id) == difference
    assert place.values("documents", "diff", key, "0", "1")[0]["path"] == "/name"
    preview = place.values("documents", "restore", key, kept.checkpoint_id, "--dry-run")
    assert preview == [{"path": "/name", "from": "Lost", "to": "Ada"}]
    assert place.run("documents", "restore", key, kept.checkpoint_id).status == 1
    assert place.values("documents", "show", key, "--state")["state"]["name"] == "Lost"
    done = place.values("documents", "restore", key, kept.checkpoint_id, "--yes", "--reason", "asked for it")
    assert place.values("documents", "show", key, "--state")["state"]["name"] == "Ada"
    assert ("restore", "asked for it", operator()) in noted(place, f"document:{key}")
    place.ok("documents", "restore", key, done["before"], "--yes")
    assert place.values("documents", "show", key, "--state")["state"]["name"] == "Lost"
    for form in (
        ["list", "--user", "ada"],
        ["show", key],
        ["checkpoints", key],
        ["diff", key, "0"],
        ["restore", key, kept.checkpoint_id, "--dry-run"],
    ):
        assert place.ok("documents", *form).out
    assert place.run("documents", "show", "nothing").status == 1
    assert place.run("documents", "list").status == 2


def test_an_anonymous_sessions_documents_are_found(place: Place) -> None:
    with place.manager() as manager:
        session_id = manager.create_session().session.session_id
        manager.documents.open(Actor(session_id=session_id), "draft", default={})
        assert manager.operators.documents(Owner(session_id=session_id))
    assert [one["name"] for one in place.values("documents", "list", "--session", session_id)] == ["draft"]


def test_platforms_are_explained_and_their_default_is_set(place: Place) -> None:
    with place.manager() as manager:
        manager.sync_platforms(
            "ada", [PlatformEntry(platform_id="shop", name="Shop"), PlatformEntry(platform_id="blog", name="Blog")]
        )
        manager.sync_platforms("bea", [PlatformEntry(platform_id="other", name="Other")])
        session_id = manager.create_session("ada").session.session_id
    listed = place.values("platforms", "list", "ada")
    default = next(one["platform_id"] for one in listed if one["is_default"])
    wanted = next(one["platform_id"] for one in listed if not one["is_default"])
    assert place.values("platforms", "explain", "ada", "other")["reason"] == "other_owner"
    assert place.values("platforms", "explain", "ada", "nothing")["reason"] == "missing"
    explained = place.values("platforms", "explain", "ada", "shop")
    assert (explained["allowed"], explained["sessions"]) == (True, {session_id: default})
    assert "refused (other_owner)" in place.ok("platforms", "explain", "ada", "other").out
    assert place.run("platforms", "fix-default", "ada", "--to", "other", "--yes").status == 1
    assert place.run("platforms", "fix-default", "ada", "--to", wanted).status == 1
    done = place.values("platforms", "fix-default", "ada", "--to", wanted, "--yes", "--reason", "moved")
    assert (done["before"], done["default"]) == (default, wanted)
    assert place.values("platforms", "fix-default", "ada", "--yes")["default"] == wanted
    assert noted(place, "user:ada")[0][:2] == ("fix_default_platform", "moved")
    assert "shop" in place.ok("platforms", "list", "ada").out
    assert place.values("platforms", "fix-default", "nobody", "--yes")["default"] is None


def test_the_sweep_ends_what_is_over(place: Place) -> None:
    with place.manager() as manager:
        for _ in range(3):
            session = manager.create_session("ada").session
            manager.set_idle_deadline(session.session_id, manager.clock.now())
        assert manager.operators.census().overdue == 3
    assert place.values("sweep")["ended"] == 3
    assert place.ok("sweep").out.startswith("Swept")
    with place.manager() as manager:
        assert manager.operators.census().overdue == 0


def test_a_cache_is_looked_at_flushed_and_left_alone_for_a_while(postgres: Place) -> None:
    with postgres.manager() as manager:
        issued = manager.create_session("ada")
        handle = issued.session.session_id
        deadline = time.monotonic() + 20
        while manager.operators.cached_copy(handle) not in ("same", "behind"):
            assert time.monotonic() < deadline, postgres.run("cache", "inspect").out
            manager.authenticate(issued.token)
            time.sleep(0.05)
        inspected = postgres.values("cache", "inspect", handle)
        assert (inspected["copy"], inspected["fence"]["open"]) == ("same", True)
        assert inspected["redis"].startswith("up")
        assert "it is what the row is" in postgres.ok("cache", "inspect", handle).out
        epoch = inspected["fence"]["epoch"]
        assert postgres.run("cache", "flush").status == 1
        assert postgres.values("cache", "flush", "--yes", "--reason", "to be sure") == {"epoch": epoch + 1}
        held = postgres.values("cache", "fence", "--hold", "600", "--yes")
        assert (held["open"], held["held_for_s"] > 500) == (False, True)
        manager.authenticate(issued.token)
        assert postgres.values("cache", "inspect", handle)["copy"] == "unused"
        assert "held for" in postgres.ok("cache", "fence").out
    assert [one[0] for one in noted(postgres, "system")] == ["cache_flush", "cache_hold"]


def test_without_redis_there_is_no_cache_to_flush(sqlite: Place) -> None:
    assert sqlite.values("cache", "inspect")["redis"] == "not configured"
    assert "SESSILE_REDIS_URL" in sqlite.run("cache", "flush", "--yes").err


def test_a_users_data_is_copied_and_erased_with_a_proof(place: Place) -> None:
    with place.manager() as manager:
        manager.create_session("ada")
        manager.documents.open(ADA, "intake", default={"step": 1})
    copied = place.values("users", "export", "ada", "--write", "ada.json", "--reason", "request 118")
    kept = json.loads(Path("ada.json").read_text(encoding="utf-8"))
    assert (copied["file"], len(kept["sessions"]), kept["documents"][0]["state"]) == ("ada.json", 1, {"step": 1})
    assert noted(place, "user:ada") == [("export", "request 118", operator())]
    assert place.ok("users", "export", "ada").json["user_id"] == "ada"
    assert place.run("users", "export", "ada", "--json").status == 2
    assert place.run("users", "export", "ada", "--write", "ada.json").status == 1, "it is there"
    assert place.run("users", "export", "nobody").status == 1
    asked = place.run("users", "erase", "ada")
    assert (asked.status, "--yes" in asked.err) == (1, True)
    erased = place.values("users", "erase", "ada", "--yes", "--reason", "request 119")
    assert (erased["sessions"], erased["documents"]) == (1, 1)
    assert noted(place, "system") == [("erase_user", "request 119", operator())]
    assert noted(place, "user:ada") == []
    with place.manager() as manager:
        proof = [one.data for one in manager.audit.events("system") if one.type == "principal_erased"]
    assert [(one["user_hash"], one["reason"]) for one in proof] == [(erased["user_hash"], "request 119")]
    assert place.run("users", "show", "ada").status == 1
    assert place.ok("users", "erase", "ada", "--yes").out.startswith("Erased: 0 sessions")
