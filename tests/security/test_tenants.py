"""A tenant is an installation of its own: a database, and a cache that may be shared. Nothing of one is worth anything at the other, whatever is asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sessile import Actor, SessionManager, Settings
from sessile.model.errors import DocumentNotFound, SessionError, SessionNotFound
from sessile.testing.shows import shows_security
from tests.conftest import redis_or_skip

TENANTS = ("north", "south", "east")
USERS = ("ada", "bob", "eve")


@pytest.fixture
def tenants(tmp_path: Path) -> Iterator[dict[str, SessionManager]]:
    """Each with a database of its own, all in front of one Redis."""
    with ExitStack() as stack:
        redis = stack.enter_context(closing(redis_or_skip()))
        redis.start()
        made = {}
        for name in TENANTS:
            url = f"sqlite:///{tmp_path / name}.db"
            settings = Settings(database_url=url, redis_url=redis.url(), fence_period_s=0.05)
            made[name] = stack.enter_context(SessionManager(settings))
        yield made


@shows_security("V8.4.1", "V-8")
def test_nothing_of_one_tenant_is_worth_anything_at_another(
    tenants: dict[str, SessionManager], rng: random.Random
) -> None:
    own: dict[tuple[str, str], tuple[str, str, str]] = {}
    for tenant, manager in tenants.items():
        for user in USERS:  # the same people's names everywhere
            issued = manager.create_session(user, data={"tenant": tenant})
            handle = issued.session.session_id
            document = manager.documents.open(Actor(user_id=user, session_id=handle), "form", default={"of": tenant})
            own[tenant, user] = (handle, issued.token, document.document.document_id)
    for _ in range(60):
        (theirs, user), (handle, token, document_id) = rng.choice(list(own.items()))
        here = rng.choice([name for name in TENANTS if name != theirs])
        manager = tenants[here]
        mine = Actor(user_id=user, session_id=own[here, user][0])
        questions: list[Callable[[], Any]] = [
            partial(manager.authenticate, token),
            partial(manager.get_session, handle),
            partial(manager.rotate_session, handle),
            partial(manager.change_session_data, handle, [("set", ("tenant",), "x")], user_id=user),
            partial(manager.documents.get, mine, document_id),
        ]
        with pytest.raises((SessionNotFound, DocumentNotFound)):
            rng.choice(questions)()
        assert manager.destroy_session(handle) is False
        assert handle not in {known.session_id for known in manager.list_sessions(user)}
        assert [event for event in manager.audit.events(f"session:{handle}") if event.type != "session_unknown"] == []
    assert tenants["north"].cleanup_user_sessions("ada") == 1, "and not those of the same name elsewhere"
    for (tenant, user), (handle, token, document_id) in own.items():
        manager = tenants[tenant]
        if (tenant, user) == ("north", "ada"):
            with pytest.raises(SessionError):
                manager.authenticate(token)
            continue
        assert manager.authenticate(token).user_id == user
        found = manager.documents.get(Actor(user_id=user, session_id=handle), document_id)
        assert found.state == {"of": tenant}
