"""Whole projects as processes: the page of the documentation as it is printed, the example, workers that fork, threads, PostgreSQL and Redis."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import call_command

from tests.architecture.tree import ROOT
from tests.conftest import postgres_or_skip, redis_or_skip

PAGE = ROOT / "docs" / "how-to" / "django.md"
EXAMPLE = ROOT / "examples" / "django_quickstart" / "app.py"
pytestmark = pytest.mark.server


def printed() -> list[str]:
    """The Python blocks of the page."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SESSILE_", "DJANGO_"))}
    return {**kept, **extra}


def run(folder: Path, *command: str, **extra: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment(**extra),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serving(folder: Path, port: int, *command: str, **extra: str) -> Iterator[httpx.Client]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=environment(**extra), stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://localhost:{port}/sessile.js", timeout=30)
                break
            except httpx.TransportError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.05)
        with httpx.Client(base_url=f"http://localhost:{port}", timeout=30) as browser:
            yield browser
    finally:
        process.terminate()
        process.wait(15)
    assert "Traceback" not in (folder / "log").read_text()


FIRST = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
import django
django.setup()
from django.core.management import call_command
call_command("check", fail_level="WARNING")
call_command("check", databases=["default"], fail_level="WARNING")
call_command("migrate", verbosity=0)
call_command("createsuperuser", interactive=False, username="ann", email="a@b.example")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `startproject` makes, with the page's first three blocks, and a user."""
    folder = tmp_path_factory.mktemp("project")
    settings, urls, views = printed()[:3]
    call_command("startproject", "project", str(folder))
    with (folder / "project" / "settings.py").open("a", encoding="utf-8") as file:
        file.write("\n" + settings + "\nALLOWED_HOSTS = ['localhost']\n")
        file.write("PASSWORD_HASHERS = ['django.contrib.auth.hashers.MD5PasswordHasher']\n")
    enter = "path('enter', __import__('django.contrib.auth.views').contrib.auth.views.LoginView.as_view()),"
    admin = "path('admin/', __import__('django.contrib.admin').contrib.admin.site.urls),"
    (folder / "project" / "urls.py").write_text(urls.replace("urlpatterns = [", f"urlpatterns = [{enter}{admin}"))
    (folder / "project" / "views.py").write_text(views)
    asgi = next(block for block in printed() if "asgi import get_asgi_application" in block)
    name = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'project.settings')\n"
    (folder / "project" / "asgi.py").write_text(name + asgi)
    (folder / "first.py").write_text(FIRST)
    run(folder, "first.py", DJANGO_SUPERUSER_PASSWORD="pw")
    return folder


def visit(browser: httpx.Client) -> None:
    """What a person does: a basket, a log-in by the admin's form, a document, the state."""
    assert browser.get("/api/session_state").json()["success"] is False
    assert browser.get("/basket/apple").json() == {"apple": 1}
    anonymous = browser.cookies["sessionid"]
    page = browser.get("/admin/login/")
    assert page.status_code == 200
    form = {"username": "ann", "password": "pw", "csrfmiddlewaretoken": browser.cookies["csrftoken"], "next": "/intake"}
    entered = browser.post("/admin/login/", data=form, follow_redirects=True)
    assert entered.json() == {"step": 1}
    assert browser.cookies["sessionid"] != anonymous
    assert browser.get("/basket/pear").json() == {"apple": 1, "pear": 1}
    state = browser.get("/api/session_state").json()
    assert state["success"]
    assert state["user"] == {"id": "1"}


def test_the_pages_other_snippets_hold() -> None:
    from django.http import JsonResponse

    payout, *rest = printed()[3:]
    names: dict[str, Any] = {"JsonResponse": JsonResponse}
    for block in (payout, *rest):
        exec(compile(block, str(PAGE), "exec"), names)
    assert callable(names["payout"])
    assert type(names["application"]).__name__ == "WithService"


def test_the_page_works_as_printed_under_wsgi(project: Path) -> None:
    port = free_port()
    with serving(project, port, "manage.py", "runserver", "--noreload", f"localhost:{port}") as browser:
        visit(browser)
    assert (project / "sessile.sqlite3").exists()
    listed = run(project, "manage.py", "sessile", "list", "ann")
    assert re.search(r"[0-9a-f-]{36} +seen ", listed)
    token = browser.cookies["sessionid"]
    assert token not in listed + (project / "log").read_text()


def test_the_page_works_as_printed_under_asgi(project: Path) -> None:
    port = free_port()
    with serving(
        project, port, "-m", "uvicorn", "project.asgi:application", "--port", str(port), "--host", "localhost"
    ) as browser:
        visit(browser)
        said_hello(port, browser.cookies["sessionid"])


def test_sessile_serve_hosts_the_project(project: Path) -> None:
    """Django's own application, as `startproject` leaves it."""
    (project / "project" / "plain.py").write_text(
        "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'project.settings')\n"
        "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n"
    )
    port = free_port()
    command = (
        "-m",
        "sessile.cli.main",
        "serve",
        "--asgi",
        "project.plain:application",
        "--port",
        str(port),
        "--host",
        "localhost",
    )
    with serving(project, port, *command) as browser:
        visit(browser)
        said_hello(port, browser.cookies["sessionid"])


def said_hello(port: int, token: str) -> None:
    from websockets.sync.client import connect
    from websockets.typing import Origin

    headers = {"Cookie": f"sessionid={token}"}
    with connect(
        f"ws://localhost:{port}/ws", additional_headers=headers, origin=Origin(f"http://localhost:{port}")
    ) as ws:
        ws.send('{"type":"hello","protocol":0}')
        assert '"type"' in str(ws.recv(10))


def test_the_example_runs(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 40
    (tmp_path / "app.py").write_text(text)
    port = free_port()
    with serving(tmp_path, port, "app.py", "runserver", "--noreload", f"localhost:{port}") as browser:
        assert browser.get("/intake").status_code == 401
        assert browser.get("/basket/apple").json() == {"apple": 1}
        assert browser.get("/login/ann").json() == {"user": "ann"}
        assert browser.get("/basket/pear").json() == {"apple": 1, "pear": 1}
        assert browser.get("/intake").json() == {"step": 1}
        assert browser.get("/api/session_state").json()["user"] == {"id": "ann", "name": "ann"}
    assert (tmp_path / "sessile.sqlite3").exists()


FORKS = """
import os, sys
sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
import django
django.setup()
from concurrent.futures import ThreadPoolExecutor
from django.test import Client
from sessile.integrations.django import close

def begin(number):
    client = Client(headers={"Host": "localhost"})
    assert client.get("/basket/" + str(number)).status_code == 200
    assert client.get("/api/session_state").status_code in (200, 401)
    return client

client = begin(0)                       # the parent has connections, and the service's thread
children = []
for number in range(1, 4):
    pid = os.fork()
    if pid == 0:
        try:
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(begin, range(8)))
                found = list(threads.map(lambda n: client.get("/basket/%s-%s" % (os.getpid(), n)).status_code, range(4)))
            assert found == [200] * 4
            close()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
basket = client.get("/basket/last").json()
assert len(basket) == 2 + 3 * 4, basket
with ThreadPoolExecutor(8) as threads:
    list(threads.map(lambda n: client.get("/basket/t%s" % n), range(16)))
assert len(client.get("/basket/last").json()) == 14 + 16
from django.contrib.auth.models import User
client.force_login(User.objects.get(username="ann"))
assert client.get("/intake").json() == {"step": 1}
client.session.documents.get(client.session.documents.list()[0].document_id)
state = client.get("/api/session_state").json()
assert state["session"]["session_id"] == client.session.handle, state
close()
print("done")
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres and redis"])
def test_workers_that_fork_after_the_setup_and_their_threads(project: Path, kind: str) -> None:
    (project / "forks.py").write_text(FORKS)
    if kind == "sqlite":
        assert run(project, "forks.py").strip() == "done"
        return
    with servers() as extra:
        (project / "project" / "elsewhere.py").write_text(
            "from project.settings import *\nimport os\nSESSILE = {'DATABASE_URL': os.environ['URL'], 'REDIS_URL': os.environ['CACHE']}\n"
        )
        (project / "forks.py").write_text(FORKS.replace("project.settings", "project.elsewhere"))
        elsewhere = {**extra, "DJANGO_SETTINGS_MODULE": "project.elsewhere"}
        missing = subprocess.run(
            [sys.executable, "manage.py", "check", "--database", "default"],
            cwd=project, env=environment(**elsewhere), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert missing.returncode == 1
        assert "sessile.E011" in missing.stderr
        run(project, "manage.py", "sessile", "upgrade", **elsewhere)
        assert run(project, "forks.py", **extra).strip() == "done"


GEVENT = """
from gevent import monkey
monkey.patch_all()
import os, sys
sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
import django
django.setup()
import gevent
from django.test import Client
from sessile.integrations.django import close

client = Client(headers={"Host": "localhost"})
assert client.get("/basket/0").status_code == 200
jobs = [gevent.spawn(lambda n=n: client.get("/basket/g%s" % n).status_code) for n in range(12)]
gevent.joinall(jobs, raise_error=True)
assert [job.value for job in jobs] == [200] * 12
assert len(client.get("/basket/last").json()) == 14
close()
print("done")
"""


def test_greenlets_keep_what_each_of_them_wrote(project: Path) -> None:
    pytest.importorskip("gevent")
    (project / "greenlets.py").write_text(GEVENT)
    assert run(project, "greenlets.py").strip() == "done"


@contextmanager
def servers() -> Iterator[dict[str, Any]]:
    postgres, redis = postgres_or_skip(), redis_or_skip()
    try:
        postgres.start()
        redis.start()
        yield {"URL": postgres.create_database("django"), "CACHE": redis.url()}
    finally:
        redis.close()
        postgres.close()
