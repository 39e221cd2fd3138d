"""Presence: leases of devices on nodes, and what the first and the last of them change. Times stand still unless a test moves them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

import pytest

from sessile.engine.presence import PresenceEngine
from sessile.model.document import Actor, DocumentDevice
from sessile.model.errors import DocumentNotFound, InvalidValue, SessionEnded
from sessile.model.events import Event, EventKind
from sessile.model.presence import DeviceReport, PresenceLease, SessionPresence
from sessile.model.session import EndReason, Session
from sessile.ports import Store, Transaction
from sessile.testing.lab import EVE, LEASE_S, PHONE, Bench, Lab, failed, only, put
from sessile.testing.store_contract.base import Contract

A: Final = "node-a"
B: Final = "node-b"
LAPTOP: Final = "01900000-0000-7000-8000-00000000000a"


@dataclass
class Scene:
    """Ada's session with the document `form` open on her laptop."""

    bench: Bench
    session_id: str
    document_id: str
    actor: Actor

    def leases(self, node_id: str = A, *, device_id: str = LAPTOP, **more: Any) -> list[PresenceLease]:
        """One of the session and one of the document, as a node holds them for a device."""
        now = self.bench.clock.now()
        own = PresenceLease(
            node_id=node_id,
            session_id=self.session_id,
            device_id=device_id,
            seen_at=now,
            lease_until=now + timedelta(seconds=LEASE_S),
        )
        return [own, replace(own, document_id=self.document_id, **{"label": "Laptop", **more})]

    async def connect(self, node_id: str = A, **more: Any) -> list[PresenceLease]:
        leases = self.leases(node_id, **more)
        await self.bench.presence.connected(leases)
        return leases

    async def session(self) -> Session:
        found: Session | None = await self.bench.store.read(lambda tx: tx.sessions.get(self.session_id))
        assert found is not None
        return found

    async def device(self) -> DocumentDevice:
        found: DocumentDevice | None = await self.bench.store.read(
            lambda tx: tx.documents.device(self.document_id, LAPTOP)
        )
        assert found is not None
        return found

    async def told(self) -> list[str]:
        """What the audit log says of coming and going, of the session and of the document."""
        streams = [f"session:{self.session_id}", f"document:{self.document_id}"]
        events = [event.type for stream in streams for event in await self.bench.audit(stream)]
        return [kind for kind in events if kind.endswith("connected")]


AWAY: Final = ["session_disconnected", "device_disconnected"]
BACK: Final = ["session_disconnected", "session_reconnected", "device_disconnected", "device_reconnected"]


class PresenceContract(Contract):
    """Rows of presence, and the engine's promises about them."""

    async def _scene(self, lab: Lab, bench: Bench | None = None) -> Scene:
        bench = bench or await lab.open()
        session_id = (await bench.sessions.create("ada")).session.session_id
        actor = Actor(user_id="ada", session_id=session_id, device_id=LAPTOP)
        document_id = (await bench.document({}, actor)).document.document_id
        return Scene(bench, session_id, document_id, actor)

    # -- rows ---------------------------------------------------------------------------------------------------------

    async def test_leases_are_replaced_renewed_and_removed_by_their_keys(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        here, there = scene.leases(A), scene.leases(B)
        until = scene.bench.clock.now() + timedelta(seconds=100)

        def work(tx: Transaction) -> list[Any]:
            tx.presence.put([*there, *here])
            tx.presence.put([replace(here[1], tabs=3, visible=False, version=7, is_following=False, label="x")])
            tx.presence.advance([replace(there[1], version=9), replace(here[1], node_id="nobody", version=9)])
            renewed = tx.presence.renew(A, until)
            tx.presence.remove([there[0].key])
            return [renewed, tx.presence.renew("nobody", until)]

        assert await scene.bench.store.write(work) == [2, 0]
        keys = [lease.key for lease in (*there, *here)]
        assert await scene.bench.store.read(lambda tx: tx.presence.get_many([*keys, keys[0]])) == [
            replace(here[0], lease_until=until),
            replace(here[1], tabs=3, visible=False, version=7, is_following=False, label="x", lease_until=until),
            replace(there[1], version=9),
        ]
        found = await scene.bench.store.read(lambda tx: tx.presence.of_document(scene.document_id))
        assert [lease.node_id for lease in found] == [A, B]

    async def test_a_lease_is_over_at_its_end(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        first, second = scene.leases(A), scene.leases(B)
        end = first[0].lease_until
        second = [replace(lease, lease_until=end + timedelta(seconds=1)) for lease in second]
        await scene.bench.store.write(lambda tx: tx.presence.put([*second, *first]))

        def look(tx: Transaction) -> list[list[str]]:
            found: Sequence[Sequence[PresenceLease]] = (
                tx.presence.of_document(scene.document_id, end),
                tx.presence.of_sessions([scene.session_id, "nobody"], end),
                tx.presence.of_sessions([scene.session_id]),
                tx.presence.lapsed(end, 10),
                tx.presence.lapsed(end + timedelta(seconds=1), 3),
                tx.presence.lapsed(end - timedelta(seconds=1), 10),
            )
            return [[lease.node_id for lease in leases] for leases in found]

        assert await scene.bench.store.read(look) == [[B], [B], [A, B], [A, A], [A, A, B], []]

    async def test_versions_are_those_of_the_documents_that_there_are(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        await scene.bench.take(PHONE, scene.document_id, 1, 0, put("/a", 1))
        found = await scene.bench.store.write(
            lambda tx: tx.documents.versions(["nothing", scene.document_id], lock=True)
        )
        assert found == {scene.document_id: 1}

    # -- transitions --------------------------------------------------------------------------------------------------

    async def test_who_comes_for_the_first_time_is_not_back(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        await scene.connect()
        assert await scene.told() == []
        session, device = await scene.session(), await scene.device()
        assert (session.disconnected_at, session.reconnected_at) == (None, None)
        assert (device.disconnected_at, device.reconnected_at, device.label) == (None, None, "Laptop")

    async def test_the_last_connection_over_all_nodes_disconnects_once(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        here, there = await scene.connect(A), await scene.connect(B)
        await scene.bench.presence.disconnected(here)
        assert await scene.told() == [], "it is still on the other node"
        assert (await scene.session()).disconnected_at is None
        lab.clock.advance(5)
        for _ in range(2):
            await scene.bench.presence.disconnected(there)
        assert await scene.told() == AWAY
        now = lab.clock.now()
        assert ((await scene.session()).disconnected_at, (await scene.device()).disconnected_at) == (now, now)
        event = (await scene.bench.audit(f"document:{scene.document_id}"))[-1]
        assert (event.user_id, event.session_id, dict(event.data)) == (
            "ada", scene.session_id, {"device_no": 1, "label": "Laptop"},
        )  # fmt: skip

    async def test_what_was_never_there_is_not_disconnected(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        await scene.bench.presence.disconnected(scene.leases())
        assert await scene.told() == []
        assert (await scene.session()).disconnected_at is None

    async def test_the_first_connection_after_that_reconnects_once(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        before = await scene.session()
        await scene.bench.presence.disconnected(await scene.connect(A))
        lab.clock.advance(5)
        for node_id in (B, B, A):
            await scene.connect(node_id)
        assert await scene.told() == BACK
        session, device, now = await scene.session(), await scene.device(), lab.clock.now()
        assert (session.reconnected_at, device.reconnected_at) == (now, now)
        assert session.version == before.version, "nothing that a page shows has changed"

    async def test_a_device_that_is_away_already_is_not_disconnected_again(self, lab: Lab) -> None:
        # Rows that nothing put in order: a lease of somebody who is away. Its removal is no second disconnection.
        scene = await self._scene(lab)
        leases = await scene.connect()
        await scene.bench.presence.disconnected(leases)
        await scene.bench.store.write(lambda tx: tx.presence.put(leases))
        await scene.bench.presence.disconnected(leases)
        assert await scene.told() == AWAY

    async def test_a_report_alone_is_no_connection(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        await scene.bench.presence.disconnected(await scene.connect())
        await scene.bench.presence.connected([], [DeviceReport(scene.session_id, LAPTOP, {"label": "Mine"})])
        assert await scene.told() == AWAY
        assert dict((await scene.session()).device) == {"label": "Mine"}

    async def test_coming_and_going_at_the_same_moment_stay_apart(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        for _ in range(2):
            await scene.bench.presence.disconnected(await scene.connect())
        assert await scene.told() == [BACK[0], BACK[1], BACK[0], BACK[2], BACK[3], BACK[2]]
        lab.clock.advance(-3600)
        await scene.bench.presence.disconnected(await scene.connect())
        session = await scene.session()
        assert session.disconnected_at is not None
        assert session.reconnected_at is not None
        assert session.disconnected_at > session.reconnected_at, "a clock that was set back confuses nobody"

    async def test_an_ended_session_gets_nothing_any_more(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        leases = await scene.connect()
        await scene.bench.sessions.end(scene.session_id, EndReason.LOGOUT)
        ended = await scene.session()
        await scene.bench.presence.connected(
            scene.leases(B), [DeviceReport(scene.session_id, LAPTOP, {"label": "Late"})]
        )
        assert await scene.bench.store.read(
            lambda tx: [e.node_id for e in tx.presence.of_document(scene.document_id)]
        ) == [A]
        await scene.bench.presence.disconnected(leases)
        assert await scene.session() == ended
        assert [event.type for event in await scene.bench.audit(f"session:{scene.session_id}")][-1] == "session_ended"
        assert (await scene.device()).disconnected_at == lab.clock.now(), "the document is not the session's"

    async def test_what_the_device_had_is_kept_with_what_it_had_sent(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        for seq in (1, 2, 3):
            await scene.bench.take(scene.actor, scene.document_id, seq, seq - 1, put("/a", seq))
        here, there = await scene.connect(A, version=1), await scene.connect(B, version=0)
        await scene.bench.presence.disconnected(there)
        await scene.bench.presence.disconnected([replace(lease, version=2) for lease in here])
        device = await scene.device()
        assert (device.seen_version, device.last_seq, device.is_primary) == (2, 3, True)
        await scene.connect(A, version=99)
        await scene.bench.presence.disconnected(scene.leases(A, version=99))
        assert (await scene.device()).seen_version == 3, "nobody has more than there is"

    async def test_leases_of_what_is_gone_are_removed_all_the_same(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        own, of_document = await scene.connect()
        await scene.bench.store.write(lambda tx: tx.documents.delete([scene.document_id]))
        await scene.bench.presence.disconnected([of_document])
        await scene.bench.presence.connected([replace(of_document, node_id=B)])
        await scene.bench.presence.disconnected([replace(own, session_id="nobody")])
        assert await scene.bench.store.read(lambda tx: tx.presence.of_document(scene.document_id)) == []

    # -- nodes that die -----------------------------------------------------------------------------------------------

    async def test_the_leases_of_a_dead_node_lapse_in_bounded_batches(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        await scene.connect(A, version=0)
        lab.clock.advance(LEASE_S - 1)
        assert await scene.bench.presence.lapse(10) == 0
        lab.clock.advance(1)
        assert [await scene.bench.presence.lapse(1) for _ in range(3)] == [1, 1, 0]
        assert await scene.told() == AWAY

    async def test_a_lease_that_was_renewed_stays(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        await scene.connect(A)
        lab.clock.advance(LEASE_S - 1)
        assert await scene.bench.presence.renew(A, lab.clock.now() + timedelta(seconds=LEASE_S)) == 2
        lab.clock.advance(LEASE_S - 1)
        assert await scene.bench.presence.lapse(10) == 0

    async def test_a_node_that_renews_while_it_is_taken_for_dead_keeps_its_devices(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        await scene.connect(A)
        lab.clock.advance(LEASE_S)

        async def renew() -> None:
            await scene.bench.presence.renew(A, lab.clock.now() + timedelta(seconds=LEASE_S))

        store: Any = _Between(scene.bench.store, renew)
        sweeper = PresenceEngine(store, lab.clock, timedelta(seconds=LEASE_S))
        assert await sweeper.lapse(10) == 0
        assert await scene.told() == []

    async def test_who_is_on_another_node_outlives_the_dead_one(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        await scene.connect(A)
        lab.clock.advance(LEASE_S)
        await scene.connect(B)
        assert await scene.bench.presence.lapse(10) == 2
        assert await scene.told() == []
        assert (await scene.bench.presence.of_sessions([scene.session_id]))[scene.session_id].is_connected

    async def test_a_node_that_was_taken_for_dead_finds_out(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        leases = await scene.connect(A)
        lab.clock.advance(LEASE_S)
        await scene.bench.presence.lapse(10)
        until = lab.clock.now() + timedelta(seconds=LEASE_S)
        assert await scene.bench.presence.renew(A, until, leases) == 0
        await scene.bench.presence.connected([replace(lease, lease_until=until) for lease in leases])
        assert await scene.told() == BACK

    async def test_of_many_that_see_the_end_one_writes_it(self, lab: Lab) -> None:
        first = await lab.open()
        benches = (first, await lab.open() if self.is_shared else first)
        scene = await self._scene(lab, first)
        leases = await scene.connect(A)
        lab.clock.advance(LEASE_S)
        calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            *(partial(benches[n % 2].presence.lapse, 10) for n in range(4)),
            *(partial(benches[n % 2].presence.disconnected, leases) for n in range(2)),
        ]
        assert failed(await lab.together(*calls)) == []
        assert await scene.told() == AWAY

    # -- what is shown ------------------------------------------------------------------------------------------------

    async def test_a_device_on_two_nodes_is_one(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        await scene.bench.take(scene.actor, scene.document_id, 1, 0, put("/a", 1))
        await scene.connect(A, tabs=2, visible=False, version=0, is_following=False)
        lab.clock.advance(1)
        await scene.connect(B, tabs=1, visible=True, version=1, is_following=False, label="Newer name")
        await scene.connect("node-c")
        found = await scene.bench.presence.elsewhere(scene.document_id, "node-c")
        device = only(found.devices)
        assert (device.device_no, device.label, device.tabs, device.visible) == (1, "Newer name", 3, True)
        assert (device.behind(5), device.last_seen_at, found.primary_no) == (4, lab.clock.now(), 1)
        alone = await scene.bench.presence.elsewhere(scene.document_id, B)
        assert only(alone.devices).behind(5) == 0, "on the third node it is given everything that comes"

    async def test_every_device_of_a_document_as_it_stands(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        phone = replace(PHONE, session_id=scene.session_id)
        await scene.bench.document({}, phone)
        await scene.connect(A, version=0)
        await scene.bench.presence.disconnected(scene.leases(A))
        for seq in (1, 2):
            await scene.bench.take(phone, scene.document_id, seq, seq - 1, put("/a", seq))
        lab.clock.advance(3)
        await scene.connect(B, device_id=str(PHONE.device_id), label="Phone", tabs=2)
        laptop, other = await scene.bench.presence.of_document(scene.actor, scene.document_id)
        assert (laptop.device_no, laptop.label, laptop.is_own, laptop.is_connected) == (1, "Laptop", True, False)
        assert (laptop.behind, laptop.tabs, laptop.visible, laptop.is_primary) == (2, 0, False, False)
        assert laptop.disconnected_at == lab.clock.now() - timedelta(seconds=3)
        assert (other.device_no, other.label, other.is_own, other.is_connected) == (2, "Phone", False, True)
        assert (other.behind, other.tabs, other.visible, other.is_primary) == (0, 2, True, True)
        lab.clock.advance(LEASE_S)
        assert not (await scene.bench.presence.of_document(scene.actor, scene.document_id))[1].is_connected
        without_device = replace(scene.actor, device_id=None)
        shown = await scene.bench.presence.of_document(without_device, scene.document_id)
        assert [device.is_own for device in shown] == [True, True], "both were opened through this session"
        with pytest.raises(DocumentNotFound):
            await scene.bench.presence.of_document(EVE, scene.document_id)

    async def test_sessions_are_connected_while_a_lease_stands(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        own = scene.leases(A)[0]
        await scene.bench.presence.connected([own, replace(own, node_id=B, tabs=2, visible=False)])
        other = (await scene.bench.sessions.create("ada")).session.session_id
        found = await scene.bench.presence.of_sessions([scene.session_id, other])
        assert found == {scene.session_id: SessionPresence(True, 3, True), other: SessionPresence()}
        lab.clock.advance(LEASE_S)
        assert not (await scene.bench.presence.of_sessions([scene.session_id]))[scene.session_id].is_connected

    async def test_others_are_told_which_node_changed_what(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        scene.bench.told.clear()
        leases = await scene.connect(A)
        await scene.bench.presence.renew(A, lab.clock.now(), leases)
        await scene.bench.presence.disconnected(leases)
        await scene.connect(B)
        lab.clock.advance(LEASE_S)
        await scene.bench.presence.lapse(10)
        assert scene.bench.told == [
            Event(EventKind.PRESENCE_CHANGED, scene.document_id, detail=node) for node in (A, A, B, "")
        ]

    # -- signs of life without a socket, and what devices say of themselves --------------------------------------------

    async def test_a_heartbeat_is_a_connection_for_the_length_of_a_lease(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        for _ in range(2):
            await scene.bench.presence.heartbeat(DeviceReport(scene.session_id, LAPTOP))
            lab.clock.advance(LEASE_S - 1)
            assert await scene.bench.presence.lapse(10) == 0
        assert (await scene.bench.presence.of_sessions([scene.session_id]))[scene.session_id].is_connected
        lab.clock.advance(1)
        assert await scene.bench.presence.lapse(10) == 1
        assert await scene.told() == ["session_disconnected"]
        await scene.bench.presence.heartbeat(DeviceReport(scene.session_id, LAPTOP))
        assert (await scene.session()).reconnected_at == lab.clock.now()
        await scene.bench.sessions.end(scene.session_id, EndReason.LOGOUT)
        with pytest.raises(SessionEnded):
            await scene.bench.presence.heartbeat(DeviceReport(scene.session_id, LAPTOP))

    async def test_a_session_knows_what_its_device_says_of_itself(self, lab: Lab) -> None:
        scene = await self._scene(lab)
        report = partial(DeviceReport, scene.session_id)
        steps: list[tuple[DeviceReport, str, dict[str, str]]] = [
            (report(LAPTOP, {"language": "de"}, "Firefox"), LAPTOP, {"language": "de", "label": "Firefox"}),
            (report(LAPTOP, {"label": "Mine"}, "Firefox"), LAPTOP, {"language": "de", "label": "Mine"}),
            (report(LAPTOP, {"screen": "1x1"}, "Chrome"), LAPTOP, {"language": "de", "label": "Mine", "screen": "1x1"}),
            (report(None, {}, "Chrome"), LAPTOP, {"language": "de", "label": "Mine", "screen": "1x1"}),
            (report(str(PHONE.device_id), {}, "Safari"), str(PHONE.device_id), {"label": "Safari"}),
        ]
        for said, device_id, device in steps:
            await scene.bench.presence.heartbeat(said)
            session = await scene.session()
            assert (session.device_id, dict(session.device)) == (device_id, device)
        with pytest.raises(InvalidValue):
            await scene.bench.presence.heartbeat(report(LAPTOP, {"label": "x" * 201}))
        with pytest.raises(InvalidValue):
            await scene.bench.presence.heartbeat(report(LAPTOP, {"label": 1}))


class _Between:
    """A store on which something else happens between a look and what is made of it."""

    def __init__(self, store: Store, happens: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._store = store
        self._happens = happens

    async def read(self, work: Callable[..., Any], *args: Any) -> Any:
        seen = await self._store.read(work, *args)
        await self._happens()
        return seen

    async def write(self, work: Callable[..., Any], *args: Any) -> Any:
        return await self._store.write(work, *args)
