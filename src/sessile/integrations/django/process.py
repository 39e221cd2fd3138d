"""What one process has: the manager, the cookie's rules, and threads for `async def` code. Made when first asked for, anew when settings change (in
tests)."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from django.core.signals import setting_changed
from django.utils.asyncio import async_unsafe

from sessile.engine.sessions import expiry_policy
from sessile.integrations.django.configuration import NAME, Configuration, configuration
from sessile.integrations.django.cookies import DjangoCookies
from sessile.model.expiry import ExpiryPolicy
from sessile.ports import Clock
from sessile.runtime import hosting
from sessile.runtime.blocking import SessionManager
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.web.blocking_session import finished

T = TypeVar("T")
_THREADS_MAX: Final = 32
_SETTINGS: Final = frozenset({NAME, "BASE_DIR", "CSRF_TRUSTED_ORIGINS", "SESSION_COOKIE_AGE", "SESSION_COOKIE_NAME"})
"""What the manager and the cookie's rules are made from."""


class Process:
    """`clock` for tests. Raises ImproperlyConfigured."""

    def __init__(self, found: Configuration, *, clock: Clock | None = None) -> None:
        settings = found.settings
        self.settings = settings
        self.public = found.public
        self.manager = SessionManager(settings, clock=clock)
        self.finished = finished(self.manager)
        self.cookies = DjangoCookies(settings)
        self.expiry = _expiry(settings)
        settings.subscribe(lambda _change: self._follow_settings())
        self._threads: ThreadPoolExecutor | None = None
        self.on_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncSessionManager] = WeakKeyDictionary()
        """Managers of event loops that the service runs on; others have none."""
        hosting.offer(self)

    def _follow_settings(self) -> None:
        self.expiry = _expiry(self.settings)

    def loop_manager(self) -> AsyncSessionManager:
        """Another manager on the same store, for an event loop in this process. Who asks for it opens and closes it."""
        manager = self.manager
        return AsyncSessionManager(manager.settings, store=manager.serving.store_beside(), clock=manager.clock)

    def begin_serving(self) -> None:
        """A request is about to use the store: from now on there is background work. Again is no harm and costs little."""
        if not self.manager.serving.has_begun:
            self.manager.serving.begin(with_background=not hosting.is_hosted())  # hosted, the service beside us does it

    async def in_thread(self, work: Callable[..., T], *args: Any) -> T:
        """Has blocking work done without holding up the event loop."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS_MAX, "sessile-django")
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args))

    def opened(self) -> SessionManager:
        """The manager, open. Raises StoreUnavailable, ConfigurationError."""
        if not self.manager.is_open:
            self.manager.open()
        return self.manager

    def leave_parent(self) -> None:
        """In a child process: the threads are the parent's. (The manager sees to its connections by itself.)"""
        self._threads = None

    def close(self) -> None:
        """Ends the threads and lets go of the store."""
        if self._threads is not None:
            self._threads.shutdown(wait=True)
        if self.manager.is_open:
            self.manager.close()


class _Here:
    """The one of this process."""

    def __init__(self) -> None:
        self.process: Process | None = None
        self.lock = threading.Lock()
        self.on_close: list[Callable[[], None]] = []
        os.register_at_fork(after_in_child=self._leave_parent)

    def _leave_parent(self) -> None:
        self.lock = threading.Lock()
        if self.process is not None:
            self.process.leave_parent()


_here: Final = _Here()


def here() -> Process:
    """What this process has. Raises ImproperlyConfigured."""
    process = _here.process
    if process is None:
        with _here.lock:
            if _here.process is None:
                _here.process = Process(configuration())
            process = _here.process
    return process


def use(process: Process) -> None:
    """From now on this one, in the place of one that was made from the project's settings: for tests."""
    close()
    _here.process = process


def get_manager() -> SessionManager:
    """The blocking facade of this process, open: for scripts, commands and jobs. Raises StoreUnavailable, ImproperlyConfigured."""
    return here().opened()


def close() -> None:
    """Lets go of the store, at the end of a process or a test. Again is no harm; what comes next makes everything anew."""
    with _here.lock:
        process, _here.process = _here.process, None
    for work in _here.on_close:
        work()
    if process is not None:
        process.close()


def at_close(work: Callable[[], None]) -> None:
    """`work` belongs to what `close` ends."""
    _here.on_close.append(work)


@async_unsafe(
    "This would wait for the store on the event loop. In `async def` code first `await request.session.aload()`, or use the "
    "methods whose names begin with `a`."
)
def refuse_on_loop() -> None:
    """Raises SynchronousOnlyOperation where an event loop runs in this thread."""


def _expiry(settings: Settings) -> ExpiryPolicy:
    return expiry_policy(
        settings.idle_timeout_s,
        settings.absolute_timeout_s,
        settings.rotation_window_s,
        settings.remember_timeout_s,
    )


def _settings_changed(*, setting: str, **_named: Any) -> None:
    if setting in _SETTINGS:
        close()


setting_changed.connect(_settings_changed)
