"""One Django project for the whole folder: Django can be set up once in a process. Each test has a store and a clock of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from django.conf import settings
from django.test import override_settings
from django.test.utils import setup_test_environment, teardown_test_environment

from sessile.integrations.django import process
from sessile.integrations.django.configuration import configuration
from sessile.testing import FakeClock

FOLDER = Path(tempfile.mkdtemp(prefix="sessile-django-"))


def _set_up() -> None:
    """The environment is for this moment only: processes that tests start say for themselves which project they are."""
    given = {"DJANGO_SETTINGS_MODULE": "tests.integration.django.project", "SESSILE_TEST_FOLDER": str(FOLDER)}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        django.setup()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


if not settings.configured:
    _set_up()


@pytest.fixture(scope="session", autouse=True)
def _project() -> Iterator[None]:
    from django.core.management import call_command
    from django.db import connections

    setup_test_environment()
    call_command("migrate", verbosity=0)
    yield
    teardown_test_environment()
    process.close()
    connections.close_all()
    shutil.rmtree(FOLDER)


@pytest.fixture
def clock() -> FakeClock:
    from datetime import UTC, datetime

    return FakeClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[str]:
    """A store of its own for the test, and a clock."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'sessile.db'}"
    with override_settings(SESSILE={"DATABASE_URL": url}):
        process.use(process.Process(configuration(), clock=clock))
        yield url
    process.close()


@pytest.fixture
def memory(clock: FakeClock) -> Iterator[None]:
    """The same in memory only, where the store makes no difference."""
    with override_settings(SESSILE={"DATABASE_URL": "memory://"}):
        process.use(process.Process(configuration(), clock=clock))
        yield
    process.close()


@pytest.fixture
def users(_project: None) -> Iterator[None]:
    """Ada and Bob, whose passwords are their names."""
    from django.contrib.auth.models import User
    from django.db import connections

    for name in ("ada", "bob"):
        User.objects.create_user(name, password=name)
    yield
    User.objects.all().delete()
    connections.close_all()
