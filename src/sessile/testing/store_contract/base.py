"""How a contract test becomes a pytest test: in each lane, with a lab, from one coroutine."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sessile.ports import Cache, Store
from sessile.testing.lab import Lab
from sessile.testing.lanes import LANES


class Contract:
    """Base of the groups. Every `async def test_...(self, lab)` is wrapped when its class is made, so no plugin is needed."""

    lanes: ClassVar[tuple[str, ...]] = ("blocking", "asyncio")
    """The lanes that the store has."""
    is_shared: ClassVar[bool] = True
    """Whether two stores can be on the same rows, as two processes are."""
    is_polled: ClassVar[bool] = True
    """Whether `poll` is how a store hears of what others committed; False: news comes by itself, or not at all."""

    def make_store(self, lane: str, place: Path) -> Store:
        """A store of that lane, not opened yet. Stores made with the same `place` (a folder of this test) are on the same rows."""
        raise NotImplementedError

    def make_cache(self, lane: str, place: Path) -> Cache | None:
        """A cache of that lane in front of the store; None: without one. Caches made with the same `place` are on the same server."""
        return None

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name, test in list(vars(cls).items()):
            if name.startswith("test_") and inspect.iscoroutinefunction(test):
                setattr(cls, name, _in_lane(test))

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each lane."""
        if "lab" in metafunc.fixturenames:
            metafunc.parametrize("lab", self.lanes, indirect=True)

    @pytest.fixture
    def lab(self, request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
        """Stores, engines and a clock for one test in one lane."""
        return Lab(LANES[request.param], self.make_store, tmp_path, self.make_cache)

    def shared_only(self) -> None:
        """Skips a test of several stores where there can only be one."""
        if not self.is_shared:
            pytest.skip("this store is for one process")


def _in_lane(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(self: Contract, lab: Lab, **arguments: Any) -> None:
        async def body() -> None:
            try:
                await test(self, lab, **arguments)
            finally:
                await lab.close()

        lab.lane.run(body())

    return run
