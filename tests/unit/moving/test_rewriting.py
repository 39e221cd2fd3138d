"""What a rewriting makes of code, and where it leaves the decision to a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

import libcst as cst
import pytest

from sessile.moving.rewriting.django_code import rewrite_django
from sessile.moving.rewriting.flask_code import rewrite_flask
from sessile.moving.rewriting.managers import Importers, is_manager, module_names
from sessile.moving.rewriting.starlette_code import rewrite_starlette
from sessile.moving.rewriting.syntax import Code, Findings, NotParsed

Rewrite = Callable[[Code, Findings], cst.Module]


def rewritten(rewrite: Rewrite, source: str) -> str:
    findings = Findings()
    after = rewrite(Code(source.encode()), findings)
    assert findings.needs == []
    compile(after.code, "rewritten", "exec")
    again = Findings()
    assert rewrite(Code(after.bytes), again).code == after.code, "once is enough"
    return after.code


def needs(rewrite: Rewrite, source: str) -> list[int]:
    """The lines at which a person is needed; then nothing is changed."""
    findings = Findings()
    assert rewrite(Code(source.encode()), findings).code == source
    assert findings.needs
    return sorted({note.line for note in findings.needs})


FLASK = '''\
"""An application."""
import os
from flask import Flask
from flask_session import Session as ServerSession  # sessions on a server
import redis

app = Flask(__name__)  # ünïcode stays
app.config["SESSION_TYPE"] = "redis"
app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
app.config.update(
    SESSION_REDIS=redis.from_url("redis://localhost"),
    TESTING=True,
    SESSION_PERMANENT=False,
)
app.config.from_mapping({"SESSION_TYPE": "x", "SESSION_COOKIE_NAME": "sid"})
app.config.from_mapping(SESSION_USE_SIGNER=True)
ServerSession(app)


class Config:
    SESSION_TYPE = "redis"
    SESSION_KEY_PREFIX: str = "app:"


class Other:
    PERMANENT_SESSION_LIFETIME = 3600; SESSION_TYPE = "redis"; DEBUG = True


def local():
    SESSION_TYPE = 2
    return locals()
'''
FLASK_AFTER = '''\
"""An application."""
import os
from flask import Flask
from sessile.integrations.flask import Sessile  # sessions on a server
import redis

app = Flask(__name__)  # ünïcode stays
app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
app.config.update(
    TESTING=True,
)
app.config.from_mapping({"SESSION_COOKIE_NAME": "sid"})
Sessile(app)


class Config:
    pass


class Other:
    PERMANENT_SESSION_LIFETIME = 3600; DEBUG = True


def local():
    SESSION_TYPE = 2
    return locals()
'''


def test_flask_session_becomes_sessile_and_the_rest_stays_as_it_is_laid_out() -> None:
    assert rewritten(rewrite_flask, FLASK) == FLASK_AFTER


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import flask_session\ndef make(app):\n    flask_session.Session(app=app)\n", "from sessile.integrations.flask import Sessile\ndef make(app):\n    Sessile(app)\n"),
        ("def make(app):\n    from flask_session import Session; Session(app)\n", "def make(app):\n    from sessile.integrations.flask import Sessile; Sessile(app)\n"),
        ("from flask_session import Session\nsessions = Session(make_app())\n", "from sessile.integrations.flask import Sessile\nsessions = Sessile(make_app())\n"),
        ("from flask_session import Session\nSESSION_TYPE = 'x'\nprint(SESSION_TYPE)\n", "from sessile.integrations.flask import Sessile\nSESSION_TYPE = 'x'\nprint(SESSION_TYPE)\n"),
        ("from .flask_session import Session\nSession(app)\n", "from .flask_session import Session\nSession(app)\n"),
    ],
)  # fmt: skip
def test_flask_session_in_other_words(before: str, after: str) -> None:
    assert rewritten(rewrite_flask, before) == after


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("from flask_session import Session\ns = Session()\ndef make(app):\n    s.init_app(app)\n", [2]),
        ("from flask_session import Session, SqlAlchemySessionInterface\nSession(app)\n", [1]),
        ("from flask_session import *\nSession(app)\n", [1]),
        ("from flask_session.redis import RedisSessionInterface\n", [1]),
        ("import flask_session, os\nflask_session.Session(app)\n", [1]),
        ("from flask_session import Session\nfactories = [Session]\n", [2]),
        ("from flask_session import Session\nSession(*apps)\n", [2]),
        ("import flask_session\nclass Mine(flask_session.Session):\n    pass\n", [2]),
    ],
)
def test_what_flask_session_does_otherwise_needs_a_person(source: str, lines: list[int]) -> None:
    assert needs(rewrite_flask, source) == lines


STARSESSIONS = """\
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starsessions import CookieStore, SessionAutoloadMiddleware, SessionMiddleware, load_session
from starsessions.stores.redis import RedisStore


async def view(request):
    await load_session(request)
    return request.session


app = Starlette(
    routes=[],
    middleware=[
        Middleware(GZipMiddleware),
        Middleware(SessionMiddleware, store=RedisStore("redis://"), lifetime=3),
        Middleware(SessionAutoloadMiddleware),
    ],
)
other = Starlette(middleware=[Middleware(SessionMiddleware, store=CookieStore(""))])
"""
STARSESSIONS_AFTER = """\
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from sessile.integrations.starlette import Sessile


async def view(request):
    return request.session


app = Starlette(
    routes=[],
    middleware=[
        Middleware(GZipMiddleware),
    ],
)
Sessile(app)
other = Starlette()
Sessile(other)
"""


def test_starsessions_becomes_sessile() -> None:
    assert rewritten(rewrite_starlette, STARSESSIONS) == STARSESSIONS_AFTER


@pytest.mark.parametrize(("framework", "made"), [("fastapi", "FastAPI"), ("starlette.applications", "Starlette")])
def test_the_middleware_of_signed_cookies_becomes_sessile(framework: str, made: str) -> None:
    source = (
        f"from {framework} import {made}\nfrom starlette.middleware.sessions import SessionMiddleware as Sessions\n"
        f'app = {made}()\napp.add_middleware(Sessions, secret_key="x")  # signed\n'
    )
    after = (
        f"from {framework} import {made}\nfrom sessile.integrations.{framework.partition('.')[0]} import Sessile\n"
        f"app = {made}()\nSessile(app)  # signed\n"
    )
    assert rewritten(rewrite_starlette, source) == after


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("from starsessions import regenerate_session_id\ndef f(r):\n    regenerate_session_id(r)\n", [3]),
        ("from starlette.middleware.sessions import SessionMiddleware\napp = SessionMiddleware(app, 'x')\n", [2]),
        ("from starlette.middleware.sessions import SessionMiddleware\nM = [SessionMiddleware]\n", [2]),
        ("import starlette.middleware.sessions\n", [1]),
        ("from starsessions import *\n", [1]),
        ("from starlette.middleware import Middleware\nfrom starlette.middleware.sessions import SessionMiddleware\nm = [Middleware(SessionMiddleware)]\n", [3]),
    ],
)  # fmt: skip
def test_what_middleware_is_otherwise_used_for_needs_a_person(source: str, lines: list[int]) -> None:
    assert needs(rewrite_starlette, source) == lines


DJANGO = """\
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
INSTALLED_APPS = [
    'django.contrib.auth',  # users
    'django.contrib.sessions',
]
MIDDLEWARE = [
    'django.middleware.security.SecurityMiddleware',
    'django.contrib.sessions.middleware.SessionMiddleware',  # here
]
SESSION_SERIALIZER = "x"
SESSION_COOKIE_AGE = 3600
"""
DJANGO_AFTER = """\
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
INSTALLED_APPS = [
    'django.contrib.auth',  # users
    'django.contrib.sessions',
    "sessile.integrations.django",
]
MIDDLEWARE = [
    'django.middleware.security.SecurityMiddleware',
    "sessile.integrations.django.SessionMiddleware",  # here
]
SESSION_ENGINE = "sessile.integrations.django"
SESSILE = {"DATABASE_URL": f"sqlite:///{BASE_DIR / 'sessile.sqlite3'}"}  # never Django's own file
SESSION_COOKIE_AGE = 3600
"""


def test_settings_of_django() -> None:
    assert rewritten(rewrite_django, DJANGO) == DJANGO_AFTER


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('INSTALLED_APPS = ["a", "django.contrib.sessions"]\n', 'INSTALLED_APPS = ["a", "django.contrib.sessions", "sessile.integrations.django"]\n'),
        ('INSTALLED_APPS += ("django.contrib.sessions",)\n', 'INSTALLED_APPS += ("django.contrib.sessions", "sessile.integrations.django",)\n'),
        ('INSTALLED_APPS = [\n    "django.contrib.sessions",  # kept\n    "b",\n]\n', 'INSTALLED_APPS = [\n    "django.contrib.sessions",  # kept\n    "sessile.integrations.django",\n    "b",\n]\n'),
        ('SESSION_ENGINE = "django.contrib.sessions.backends.cache"\nSESSION_CACHE_ALIAS = "x"\n', 'SESSION_ENGINE = "sessile.integrations.django"\n'),
        ('MIDDLEWARE = ["a"]\n', 'MIDDLEWARE = ["a"]\n'),
        ('NAMES = ["django.contrib.sessions"]\n', 'NAMES = ["django.contrib.sessions"]\n'),
    ],
)  # fmt: skip
def test_settings_of_django_in_other_words(before: str, after: str) -> None:
    assert rewritten(rewrite_django, before) == after


def test_code_that_reads_djangos_own_rows_needs_a_person() -> None:
    assert needs(rewrite_django, "import os\nfrom django.contrib.sessions.models import Session\n") == [2]


MANAGER = '"""Sessions."""\nimport redis\nTTL = 5\n\n\nclass RedisSessionManager:\n    pass\n\n\ndef get_session_manager():\n    return 1\n'


@pytest.mark.parametrize(
    ("path", "source", "is_one"),
    [
        ("app/session_manager.py", MANAGER, True),
        ("redis_session_manager.py", MANAGER, True),
        ("app/sessions.py", MANAGER, False),
        ("session_manager.py", MANAGER + "\n\nclass Invoice:\n    pass\n", False),
        ("session_manager.py", MANAGER + "\n\ndef send_mail():\n    pass\n", False),
        ("session_manager.py", MANAGER + "\n\nfor a in b:\n    pass\n", False),
        ("session_manager.py", "TTL = 5\n", False),
    ],
)
def test_a_module_that_only_managed_sessions_is_known_by_rules(path: str, source: str, is_one: bool) -> None:
    assert is_manager(PurePosixPath(path), Code(source.encode())) is is_one


def test_a_module_has_all_the_names_under_which_it_can_be_imported() -> None:
    assert module_names(PurePosixPath("src/app/sm.py")) == {"src.app.sm", "app.sm", "sm"}
    assert module_names(PurePosixPath("app/__init__.py")) == {"app"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from app.session_manager import SessionManager as S\n", "from sessile import SessionManager as S\n"),
        ("from .session_manager import SessionManager\n", "from sessile import SessionManager\n"),
        ("from ..app.session_manager import SessionManager\n", "from sessile import SessionManager\n"),
        ("from other.session_manager import SessionManager\n", "from other.session_manager import SessionManager\n"),
        ("from app.session_manager import RedisSessionManager\n", None),
        ("from app.session_manager import *\n", None),
        ("from . import session_manager\n", None),
        ("from app import session_manager\n", None),
        ("import app.session_manager\n", None),
    ],
)
def test_who_imported_an_archived_module(before: str, after: str | None) -> None:
    def rewrite(code: Code, findings: Findings) -> cst.Module:
        names = dict.fromkeys(module_names(PurePosixPath("app/session_manager.py")), PurePosixPath("x"))
        return code.module.visit(Importers(code, PurePosixPath("app/views.py"), names, findings))

    if after is None:
        assert needs(rewrite, before) == [1]
    else:
        assert rewritten(rewrite, before) == after


@pytest.mark.parametrize("source", [b"def f(:\n", b"\xff\xfe", b"# -*- coding: nonsense -*-\n", b"x = '\xe4'\n", b"\0"])
def test_what_is_no_python_says_so(source: bytes) -> None:
    with pytest.raises(NotParsed):
        Code(source)


@pytest.mark.parametrize(
    "source",
    [
        b"\xef\xbb\xbfx = 1\n",
        b"# -*- coding: latin-1 -*-\nx = '\xe4'\n",
        b"x = 1\r\nif x:\r\n\ty = 2\r\n",
        b"x = 1",
        b"",
        b"\n\n",
        b"x = 1\r\ny = 2\n",
        b"x = 1\x0c\ny = 2\n",
    ],
)
def test_code_comes_back_byte_for_byte_or_is_not_touched(source: bytes) -> None:
    try:
        code = Code(source)
    except NotParsed:
        return
    assert code.module.bytes == source
