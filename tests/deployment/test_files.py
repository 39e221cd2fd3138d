"""The files of `deploy/` are what their readers take them for, and name only what there is."""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types

from sessile.cli.lazy import COMMANDS
from sessile.runtime.settings import Settings
from sessile.testing.servers.certificates import make_certificates
from tests.architecture.tree import ROOT

DEPLOY: Final = ROOT / "deploy"
FILES: Final = sorted(path for path in DEPLOY.iterdir() if path.is_file())
_VARIABLE: Final = re.compile(r"\bSESSILE_[A-Z0-9_]+")


def text_of(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(text_of("compose.yaml"))
    return read


def lines(name: str) -> Iterator[tuple[str, str]]:
    """`name=value` of a unit or of an environment file."""
    for line in text_of(name).splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            yield key, value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_is_a_setting(path: Path) -> None:
    named = set(_VARIABLE.findall(path.read_text(encoding="utf-8")))
    settings = {f"SESSILE_{name.upper()}" for name in Settings.model_fields}
    assert named <= settings


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_a_registry(path: Path) -> None:
    for image in re.findall(r"(?:FROM|image:) *(\S+)", path.read_text(encoding="utf-8")):
        host = image.partition("/")[0] if "/" in image else ""
        assert not set(host) & {".", ":"}, image


def test_the_settings_of_the_environment_file_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict(lines("sessile.env"))
    assert given
    for name, value in given.items():
        monkeypatch.setenv(name, value or secrets.token_urlsafe(32))
    assert Settings().cookie_secure


def commands() -> list[list[str]]:
    """What the files run of ours, without the program's own name."""
    found = [shlex.split(value)[1:] for key, value in lines("sessile@.service") if key.startswith("ExecStart")]
    found += [service["command"] for service in compose()["services"].values() if service.get("image") == "sessile"]
    return [*found, yaml.safe_load(re.findall(r"^CMD (.*)", text_of("Containerfile"), re.MULTILINE)[-1])]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_exists_with_its_options(command: list[str]) -> None:
    found: Any = COMMANDS[command[0]].load(command[0])
    rest = command[1:]
    if hasattr(found, "commands"):
        found, rest = found.commands[rest[0]], rest[1:]
    found.make_context(command[0], [word.replace("%i", "8001") for word in rest])


def test_the_compose_file_is_whole() -> None:
    """What its services refer to is there, and no node takes longer to end than it is given."""
    read = compose()
    services = read["services"]
    for name, service in services.items():
        assert set(service.get("networks", ())) <= set(read["networks"]), name
        assert set(service.get("depends_on", ())) <= set(services), name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in read["volumes"] or source == "./tls" or (DEPLOY / source).is_file(), volume
    nodes = [name for name in services if name.startswith("node")]
    assert len(nodes) == 2
    for name in nodes:
        assert services[name]["stop_grace_period"] == "30s"
        assert f"server {name}:8000" in text_of("nginx.conf"), "the balancer knows it by this name"
        assert services[name]["depends_on"]["upgrade"]["condition"] == "service_completed_successfully"
    assert Settings().drain_timeout_s + 10 < 30
    (subnet,) = read["networks"]["inside"]["ipam"]["config"]
    assert services["node1"]["environment"]["SESSILE_TRUSTED_PROXIES"] == subnet["subnet"]
    build = services["node1"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Containerfile"


def test_the_container_file_takes_what_there_is() -> None:
    for source in re.findall(r"^COPY (?!--from)(.*) \S+$", text_of("Containerfile"), re.MULTILINE):
        assert all((ROOT / name).exists() for name in source.split()), source
    extras = re.findall(r'"\.\[(.*)\]"', text_of("Containerfile"))[0].split(",")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{name} = \[", project, re.MULTILINE) for name in extras)


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("not run: systemd-analyze is not installed here")
    unit = tmp_path / "sessile@.service"  # where the program is not in its place, systemd says so
    unit.write_text(text_of(unit.name).replace("/opt/sessile/bin/sessile", sys.executable), encoding="utf-8")
    command = ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", str(unit)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])


def test_nginx_takes_its_configuration(tmp_path: Path, require: Callable[[str], str]) -> None:
    command = [require("nginx"), "-t", "-p", str(tmp_path), "-c", str(adapted(tmp_path)), "-e", "stderr"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, "test is successful" in done.stderr) == (0, True), done.stderr


def adapted(folder: Path, *, port: int = 8443, plain: int = 8080, nodes: tuple[int, int] = (8001, 8002)) -> Path:
    """The same configuration for this machine: a certificate of its own, other ports, files in this folder."""
    made = make_certificates(folder)
    text = text_of("nginx.conf")
    for there, here in {
        "/etc/nginx/tls/fullchain.pem": str(made.certificate),
        "/etc/nginx/tls/privkey.pem": str(made.key),
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "node1:8000": f"127.0.0.1:{nodes[0]}",
        "node2:8000": f"127.0.0.1:{nodes[1]}",
        "/dev/stdout": str(folder / "access.log"),
        "/dev/stderr": str(folder / "error.log"),
        "worker_rlimit_nofile 65536;": f"pid {folder / 'nginx.pid'};",
        "worker_connections 16384;": "worker_connections 256;",
    }.items():
        assert text.count(there) == 1, there
        text = text.replace(there, here)
    path = folder / "nginx.conf"
    temporary = "".join(
        f"    {kind}_temp_path {folder / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path.write_text(text.replace("http {\n", "http {\n" + temporary, 1), encoding="utf-8")
    return path
