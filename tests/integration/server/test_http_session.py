"""Sessions over HTTP: what a page learns, signs of life, a new token, logging out, other devices, the trusted service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sessile.model.errors import StoreUnavailable
from sessile.model.health import PoolStatus
from sessile.server.app import Service, owns_path
from sessile.testing import shows
from sessile.testing.shows import shows_security
from tests.integration.server.peer import device
from tests.integration.server.running import SERVICE_KEY, SettableClock, client_of, service_of


async def issued(service: Service, user_id: str | None = "ada") -> Any:
    await service.open()
    return await service.manager.create_session(user_id, public={"name": "Ada"} if user_id else None)


@shows("D03", "A02", "http")
async def test_session_state_has_exactly_what_is_promised() -> None:
    async with service_of(clock=SettableClock()) as service:
        made = await issued(service)
        async with client_of(service, token=made.token) as client:
            answer = await client.get("/api/session_state")
        assert answer.status_code == 200
        assert answer.json() == {
            "success": True,
            "user": {"id": "ada", "name": "Ada"},
            "platform": None,
            "session": {
                "session_id": made.session.session_id,
                "created_at": "2026-04-01T12:00:00.000Z",
                "last_activity": "2026-04-01T12:00:00.000Z",
            },
            "timestamp": "2026-04-01T12:00:00.000Z",
        }
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["vary"] == "Cookie"
        assert made.token not in answer.text


@shows("D03", "A12", "http")
async def test_session_state_without_a_session_says_why() -> None:
    clock = SettableClock()
    async with service_of(clock=clock) as service:
        ended = await issued(service)
        await service.manager.destroy_session(ended.session.session_id)
        expired = await issued(service)
        clock.advance(90_000)
        superseded = await issued(service, None)
        await service.manager.login(superseded.session.session_id, "ada")
        for token, reason in (
            (None, "no_cookie"),
            ("nonsense", "unknown"),
            (ended.token, "ended:logout"),
            (expired.token, "expired:idle"),
            (superseded.token, "unknown"),
        ):
            async with client_of(service, token=token) as client:
                answer = await client.get("/api/session_state")
                assert (answer.status_code, answer.json()["success"], answer.json()["reason"]) == (401, False, reason)
                page = await client.get("/api/v0/session")
                assert (page.status_code, page.json()["session"], page.json()["reason"]) == (200, None, reason)
                assert "set-cookie" not in answer.headers


@shows("A12", "H04", "http")
@shows_security("V16.5.2")
async def test_an_outage_is_503_and_never_401_and_sets_no_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    async with service_of() as service:
        made = await issued(service)

        async def away(_token: str) -> None:
            raise StoreUnavailable

        monkeypatch.setattr(service.manager, "authenticate", away)
        async with client_of(service, token=made.token) as client:
            for path in ("/api/session_state", "/api/v0/session", "/api/v0/sessions", "/api/v0/documents"):
                answer = await client.get(path)
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) > 0
                assert "set-cookie" not in answer.headers
            assert (await client.get("/api/v0/session/check-connection")).status_code == 200
            assert (await client.get("/healthz")).status_code == 200


@shows("A11", "http")
async def test_readiness_tells_an_outage_and_a_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    async with service_of() as service, client_of(service) as client:
        assert (await client.get("/readyz")).json()["status"] == "ok"

        async def away() -> None:
            raise StoreUnavailable

        with monkeypatch.context() as outage:
            outage.setattr(service.manager, "health", away)
            outage.setattr(service.manager, "pool", lambda: PoolStatus(2, 2, 2, 3))
            refused = await client.get("/readyz")
            assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
            assert refused.json()["store"]["pool"] == {"size": 2, "in_use": 2, "size_max": 2, "waiting": 3}
        await service.drain()
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "draining")


@shows("A11", "http")
async def test_readiness_says_how_the_store_is_doing(tmp_path: Path) -> None:
    async with service_of() as service, client_of(service) as client:
        store = (await client.get("/readyz")).json()["store"]
        assert store["latency_ms"] > 0
        assert store["pool"] is None
    async with (
        service_of(database_url=f"sqlite:///{tmp_path}/a.db", pool_size=3) as service,
        client_of(service) as client,
    ):
        pool = (await client.get("/readyz")).json()["store"]["pool"]
        assert pool["size_max"] == 3
        assert 0 <= pool["in_use"] <= pool["size"] <= 3, "the background work has one of them now and then"


def sample(text: str, name: str) -> float:
    return float(next(line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"{name} ")))


async def test_metrics_tell_an_outage_and_answer_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {
        "database_url": f"sqlite:///{tmp_path}/a.db",
        "redis_url": "redis://127.0.0.1:1",
        "pool_size": 3,
    }
    async with service_of(**settings) as service, client_of(service) as client:
        answer = await client.get("/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        shown = answer.text
        assert (sample(shown, "sessile_store_up"), sample(shown, "sessile_pool_size_max")) == (1, 3)
        assert (sample(shown, "sessile_sockets"), sample(shown, "sessile_draining")) == (0, 0)
        assert sample(shown, "sessile_cache_used") == 0
        assert (
            sum(
                sample(shown, f'sessile_cache_link{{state="{state}"}}') for state in ("up", "connecting", "down", "new")
            )
            == 1
        )
        families = [line.split()[2] for line in shown.splitlines() if line.startswith("# TYPE")]
        assert len(families) == len(set(families)), "each once"

        async def away() -> None:
            raise StoreUnavailable

        monkeypatch.setattr(service.manager, "health", away)
        answer = await client.get("/metrics")
        assert (answer.status_code, sample(answer.text, "sessile_store_up")) == (200, 0)
        assert "sessile_store_latency_seconds" not in answer.text


async def test_an_anonymous_session_is_shown_as_such() -> None:
    async with service_of() as service:
        made = await issued(service, None)
        async with client_of(service, token=made.token) as client:
            page = (await client.get("/api/v0/session")).json()
            assert (page["authenticated"], page["reason"], page["session"]["user"]) == (False, "anonymous", None)
            assert [s["is_current"] for s in (await client.get("/api/v0/sessions")).json()["sessions"]] == [True]
            assert (await client.post("/api/v0/session/logout-others")).status_code == 401


async def test_refresh_gives_a_new_token_and_the_old_one_serves_what_is_under_way() -> None:
    async with service_of() as service:
        made = await issued(service)
        async with client_of(service, token=made.token) as client:
            answer = await client.post("/api/v0/session/refresh")
            cookie = answer.headers["set-cookie"]
            renewed = cookie.partition("=")[2].partition(";")[0]
            assert renewed != made.token
            assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
            assert renewed not in answer.text
        async with client_of(service, token=made.token) as client:  # another tab, a moment late
            answer = await client.post("/api/v0/session/refresh")
            assert answer.status_code == 200
            assert "set-cookie" not in answer.headers
        async with client_of(service, token=renewed) as client:
            assert (await client.get("/api/v0/session")).json()["authenticated"] is True


async def test_a_program_gets_its_new_token_in_the_body() -> None:
    async with service_of() as service:
        made = await issued(service)
        async with client_of(service, origin=False) as client:
            headers = {"authorization": f"Bearer {made.token}"}
            answer = await client.post("/api/v0/session/refresh", headers=headers)
            renewed = answer.json()["token"]
            assert "set-cookie" not in answer.headers
            answer = await client.get("/api/v0/session", headers={"authorization": f"Bearer {renewed}"})
            assert answer.json()["authenticated"] is True


@shows("A03", "http")
@shows_security("V7.4.1", "C-8")
async def test_logout_ends_the_session_and_the_cookie_and_again_is_no_harm() -> None:
    async with service_of() as service:
        made = await issued(service)
        async with client_of(service, token=made.token) as client:
            answer = await client.post("/api/v0/session/logout")
            assert answer.status_code == 204
            assert "Max-Age=0" in answer.headers["set-cookie"]
            assert (await client.get("/api/session_state")).status_code == 401
        async with client_of(service, token=made.token) as client:
            again = await client.post("/api/v0/session/logout")
            assert again.status_code == 204
        async with client_of(service, base_url="http://a.host.without.https") as client:
            assert (await client.post("/api/v0/session/logout")).status_code == 204


async def test_a_late_logout_does_not_take_away_the_cookie_of_a_newer_login() -> None:
    async with service_of() as service:
        before = await service.manager.create_session()
        await service.manager.login(before.session.session_id, "ann")
        for token in (before.token, f"{before.session.session_id}.{'A' * 43}"):
            async with client_of(service, token=token) as client:
                answer = await client.post("/api/v0/session/logout")
                assert answer.status_code == 204
                assert "set-cookie" not in answer.headers
        assert await service.manager.validate_session(before.session.session_id)


@shows("A03", "A06", "http")
@shows_security("V7.5.2")
async def test_own_sessions_can_be_listed_and_ended_and_others_do_not_exist() -> None:
    async with service_of() as service:
        made, second, eve = await issued(service), await issued(service), await issued(service, "eve")
        async with client_of(service, token=made.token) as client:
            listed = (await client.get("/api/v0/sessions")).json()["sessions"]
            assert {entry["session_id"]: entry["is_current"] for entry in listed} == {
                made.session.session_id: True,
                second.session.session_id: False,
            }
            assert made.token not in str(listed)
            for handle in (eve.session.session_id, device()):
                answer = await client.delete(f"/api/v0/sessions/{handle}")
                assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
            assert await service.manager.validate_session(eve.session.session_id)
            assert (await client.delete(f"/api/v0/sessions/{second.session.session_id}")).status_code == 204
            assert not await service.manager.validate_session(second.session.session_id)
            answer = await client.delete(f"/api/v0/sessions/{made.session.session_id}")
            assert "Max-Age=0" in answer.headers["set-cookie"]
            assert (await client.get("/api/v0/sessions")).status_code == 401


@shows("H01", "A07", "http")
@shows_security("V7.3.1")
async def test_a_heartbeat_is_no_activity() -> None:
    clock = SettableClock()
    async with service_of(clock=clock) as service:
        made = await issued(service)
        clock.advance(600)
        async with client_of(service, token=made.token) as client:
            answer = await client.post("/api/v0/session/heartbeat", json={"device": {"label": "Tablet"}})
            assert answer.status_code == 200
            assert (await client.post("/api/v0/session/heartbeat")).status_code == 200
        await service.manager._touches.write()
        after = await service.manager.get_session(made.session.session_id)
        assert after.idle_expires_at == made.session.idle_expires_at


@shows("A01", "http")
@shows_security("V7.2.2")
async def test_a_trusted_service_makes_sessions() -> None:
    async with service_of() as service, client_of(service, origin=False) as client:
        headers = {"authorization": f"Bearer {SERVICE_KEY}"}
        body = {"user_id": "ada", "public": {"name": "Ada"}}
        answer = await client.post("/api/v0/sessions", json=body, headers=headers)
        assert answer.status_code == 201
        session = await service.manager.authenticate(answer.json()["token"])
        assert (session.session_id, session.user_id) == (answer.json()["session_id"], "ada")
        for wrong in ({}, {"authorization": "Bearer nonsense"}, {"authorization": f"Basic {SERVICE_KEY}"}):
            refusal = await client.post("/api/v0/sessions", json=body, headers=wrong)
            assert refusal.status_code == 401
        bodies: list[dict[str, Any]] = [
            {"user_id": ""},
            {"user_id": 5},
            {"user_id": "a", "public": {"__proto__": 1}},
            {"public": []},
        ]
        for bad in bodies:
            assert (await client.post("/api/v0/sessions", json=bad, headers=headers)).status_code == 422


async def test_without_a_service_key_there_is_no_such_address() -> None:
    async with service_of(service_key=None) as service, client_of(service, origin=False) as client:
        headers = {"authorization": "Bearer "}
        assert (await client.post("/api/v0/sessions", json={}, headers=headers)).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://testserver.evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example", "sec-fetch-site": "same-origin"}, 403),
        ({"origin": "http://testserver"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
)
@shows_security("V3.5.1", "C-12")
async def test_a_forged_request_changes_nothing(headers: dict[str, str], status: int) -> None:
    async with service_of() as service:
        made, other = await issued(service), await issued(service)
        async with client_of(service, token=made.token, origin=False) as client:
            answer = await client.post("/api/v0/session/logout-others", headers=headers)
        assert answer.status_code == status
        assert await service.manager.validate_session(other.session.session_id) is (status == 403)


async def test_the_paths_that_a_host_application_hands_over() -> None:
    for path in (
        "/api/session_state",
        "/api/v0/session",
        "/api/v0/documents/x",
        "/api/v0/events",
        "/ws",
        "/ws/session/x",
        "/sessile.js",
    ):
        assert owns_path(path), path
    for path in (
        "/",
        "/api",
        "/api/v0",
        "/api/v1/x",
        "/ws2",
        "/ws/other",
        "/sessile.jsx",
        "/healthz",
        "/api/session_state/x",
    ):
        assert not owns_path(path), path


async def test_mounted_it_has_no_health_and_leaves_the_manager_open() -> None:
    from sessile.server.app import create_app

    async with service_of() as owner:
        mounted = create_app(owner.manager, standalone=False)
        async with client_of(mounted) as client:
            for path in ("/", "/healthz", "/readyz"):
                answer = await client.get(path)
                assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        await mounted.close()
        await owner.manager.create_session("ada")


async def test_the_client_is_served_with_a_tag() -> None:
    async with service_of() as service, client_of(service) as client:
        first = await client.get("/sessile.js")
        assert first.headers["content-type"] == "text/javascript; charset=utf-8"
        assert first.headers["cache-control"] == "public, no-cache"
        assert first.headers["vary"] == "accept-encoding", "not by cookie: it is the same for everybody"
        tag = first.headers["etag"]
        assert (await client.get("/sessile.js", headers={"if-none-match": tag})).status_code == 304
        pinned = await client.get("/sessile.js", params={"v": tag.strip('"')})
        assert "immutable" in pinned.headers["cache-control"]
        assert (await client.head("/sessile.js")).headers["etag"] == tag


async def test_what_the_client_loads_later_is_served_like_the_client() -> None:
    async with service_of() as service, client_of(service) as client:
        clock = await client.get("/api/v0/client/clock.js")
        assert clock.headers["content-type"] == "text/javascript; charset=utf-8", (
            "a worker is refused with another type"
        )
        assert "postMessage" in clock.text
        assert "debugTools" in (await client.get("/api/v0/client/debug.js")).text
        tag = clock.headers["etag"]
        assert (await client.get("/api/v0/client/clock.js", headers={"if-none-match": tag})).status_code == 304
        for name in ("sessile.js", "other.js", "..%2Fsessile.js"):
            assert (await client.get(f"/api/v0/client/{name}")).status_code == 404, name


async def test_the_client_is_sent_packed_to_who_can_unpack_it() -> None:
    async with service_of() as service, client_of(service) as client:
        packed, plain = [
            await client.get("/sessile.js", headers={"accept-encoding": coding}) for coding in ("br, gzip", "gzip;q=0")
        ]
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content, "unpacked by the client of this test"
        assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
        tags = [answer.headers["etag"] for answer in (packed, plain)]
        assert tags[0] != tags[1], "two representations"
        for coding, tag in zip(("gzip", "identity"), tags, strict=True):
            headers = {"accept-encoding": coding, "if-none-match": tag}
            assert (await client.get("/sessile.js", headers=headers)).status_code == 304
            assert (
                "immutable" in (await client.get("/sessile.js", params={"v": tag.strip('"')})).headers["cache-control"]
            )


BODILESS = ("logout", "logout-others", "refresh", "registration", "extend", "claim", "unarchive")


async def test_the_description_names_every_body() -> None:
    async with service_of() as service, client_of(service) as client:
        description = (await client.get("/api/v0/openapi.json")).json()
    assert description["info"]["title"] == "Sessile"
    schemas = description["components"]["schemas"]
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            for entry in content.values():
                reference = entry["schema"].get("$ref", "").rpartition("/")[2]
                assert not reference or reference in schemas, (path, method)
            if method in {"post", "put", "patch"} and not path.endswith(BODILESS):
                assert content, (path, method)


@shows_security("V7.5.2")
async def test_ending_other_sessions_asks_for_a_recent_login_where_that_is_set() -> None:
    clock = SettableClock()
    async with service_of(clock=clock, end_others_needs_fresh=True, fresh_timeout_s=60) as service:
        made, other = await issued(service), await issued(service)
        async with client_of(service, token=made.token) as client:
            clock.advance(61)
            address = f"/api/v0/sessions/{other.session.session_id}"
            for refused in (await client.delete(address), await client.post("/api/v0/session/logout-others")):
                assert (refused.status_code, refused.json()["code"]) == (403, "freshness_required")
            assert await service.manager.validate_session(other.session.session_id)
            again = await service.manager.login(made.session.session_id, "ada")
        async with client_of(service, token=again.token) as client:
            assert (await client.delete(address)).status_code == 204
            clock.advance(61)
            assert (await client.delete(f"/api/v0/sessions/{made.session.session_id}")).status_code == 204
