"""What a node writes of the presence it holds: together, bounded, renewed, and late rather than never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sessile.model.errors import StoreUnavailable
from sessile.model.presence import HTTP_NODE, DeviceReport, PresenceKey, PresenceLease
from sessile.server.realtime import leases as module
from sessile.server.realtime.leases import Leases, Reach

pytestmark = pytest.mark.virtual_time

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)


class Rows:
    """A store of leases as small as can be. `away` calls are refused, or with `is_lost` done without an answer."""

    def __init__(self) -> None:
        self.rows: dict[PresenceKey, PresenceLease] = {}
        self.calls: list[tuple[str, Any]] = []
        self.reports: list[DeviceReport] = []
        self.away = 0
        self.is_lost = False
        self._called = asyncio.Condition()

    async def connected(self, leases: Sequence[PresenceLease], reports: Sequence[DeviceReport] = ()) -> None:
        def work() -> None:
            self.rows.update({lease.key: lease for lease in leases})
            self.reports += reports

        await self._call("connected", [lease.key.document_id for lease in leases], work)

    async def disconnected(self, leases: Sequence[PresenceLease]) -> None:
        def work() -> None:
            for lease in leases:
                self.rows.pop(lease.key, None)

        await self._call("disconnected", [(lease.key.document_id, lease.version) for lease in leases], work)

    async def renew(self, node_id: str, until: datetime, advanced: Sequence[PresenceLease] = ()) -> int:
        stays = (until - NOW).total_seconds()
        await self._call("renew", (stays, [lease.version for lease in advanced]), lambda: None)
        return sum(lease.node_id == node_id for lease in self.rows.values())

    async def _call(self, name: str, told: Any, work: Callable[[], None]) -> None:
        is_away, self.away = self.away > 0, max(0, self.away - 1)
        if not is_away or self.is_lost:
            work()
        async with self._called:
            self.calls.append((name, told))
            self._called.notify_all()
        if is_away:
            raise StoreUnavailable

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5), self._called:
            await self._called.wait_for(condition)

    def of(self, name: str) -> list[Any]:
        return [told for call, told in self.calls if call == name]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_DELAY_S", 0.01)
    monkeypatch.setattr(module, "RETRY_S", 0.01)


@pytest.fixture
def node() -> Node:
    return Node()


class Node:
    def __init__(self, *, lease_s: float = 3500, linger_s: float = 0.02) -> None:
        self.store = Rows()
        presence: Any = self.store
        self.leases = Leases(presence, now=lambda: NOW, lease_s=lease_s, linger_s=linger_s)
        self.reach = {"d": Reach(5, True)}

    def join(self, tab: str, document_id: str = "d", *, visible: bool = True) -> PresenceKey:
        key = self.leases.key("s", "device", document_id)
        reach = self.reach
        self.leases.join(tab, key, label="Laptop", visible=visible, reach=lambda: reach.get(document_id, Reach()))
        return key

    def row(self, key: PresenceKey) -> PresenceLease:
        return self.store.rows[key]


async def test_what_happens_within_a_moment_is_written_once(node: Node) -> None:
    key = node.join("a", visible=False)
    node.join("b", visible=False)
    node.leases.show("b", key, visible=True)
    node.leases.leave("a", key)
    await node.store.until(lambda: bool(node.store.calls))
    assert node.store.calls == [("connected", ["d"])]
    row = node.row(key)
    assert (row.tabs, row.visible, row.version, row.is_following, row.label) == (1, True, 5, True, "Laptop")
    assert (row.seen_at, row.lease_until) == (NOW, NOW + timedelta(seconds=3500))
    await node.leases.close()


async def test_a_device_leaves_a_while_after_its_last_tab_with_how_far_it_had_come(node: Node) -> None:
    key = node.join("a")
    await node.store.until(lambda: bool(node.store.calls))
    node.reach["d"] = Reach(8, True)
    node.leases.leave("a", key)
    await node.store.until(lambda: bool(node.store.of("disconnected")))
    assert node.store.of("disconnected") == [[("d", 8)]]
    assert node.store.rows == {}


async def test_a_device_that_comes_back_in_time_never_left() -> None:
    node = Node(linger_s=0.2)
    key = node.join("a")
    await node.store.until(lambda: bool(node.store.calls))
    node.leases.leave("a", key)
    await node.store.until(lambda: len(node.store.of("connected")) == 2)
    assert (node.row(key).tabs, node.row(key).is_following) == (0, False)
    node.join("b")
    await node.store.until(lambda: len(node.store.of("connected")) == 3)
    assert (node.row(key).tabs, node.row(key).is_following) == (1, True)
    await asyncio.sleep(0.3)
    assert node.store.of("disconnected") == []
    await node.leases.close()


async def test_a_device_that_comes_back_while_its_removal_waits_for_the_store_is_there(node: Node) -> None:
    key = node.join("a")
    await node.store.until(lambda: bool(node.store.calls))
    node.store.away = 10**6
    node.leases.leave("a", key)
    await node.store.until(lambda: bool(node.store.of("disconnected")))
    node.join("b")
    node.store.away = 0
    tried, put = len(node.store.of("disconnected")), len(node.store.of("connected"))
    await node.store.until(lambda: len(node.store.of("connected")) > put)
    assert node.row(key).tabs == 1
    assert len(node.store.of("disconnected")) == tried, "nobody is told of a leave that did not come about"
    await node.leases.close()


async def test_an_outage_delays_and_loses_nothing(node: Node) -> None:
    node.store.away = 3
    key = node.join("a")
    node.leases.report(DeviceReport("s", "device", {"label": "Mine"}))
    await node.store.until(lambda: key in node.store.rows)
    assert node.store.of("connected") == [["d"]] * 4
    assert [report.facts for report in node.store.reports] == [{"label": "Mine"}]
    node.store.away = 2
    node.leases.leave("a", key)
    await node.store.until(lambda: not node.store.rows)
    assert node.store.away == 0
    assert node.store.of("disconnected")[-1] == [("d", 5)]


async def test_what_may_have_been_written_is_removed_in_any_case(node: Node) -> None:
    node.store.away, node.store.is_lost = 1, True
    key = node.join("a")
    await node.store.until(lambda: bool(node.store.calls))
    node.leases.leave("a", key)
    await node.store.until(lambda: bool(node.store.of("disconnected")))
    assert node.store.rows == {}


async def test_a_renewal_is_one_call_and_tells_who_came_further() -> None:
    node = Node(lease_s=0.35)
    node.reach["e"] = Reach(1, False)
    keys = [node.join("a"), node.join("a", "e"), node.join("a", "")]
    await node.store.until(lambda: bool(node.store.calls))
    node.reach["d"] = Reach(9, True)
    await node.store.until(lambda: len(node.store.of("renew")) == 2)
    assert node.store.of("renew") == [(0.35, [9]), (0.35, [])]
    assert len(node.store.of("connected")) == 1
    node.reach["d"] = Reach(9, False)
    await node.store.until(lambda: len(node.store.of("connected")) == 2)
    assert node.store.of("connected")[1] == ["d"], "that one fell behind is told to the other nodes, at once"
    assert not node.row(keys[0]).is_following
    node.reach["e"] = Reach(2, False)
    await node.store.until(lambda: len(node.store.of("connected")) == 3)
    assert node.row(keys[1]).version == 2
    await node.leases.close()


async def test_a_node_that_was_taken_for_dead_puts_everything_again() -> None:
    node = Node(lease_s=0.35)
    key = node.join("a")
    await node.store.until(lambda: bool(node.store.calls))
    node.store.rows.clear()
    await node.store.until(lambda: len(node.store.of("connected")) == 2)
    assert key in node.store.rows
    await node.leases.close()


async def test_a_node_that_goes_away_leaves_its_devices_time_to_come_back() -> None:
    node = Node(linger_s=20)
    key = node.join("a")
    await node.store.until(lambda: bool(node.store.calls))
    node.reach["d"] = Reach(9, True)
    node.leases.leave("a", key)
    await node.leases.close()
    assert node.store.of("renew") == [(20.0, [9])]
    assert node.store.of("disconnected") == []
    assert node.leases.key("s", "device", "d") != key, "who comes after that is not renewed with those who left"


async def test_a_store_that_is_away_does_not_keep_a_node_from_going(node: Node) -> None:
    node.join("a")
    await node.store.until(lambda: bool(node.store.calls))
    node.store.away = 1
    await node.leases.close()
    assert node.store.of("renew") == [(10.0, [5])]
    assert len(node.store.rows) == 1


async def test_batches_are_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_MAX", 2)
    keys = [node.join("a", str(number)) for number in range(5)]
    await node.store.until(lambda: len(node.store.of("connected")) == 3)
    assert sorted(len(batch) for batch in node.store.of("connected")) == [1, 2, 2]
    for key in keys:
        node.leases.leave("a", key)
    await node.store.until(lambda: len(node.store.of("disconnected")) == 3)
    assert [len(batch) for batch in node.store.of("disconnected")] == [2, 2, 1]


async def test_signs_of_life_without_a_socket_are_written_now_and_then() -> None:
    node = Node(lease_s=0.35)
    for _ in range(3):
        node.leases.beat("s", "device")
    await node.store.until(lambda: bool(node.store.calls))
    row = node.row(PresenceKey(HTTP_NODE, "s", "device", ""))
    assert (row.tabs, row.lease_until) == (0, NOW + timedelta(seconds=0.35))
    node.leases.beat("s", "device")
    node.leases.beat("s", "other")
    await node.store.until(lambda: PresenceKey(HTTP_NODE, "s", "other", "") in node.store.rows)
    assert node.store.of("connected") == [[""], [""]], "the first device was written a moment ago"
    await asyncio.sleep(0.12)
    node.leases.beat("s", "device")
    await node.store.until(lambda: len(node.store.of("connected")) == 3)
    assert node.store.of("renew") == [], "no node renews them"
    await node.leases.close()


async def test_nothing_runs_when_there_is_nothing_to_hold(node: Node) -> None:
    key = node.join("a")
    node.leases.leave("a", key)
    await node.store.until(lambda: bool(node.store.of("disconnected")))
    async with asyncio.timeout(5):
        while any(task.get_name() == "sessile-leases" for task in asyncio.all_tasks()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
