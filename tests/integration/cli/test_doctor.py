"""A running system is broken in many ways; doctor names each cause, and the command that it prints mends it."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from scripts.drill_machine import clock_of_this_process
from scripts.tls_front import TlsFront
from sessile.model.document import Actor
from sessile.model.platform import PlatformEntry
from sessile.model.session import EndReason
from sessile.testing.servers import PostgresServer, RedisServer
from tests.integration.cli.conftest import Place
from tests.integration.server.running import process_on

pytestmark = pytest.mark.server
ADA = Actor(user_id="ada")


def findings(place: Place, *options: str, status: int, **environment: str) -> list[dict[str, str]]:
    """What is not in order. `status` is what the command has to end with."""
    ran = place.run("doctor", *options, "--json", **environment)
    assert ran.status == ran.json["status"] == status, ran.out
    return [one for one in ran.json["findings"] if one["severity"] in ("error", "warning")]


def sql(place: Place, statement: str) -> None:
    with place.manager() as manager:
        manager.transact(lambda connection: connection.execute(text(statement)))


def follow(place: Place, cure: str) -> None:
    """Does what was printed."""
    program, *arguments = shlex.split(cure)
    if program == "sessile":
        place.ok(*arguments)
    elif program == "redis-cli":
        assert place.redis is not None
        place.redis.run(*arguments)
    else:
        assert program == "chmod"
        subprocess.run([program, *arguments], check=True)


def drop_a_table(place: Place) -> None:
    sql(place, "DROP TABLE rate_limits")


def stop_sweeping(place: Place) -> None:
    with place.manager() as manager:
        session = manager.create_session("ada").session
        past = manager.clock.now() - timedelta(days=1)
        manager.set_idle_deadline(session.session_id, past)


def lose_the_default(place: Place) -> None:
    with place.manager() as manager:
        manager.sync_platforms("ada", [PlatformEntry(platform_id="shop", name="Shop")])
    sql(place, "UPDATE platforms SET is_default = false")


def mix_up_owners(place: Place) -> None:
    with place.manager() as manager:
        manager.sync_platforms("bea", [PlatformEntry(platform_id="hers", name="Hers")])
        manager.create_session("ada")
    sql(place, "UPDATE sessions SET platform_id = 'hers' WHERE user_id = 'ada'")


def forget_maintenance(place: Place) -> None:
    place.ok("maintenance", "begin", "--yes")


def open_the_file(_place: Place) -> None:
    file = Path("sessile.toml")
    file.write_text('service_key = "fJ2c9QxT7bLwZr4YdKs8VnHg3Mp6Ea1u"\n')
    file.chmod(0o644)


def hold_the_cache(place: Place) -> None:
    place.ok("cache", "fence", "--hold", "3600", "--yes")


def forbid_eviction(place: Place) -> None:
    assert place.redis is not None
    place.redis.run("CONFIG", "SET", "maxmemory", "100mb")
    place.redis.run("CONFIG", "SET", "maxmemory-policy", "noeviction")


EVERYWHERE: list[tuple[Callable[[Place], None], str, str, int]] = [
    (drop_a_table, "tables", "Missing: rate_limits.", 2),
    (stop_sweeping, "sweep", "1 sessions are long past a deadline", 1),
    (lose_the_default, "platforms", "ada has platforms and no default.", 1),
    (mix_up_owners, "platforms", "is on a platform that its user may not use.", 2),
    (forget_maintenance, "maintenance", "It is in force", 1),
    (open_the_file, "settings", "has secrets and others can read it", 1),
]
WITH_REDIS = [
    (hold_the_cache, "fence", "keeps the cache unused", 1),
    (forbid_eviction, "redis", "noeviction", 1),
]


@pytest.fixture
def busy(place: Place) -> Place:
    """A database in use."""
    with place.manager() as manager:
        manager.create_session("carl")
        manager.documents.open(ADA, "intake", default={"step": 1})
    return place


@pytest.mark.parametrize(("break_it", "check", "told", "status"), EVERYWHERE)
def test_a_fault_is_named_and_mended(
    break_it: Callable[[Place], None], check: str, told: str, status: int, busy: Place
) -> None:
    drill(busy, break_it, check, told, status)


@pytest.mark.parametrize(("break_it", "check", "told", "status"), WITH_REDIS)
def test_a_fault_of_the_cache_is_named_and_mended(
    break_it: Callable[[Place], None], check: str, told: str, status: int, postgres: Place
) -> None:
    drill(postgres, break_it, check, told, status)


def drill(place: Place, break_it: Callable[[Place], None], check: str, told: str, status: int) -> None:
    assert findings(place, status=0) == []
    break_it(place)
    (found,) = findings(place, status=status)
    assert (found["check"], told in found["what"]) == (check, True), found
    assert found["why"]
    shown = place.run("doctor").out
    assert found["cure"] in " ".join(shown.split())
    follow(place, found["cure"])
    assert findings(place, status=0) == []


def test_a_schema_that_is_behind_is_named_and_mended(postgres: Place) -> None:
    sql(postgres, "DROP SCHEMA sessile CASCADE")
    (found,) = findings(postgres, status=2)
    assert (found["check"], found["cure"]) == ("database", "sessile db upgrade")
    follow(postgres, found["cure"])
    assert findings(postgres, status=0) == []


def test_what_cannot_be_reached_is_named(postgres: Place) -> None:
    (found,) = findings(postgres, status=2, SESSILE_REDIS_URL="redis://127.0.0.1:1/0")
    assert (found["check"], "nobody is logged out" in found["why"]) == ("redis", True)
    (found,) = findings(postgres, status=2, SESSILE_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert found["check"] == "database"
    assert "cannot be reached" in found["what"]


def test_settings_that_contradict_each_other_are_named(sqlite: Place) -> None:
    found, _no_database = findings(sqlite, status=1, SESSILE_DEBUG="1")
    assert found["what"] == "SESSILE_DEBUG is on."
    (found,) = findings(sqlite, status=2, SESSILE_IDLE_TIMEOUT_S="99", SESSILE_ABSOLUTE_TIMEOUT_S="50")
    assert (found["check"], "idle_timeout_s is longer" in found["what"]) == ("settings", True)


def test_a_clock_that_went_back_is_named(sqlite: Place) -> None:
    with sqlite.manager() as manager:
        manager.create_session("ada")
    sql(sqlite, "UPDATE sessions SET last_seen_at = last_seen_at + 3600000000")
    (found,) = findings(sqlite, status=2)
    assert (found["check"], "in the future" in found["what"]) == ("clock", True)


def test_a_changed_audit_log_is_named_when_it_is_asked_for(sqlite: Place) -> None:
    with sqlite.manager() as manager:
        manager.create_session("ada")
    sql(sqlite, "UPDATE audit_events SET type = 'nothing'")
    assert findings(sqlite, status=0) == []
    (found,) = findings(sqlite, "--audit", status=2)
    assert found["check"] == "audit"


def test_a_file_that_is_damaged_is_named(sqlite: Place) -> None:
    with sqlite.manager() as manager:
        for _ in range(200):
            manager.create_session("ada")
    file = Path(sqlite.database_url.removeprefix("sqlite:///"))
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        opened.write(b"\xff" * 8192)
    found = findings(sqlite, status=2)
    assert found[0]["check"] in ("tables", "database")


@pytest.mark.parametrize(
    ("line", "status"),
    [("from sessile.integrations.fastapi import Sessile; Sessile(app)", 0), ("", 2)],
)
def test_an_application_without_sessions_is_named(
    line: str, status: int, sqlite: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite.ok("db", "upgrade")
    name = f"site_{status}"
    Path(f"{name}.py").write_text(f"from fastapi import FastAPI\napp = FastAPI()\n{line}\n")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.setenv("SESSILE_DATABASE_URL", sqlite.database_url)
    assert [one["check"] for one in findings(sqlite, "--app", f"{name}:app", status=status)] == ["middleware"] * (
        status > 0
    )
    assert findings(sqlite, "--app", "no_such_module:app", status=2)[0]["check"] == "middleware"


@pytest.fixture
def served(sqlite: Place) -> Iterator[Any]:
    with process_on(Path(sqlite.database_url.removeprefix("sqlite:///"))) as server:
        yield server


def test_a_running_service_is_asked_from_outside(sqlite: Place, served: Any, tmp_path: Path) -> None:
    assert findings(sqlite, "--url", served.origin, status=0) == []
    assert findings(sqlite, "--url", "http://127.0.0.1:1", status=2)[0]["what"].startswith(
        "http://127.0.0.1:1 does not answer"
    )
    assert findings(sqlite, "--url", "ftp://a.example", status=2)[0]["check"] == "url"
    (wrong,) = findings(sqlite, "--url", served.origin, status=2, SESSILE_COOKIE_DOMAIN="elsewhere.example")[1:]
    assert (wrong["check"], "is not below it" in wrong["what"]) == ("cookie", True)
    port = int(served.origin.rpartition(":")[2])
    with TlsFront(tmp_path, port) as front:
        trusting = {"SSL_CERT_FILE": str(front.certificate)}
        (hidden,) = findings(sqlite, "--url", front.url, status=2, **trusting)
        assert (hidden["check"], hidden["cure"].split("=")[0]) == ("proxy", "export SESSILE_COOKIE_SECURE")
    below = findings(sqlite, "--url", f"{served.origin}/elsewhere", status=2)
    assert {one["check"] for one in below} == {"url", "tabs"}


def test_why_somebody_was_logged_out_is_told(place: Place) -> None:
    with place.manager() as manager:
        live, out, swept, taken, by_user, idle = (manager.create_session("ada").session.session_id for _ in range(6))
        manager.destroy_session(out)
        manager.destroy_session(taken, reason=EndReason.PASSWORD_CHANGED)
        for handle in (swept, idle):
            manager.set_idle_deadline(handle, manager.clock.now())
            if handle == swept:
                manager.cleanup_expired_sessions()
    place.ok("sessions", "end", by_user, "--yes", "--reason", "lost phone")

    def why(handle: str) -> tuple[str, str]:
        told = place.values("doctor", "--explain", handle)
        assert told["state"] == "unknown" or told["trail"][0]["event"] == "session_created"
        return told["state"], told["why"]

    assert why(live)[0] == "live"
    assert why(out) == ("ended", why(out)[1])
    assert "They logged out" in why(out)[1]
    assert "idle_timeout_s" in why(swept)[1]
    assert why(idle)[0] == "expired"
    assert "password" in why(taken)[1]
    assert "(end): lost phone." in why(by_user)[1]
    assert why("nothing")[0] == "unknown"
    assert "lost phone" in place.ok("doctor", "--explain", by_user).out


def test_an_id_is_quoted_for_the_shell(sqlite: Place) -> None:
    awkward = "-ada's; rm x"
    with sqlite.manager() as manager:
        manager.sync_platforms(awkward, [PlatformEntry(platform_id="shop", name="Shop")])
    sql(sqlite, "UPDATE platforms SET is_default = false")
    (found,) = findings(sqlite, status=1)
    assert shlex.split(found["cure"])[-1] == awkward
    follow(sqlite, found["cure"])
    assert findings(sqlite, status=0) == []


def test_which_clock_is_wrong_is_told_where_there_are_three(postgres: Place) -> None:
    with clock_of_this_process(-90):
        (found,) = findings(postgres, status=2)
    assert (found["check"], found["cure"]) == ("clock", "timedatectl set-ntp true")
    assert found["what"].startswith("This machine's clock is 90.")
    alone = {name: value for name, value in postgres.environment.items() if name != "SESSILE_REDIS_URL"}
    with clock_of_this_process(90):
        (found,) = findings(dataclasses.replace(postgres, environment=alone), status=2)
    assert "which of them is wrong is not to be seen from here" in found["what"]


def test_a_role_that_may_make_no_temporary_tables_is_no_full_disk(
    postgres: Place, servers: tuple[PostgresServer, RedisServer]
) -> None:
    name = postgres.database_url.rpartition("/")[2]
    for statement in (
        f"CREATE ROLE {name}_clerk LOGIN",
        f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC',
        f"GRANT USAGE ON SCHEMA sessile TO {name}_clerk",
        f"GRANT ALL ON ALL TABLES IN SCHEMA sessile TO {name}_clerk",
    ):
        servers[0].run_sql(statement, name)
    url = postgres.database_url.replace("sessile@", f"{name}_clerk@")
    assert findings(postgres, status=0, SESSILE_DATABASE_URL=url) == []
