"""`SessionStore` against what Django's documentation promises of a session object, in both lanes of it: each method, and its twin with `a`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.core.exceptions import SynchronousOnlyOperation
from django.test import override_settings
from django.utils import timezone

from sessile.integrations.django import SessionStore, get_manager
from sessile.model.errors import InvalidValue, SessionEnded
from sessile.testing import FakeClock
from sessile.testing.shows import shows_security

pytestmark = pytest.mark.usefixtures("store")
DAY = 86400


class Lane:
    """Calls a method by its plain name, in one of the two ways."""

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async

    def __call__(self, session: Any, name: str, *args: Any, **named: Any) -> Any:
        if not self.is_async:
            return getattr(session, {"set": "__setitem__"}.get(name, name))(*args, **named)

        async def call() -> Any:
            return await getattr(session, f"a{name}")(*args, **named)

        return async_to_sync(call)()


@pytest.fixture(params=["plain", "async"])
def call(request: pytest.FixtureRequest) -> Lane:
    return Lane(is_async=request.param == "async")


def kept(**data: Any) -> SessionStore:
    """A session that was saved with this in it."""
    session = SessionStore()
    session.update(data)
    session.save()
    return session


def state(session: SessionStore) -> tuple[bool, bool]:
    """Whether it was read, and whether there is anything to save."""
    return session.accessed, session.modified


def again(session: SessionStore) -> SessionStore:
    """The same one, as another request finds it."""
    return SessionStore(session.session_key)


def test_every_method_of_djangos_contract_is_there() -> None:
    for name, member in inspect.getmembers(SessionBase, inspect.isfunction):
        ours = getattr(SessionStore, name)
        assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(member), name
    for name in ("exists", "create", "save", "delete", "load"):
        assert getattr(SessionStore, name) is not getattr(SessionBase, name)
        assert getattr(SessionStore, f"a{name}") is not getattr(SessionBase, f"a{name}")


def test_a_new_one_is_empty_and_nothing_is_kept_of_it(call: Lane) -> None:
    session = SessionStore()
    assert state(session) == (False, False)
    assert session.is_empty()
    assert call(session, "get", "cat") is None
    assert state(session) == (True, False)
    assert session.session_key is None


def test_what_is_stored_is_found_by_its_key(call: Lane) -> None:
    session = SessionStore()
    call(session, "set", "cat", "dog")
    assert session.modified
    call(session, "save")
    assert call(again(session), "get", "cat") == "dog"
    assert call(session, "exists", session.session_key)


def test_pop_and_its_default(call: Lane) -> None:
    session = kept(some="exists")
    found = again(session)
    assert call(found, "pop", "never", "default") == "default"
    assert state(found) == (True, False)
    with pytest.raises(KeyError):
        call(found, "pop", "never")
    assert call(found, "pop", "some") == "exists"
    assert state(found) == (True, True)
    call(found, "save")
    assert call(again(session), "get", "some") is None


def test_setdefault_update_and_has_key(call: Lane) -> None:
    session = SessionStore()
    assert call(session, "setdefault", "foo", "bar") == "bar"
    assert call(session, "setdefault", "foo", "baz") == "bar"
    call(session, "update", {"update key": 1})
    assert call(session, "has_key", "update key")
    assert not call(session, "has_key", "another")
    assert session.accessed
    assert session.modified


@pytest.mark.parametrize(("name", "expected"), [("keys", ["x"]), ("values", [1]), ("items", [("x", 1)])])
def test_views_of_the_dict_are_reads(call: Lane, name: str, expected: list[Any]) -> None:
    found = again(kept(x=1))
    assert list(call(found, name)) == expected
    assert found.accessed
    assert not found.modified


def test_the_test_cookie(call: Lane) -> None:
    session = SessionStore()
    assert not call(session, "test_cookie_worked")
    call(session, "set_test_cookie")
    assert call(session, "test_cookie_worked")
    call(session, "delete_test_cookie")
    assert not call(session, "test_cookie_worked")


def test_clear_empties_it() -> None:
    session = kept(x=1, y=2)
    session.clear()
    assert list(session.items()) == []
    assert session.accessed
    assert session.modified
    session.save()
    assert dict(again(session).items()) == {}


def test_delete_is_final(call: Lane) -> None:
    session = kept(x=1)
    key = session.session_key
    call(session, "delete")
    assert not call(session, "exists", key)
    assert SessionStore(key).get("x") is None


def test_delete_by_key_and_of_an_unknown_one(call: Lane) -> None:
    session = kept(x=1)
    call(SessionStore(), "delete", session.session_key)
    assert not call(session, "exists", session.session_key)
    call(SessionStore(), "delete", session.session_key)
    call(SessionStore(), "delete", "nothing of the kind")
    call(SessionStore(), "delete")


def test_flush_ends_it_and_what_follows_is_another(call: Lane) -> None:
    session = kept(foo="bar")
    key, handle = session.session_key, session.handle
    call(session, "flush")
    assert not call(session, "exists", key)
    assert session.session_key is None
    assert session.modified
    assert session.accessed
    assert session.is_empty()
    session["x"] = 1
    call(session, "save")
    assert session.handle != handle
    with pytest.raises(SessionEnded):
        get_manager().get_session(str(handle))


def test_cycle_key_keeps_the_data_and_the_handle(call: Lane) -> None:
    session = kept(a="c", b={"d": [1]})
    key, handle = session.session_key, session.handle
    call(session, "cycle_key")
    assert session.session_key != key
    assert not call(session, "exists", key)
    assert call(session, "exists", session.session_key)
    assert dict(again(session).items()) == {"a": "c", "b": {"d": [1]}}
    assert session.handle == handle


def test_cycle_key_of_one_that_was_not_loaded_yet(call: Lane) -> None:
    session = again(kept(a="c"))
    call(session, "cycle_key")
    call(session, "save")
    assert again(session).get("a") == "c"


def test_cycle_key_without_a_session_makes_one(call: Lane) -> None:
    session = SessionStore()
    call(session, "cycle_key")
    assert not session.is_empty()
    assert call(session, "exists", session.session_key)


def test_create_keeps_an_empty_one_at_once(call: Lane) -> None:
    session = SessionStore()
    call(session, "create")
    assert session.modified
    assert call(session, "exists", session.session_key)
    first = session.session_key
    call(session, "create")
    assert session.session_key != first
    assert call(session, "exists", first)


def test_save_with_must_create_makes_another(call: Lane) -> None:
    session = again(kept(x=1))
    key = session.session_key
    assert session["x"] == 1
    call(session, "save", must_create=True)
    assert session.session_key != key
    assert dict(again(session).items()) == {"x": 1}


@pytest.mark.parametrize("key", ["1", "12345678", "x" * 80, "", None, 7])
@shows_security("C-2", "V-5")
def test_a_key_that_is_not_ours_is_never_taken_over(call: Lane, key: Any) -> None:
    session = SessionStore(key)
    assert (session.session_key, call(session, "load")) == (None, {})
    session["x"] = 1
    call(session, "save")
    assert session.session_key not in {key, None}
    assert not call(session, "exists", key)


@shows_security("C-2", "V-5")
def test_a_key_of_our_shape_that_nobody_knows_is_not_taken_over(call: Lane) -> None:
    key = str(kept(x=1).session_key)
    unknown = key[:-4] + ("AAAA" if not key.endswith("AAAA") else "BBBB")
    session = SessionStore(unknown)
    assert call(session, "load") == {}
    assert session.session_key is None
    call(session, "save")
    assert session.session_key != unknown


def test_loading_an_unknown_one_keeps_nothing(call: Lane) -> None:
    key = kept(x=1).session_key
    call(SessionStore(), "delete", key)
    session = SessionStore(key)
    call(session, "load")
    assert session.session_key is None
    assert session.is_empty()


@shows_security("V7.4.1", "V-14")
def test_a_save_after_the_end_raises_and_revives_nothing(call: Lane) -> None:
    session = kept(x=1)
    here, there = again(session), again(session)
    assert here["x"] == there["x"] == 1
    call(there, "flush")
    here["x"] = 2
    with pytest.raises(UpdateError):
        call(here, "save")
    assert SessionStore(session.session_key).get("x") is None


def test_a_save_without_changes_after_the_end_raises_too(call: Lane) -> None:
    session = again(kept(x=1))
    assert session["x"] == 1
    call(again(session), "delete", session.session_key)
    with pytest.raises(UpdateError):
        call(session, "save")


def test_a_save_of_a_session_that_became_somebodys_raises() -> None:
    session = kept(x=1)
    here = again(session)
    here["x"] = 2
    get_manager().login(session.handle, "7")
    with pytest.raises(UpdateError):
        here.save()


@shows_security("V-13")
def test_parallel_requests_keep_different_keys_and_nested_ones() -> None:
    session = kept(basket={"a": 1}, x=0)
    one, two = again(session), again(session)
    one["basket"]["b"] = 1
    two["basket"]["c"] = 1
    two["x"] = 5
    assert one.modified
    one.save()
    two.save()
    assert dict(again(session).items()) == {"basket": {"a": 1, "b": 1, "c": 1}, "x": 5}


def test_a_save_leaves_the_objects_in_place() -> None:
    session = kept(basket={"a": 1})
    inner = session["basket"]
    session.save()
    inner["b"] = 2
    assert session.modified
    session.save()
    assert again(session)["basket"] == {"a": 1, "b": 2}


def test_values_are_more_than_json() -> None:
    values = {"t": (1, 2), "d": datetime(2026, 1, 2, tzinfo=UTC), "n": Decimal("1.10"), "b": b"\x00", "s": {1, 2}}
    assert dict(again(kept(**values)).items()) == values
    session = SessionStore()
    session["bad"] = {"here": object()}
    with pytest.raises(InvalidValue) as caught:
        session.save()
    assert "/bad/here" in caught.value.message


def test_an_async_view_never_waits_on_its_loop() -> None:
    session = again(kept(x=1))

    async def unprepared() -> Any:
        return session["x"]

    async def prepared() -> Any:
        await session.aload()
        return session["x"], session.handle, session.user_id

    with pytest.raises(SynchronousOnlyOperation):
        async_to_sync(unprepared)()
    assert async_to_sync(prepared)() == (1, session.handle, None)


BLOCKING: list[Callable[[SessionStore], object]] = [
    lambda s: s.save(),
    lambda s: s.flush(),
    lambda s: s.create(),
    lambda s: s.delete(),
    lambda s: s.exists("x"),
    lambda s: s.documents,
    lambda s: s.login("x"),
    lambda s: s.rotate(),
    lambda s: s.logout(),
    lambda s: SessionStore.clear_expired(),
]


@pytest.mark.parametrize("number", range(len(BLOCKING)))
def test_what_waits_is_refused_on_a_loop(number: int) -> None:
    session = kept(x=1)

    async def call() -> None:
        BLOCKING[number](session)

    with pytest.raises(SynchronousOnlyOperation):
        async_to_sync(call)()


# -- expiry ---------------------------------------------------------------------------------------------------------------------------------


def test_the_projects_own_expiry(call: Lane) -> None:
    session = SessionStore()
    assert call(session, "get_expiry_age") == 14 * DAY
    assert not call(session, "get_expire_at_browser_close")
    with override_settings(SESSION_EXPIRE_AT_BROWSER_CLOSE=True):
        assert call(session, "get_expire_at_browser_close")


@pytest.mark.parametrize("value", [10, timedelta(seconds=10)])
def test_seconds_and_a_duration(call: Lane, value: Any) -> None:
    session = SessionStore()
    call(session, "set_expiry", value)
    assert call(session, "get_expiry_age") in range(1, 11)
    assert timedelta(seconds=1) < call(session, "get_expiry_date") - timezone.now() <= timedelta(seconds=10)
    modification = timezone.now()
    assert call(session, "get_expiry_age", modification=modification, expiry=10) == 10
    assert call(session, "get_expiry_date", modification=modification, expiry=10) == modification + timedelta(
        seconds=10
    )
    call(session, "save")
    assert call(again(session), "get_expiry_age") in range(1, 11)


def test_a_date(call: Lane) -> None:
    session = SessionStore()
    at = timezone.now() + timedelta(seconds=100)
    call(session, "set_expiry", at)
    assert call(session, "get_expiry_date") == at
    assert call(session, "get_expiry_age") in range(60, 101)


def test_zero_is_the_browsers_session_and_none_the_projects(call: Lane) -> None:
    session = SessionStore()
    call(session, "set_expiry", 0)
    assert call(session, "get_expire_at_browser_close")
    assert call(session, "get_expiry_age") == 14 * DAY
    call(session, "set_expiry", None)
    assert not call(session, "get_expire_at_browser_close")
    call(session, "set_expiry", None)
    assert call(session, "get_expiry_age") == 14 * DAY


def test_seconds_are_of_inactivity(clock: FakeClock) -> None:
    session = kept(x=1)
    session.set_expiry(100)
    session.save()
    for _ in range(3):
        clock.advance(60)
        assert again(session).get("x") == 1  # activity
    assert again(session).get("x") == 1
    clock.advance(101)
    found = again(session)
    assert found.get("x") is None
    assert found.reason == "expired:idle"
    assert not session.exists(session.session_key)


def test_a_date_is_not_moved_by_activity(clock: FakeClock) -> None:
    session = kept(x=1)
    session.set_expiry(clock.now() + timedelta(seconds=100))
    session.save()
    clock.advance(60)
    assert again(session).get("x") == 1
    clock.advance(60)
    assert again(session).get("x") is None


def test_other_activity_does_not_prolong_what_set_expiry_said(clock: FakeClock) -> None:
    session = kept(x=1)
    session.set_expiry(100)
    session.save()
    get_manager().extend_session(str(session.handle))  # as a page's heartbeat does
    clock.advance(101)
    found = again(session)
    assert found.get("x") is None
    assert found.reason == "expired:idle"


@shows_security("V7.3.2")
def test_the_absolute_deadline_caps_all(clock: FakeClock) -> None:
    session = kept(x=1)
    session.set_expiry(1000 * DAY)
    session.save()
    assert session.get_expiry_age() == 28 * DAY
    record = get_manager().get_session(str(session.handle))
    assert record.idle_expires_at == record.absolute_expires_at
    clock.advance(28 * DAY)
    found = again(session)
    assert found.get("x") is None
    assert found.reason == "expired:absolute"


def test_none_gives_the_projects_idle_deadline_back(clock: FakeClock) -> None:
    session = kept(x=1)
    session.set_expiry(100)
    session.save()
    session.set_expiry(None)
    session.save()
    record = get_manager().get_session(str(session.handle))
    assert record.idle_expires_at == clock.now() + timedelta(days=14)


def test_reading_counts_as_activity_without_our_middleware(clock: FakeClock) -> None:
    session = kept(x=1)
    clock.advance(13 * DAY)
    assert again(session)["x"] == 1
    clock.advance(13 * DAY)
    assert again(session)["x"] == 1
    clock.advance(14 * DAY)
    assert again(session).get("x") is None


def test_clear_expired(call: Lane, clock: FakeClock) -> None:
    old = kept(x=1)
    clock.advance(14 * DAY)
    new = kept(x=2)
    call(SessionStore, "clear_expired")
    assert get_manager().get_session(str(new.handle)).ended_at is None
    assert not new.exists(old.session_key)
    events = get_manager().audit.events(f"session:{old.handle}")
    assert [event.data for event in events if event.type == "session_ended"] == [{"reason": "expired"}]
