"""The command line: as a program where that matters, else in this process, which costs a fiftieth."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sessile import __version__
from sessile.cli.main import app
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from sessile.testing.shows import shows_security
from tests.integration.server.peer import connected
from tests.integration.server.running import process_on

SECRET = "a-service-key-nobody-may-see-7Hk3Pd"

pytestmark = pytest.mark.server


def sessile(*arguments: str, database: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    if database is not None:
        environment["SESSILE_DATABASE_URL"] = f"sqlite:///{database}"
    done = CliRunner(env={"COLUMNS": "200", **environment}).invoke(app, arguments, prog_name="sessile")
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def as_program(*arguments: str, database: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("SESSILE_")}
    if database is not None:
        environment["SESSILE_DATABASE_URL"] = f"sqlite:///{database}"
    return subprocess.run(
        [sys.executable, "-m", "sessile.cli.main", *arguments],
        env={**known, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version() -> None:
    assert as_program("version").stdout.strip() == __version__
    assert json.loads(sessile("version", "--json").stdout) == {"version": __version__}


def test_help_names_every_command_and_each_takes_json() -> None:
    def help_of(*command: str) -> str:
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, [*command, "--help"]).output

    shown = help_of()
    for command in (
        ["serve"],
        ["demo"],
        ["sessions", "list"],
        ["sessions", "end"],
        ["config", "show"],
        ["version"],
        ["import"],
        ["adopt"],
    ):
        assert command[0] in shown
        assert "--json" in help_of(*command), command


@pytest.mark.parametrize("form", [[], ["--json"]])
@shows_security("V16.2.5")
def test_secrets_are_not_shown(form: list[str]) -> None:
    shown = sessile("config", "show", *form, SESSILE_SERVICE_KEY=SECRET, SESSILE_ALLOWED_ORIGINS="https://a.example")
    assert shown.returncode == 0, shown.stderr
    assert SECRET not in shown.stdout + shown.stderr
    assert "https://a.example" in shown.stdout
    assert "service_key" in shown.stdout.lower()


@pytest.mark.parametrize("command", [["config", "show"], ["serve"], ["sessions", "list", "--user", "ada"]])
def test_a_wrong_setting_is_named_and_nothing_starts(command: list[str]) -> None:
    told = sessile(*command, SESSILE_SERVICE_KEY="short", SESSILE_IDLE_TIMEOUT_S="-1")
    assert told.returncode == 1
    assert "SESSILE_SERVICE_KEY" in told.stderr
    assert "SESSILE_IDLE_TIMEOUT_S" in told.stderr
    assert "short" not in told.stderr
    assert "Traceback" not in told.stderr
    as_json = sessile(*command, "--json", SESSILE_SERVICE_KEY="short")
    assert json.loads(as_json.stdout)["error"]["code"] == "configuration"


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = as_program("serve", "--port", str(port), database=tmp_path / "a.db")
    assert told.returncode == 1
    assert str(port) in told.stderr
    assert "Traceback" not in told.stderr


@shows_security("V7.4.5")
def test_sessions_are_listed_and_ended(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    with SessionManager(Settings(database_url=f"sqlite:///{database}")) as manager:
        tokens = [manager.create_session("ada") for _ in range(3)]
    listed = json.loads(sessile("sessions", "list", "--user", "ada", "--json", database=database).stdout)
    assert {entry["session_id"] for entry in listed} == {issued.session.session_id for issued in tokens}
    text = as_program("sessions", "list", "--user", "ada", database=database).stdout
    assert all(issued.session.session_id in text for issued in tokens)
    assert not any(issued.token in text for issued in tokens)
    one = tokens[0].session.session_id
    assert json.loads(sessile("sessions", "end", one, "--yes", "--json", database=database).stdout) == {"ended": 1}
    again = sessile("sessions", "end", one, "--yes", database=database)
    assert (again.returncode, "no such session" in again.stderr) == (1, True)
    assert "2 ended" in sessile("sessions", "end", "--user", "ada", "--yes", database=database).stdout
    assert "no live session" in sessile("sessions", "list", "--user", "ada", database=database).stdout
    assert sessile("sessions", "end", database=database).returncode == 2


@shows_security("V7.4.5")
async def test_ending_a_session_closes_the_socket_of_a_running_server(tmp_path: Path) -> None:
    with process_on(tmp_path / "a.db") as server:
        async with connected(server.socket_url) as peer:
            await peer.open(token=server.token())
            ended = await asyncio.to_thread(
                as_program, "sessions", "end", "--user", "ada", "--yes", database=tmp_path / "a.db"
            )
            assert ended.returncode == 0
            assert await peer.expect_close() == 4501
            assert peer.frames[-1]["reason"] == "admin"


@shows_security("V16.2.5", "V-15")
def test_serve_says_where_it_is_and_logs_no_secret(tmp_path: Path) -> None:
    with process_on(tmp_path / "a.db") as server:
        assert server.origin.startswith("http://127.0.0.1:")
        token = server.token()
        with socket.create_connection(("127.0.0.1", int(server.origin.rpartition(":")[2]))) as raw:
            raw.sendall(f"GET /ws?token={token} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            raw.recv(1000)
        server.process.terminate()
        out, err = server.process.communicate(timeout=15)
        assert token not in out + err
