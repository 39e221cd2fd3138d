"""TLS, users and passwords; and that a password is never told to anybody but the server."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from sessile.model.errors import ConfigurationError
from sessile.model.fence import CacheUnavailable, Miss, Publication
from sessile.stores.redis.address import parse_address
from sessile.stores.redis.cache import AsyncRedisCache
from sessile.testing.shows import shows_security
from tests.integration.redis.conftest import Lane, Start, place_of

PASSWORD = "p@ss:w/rd#?%"
ALLOWED = "+hello +select +info +role +get +set +del +eval +evalsha"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, a certificate for 127.0.0.1, and one for a client."""
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA", "-days", "2")
    for name, extra in (("server", ("-addext", "subjectAltName=IP:127.0.0.1")), ("client", ())):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", *extra)
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-copy_extensions", "copy")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    return folder


def tls_options(folder: Path, *, asks_for_certificate: bool) -> list[str]:
    files = ["--tls-cert-file", f"{folder}/server.pem", "--tls-key-file", f"{folder}/server.key"]
    return [
        *files,
        "--tls-ca-cert-file",
        f"{folder}/ca.pem",
        "--tls-auth-clients",
        "yes" if asks_for_certificate else "no",
    ]


@shows_security("V4.4.1")
def test_tls_is_verified(lane: Lane, start: Start, certificates: Path) -> None:
    server = start(tls=tls_options(certificates, asks_for_certificate=False))
    url = f"rediss://127.0.0.1:{server.port}"

    async def scenario() -> None:
        cache = lane.make(f"{url}?ca={certificates}/ca.pem")
        place = await place_of(cache)
        await cache.mark(place, [(f"s{number}", b"m") for number in range(500)])
        await cache.publish(place, [Publication("s1", b"m", bytes(200_000), 60)])
        assert await cache.get(place, "s1") == bytes(200_000)
        assert await cache.get(place, "s2") is Miss.BUSY
        await lane.sleep(0.3)
        assert await cache.get(place, "s2") is Miss.BUSY
        assert cache.links()[0].connects == 1
        await cache.close()
        for refused in (url, f"rediss://localhost:{server.port}?ca={certificates}/ca.pem"):
            cache = lane.make(refused)
            with pytest.raises(CacheUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
                await cache.server()
            await cache.close()
        plain = lane.make(f"redis://127.0.0.1:{server.port}")
        with pytest.raises(CacheUnavailable):
            await plain.server()
        await plain.close()

    lane.run(scenario())


def test_a_certificate_of_our_own_is_shown(lane: Lane, start: Start, certificates: Path) -> None:
    server = start(tls=tls_options(certificates, asks_for_certificate=True))
    url = f"rediss://127.0.0.1:{server.port}?ca={certificates}/ca.pem"

    async def scenario() -> None:
        cache = lane.make(f"{url}&cert={certificates}/client.pem&key={certificates}/client.key")
        assert await cache.server()
        await cache.close()
        cache = lane.make(url)
        with pytest.raises(CacheUnavailable):
            await cache.server()
        await cache.close()

    lane.run(scenario())


def test_a_stopped_tls_server_is_bounded_too(either: Lane, start: Start, certificates: Path) -> None:
    server = start(tls=tls_options(certificates, asks_for_certificate=False))

    async def scenario() -> None:
        cache = either.make(f"rediss://127.0.0.1:{server.port}?ca={certificates}/ca.pem")
        place = await place_of(cache)
        server.pause()
        for _ in range(20):
            with pytest.raises(CacheUnavailable):
                await cache.get(place, "s")
            await either.sleep(0.01)
        server.resume()
        await either.until(cache.server)
        await cache.close()

    either.run(scenario())


def test_a_file_that_cannot_be_read_is_named_by_its_option(tmp_path: Path) -> None:
    for query in (f"ca={tmp_path}/none.pem", f"cert={tmp_path}/none.pem"):
        with pytest.raises(ConfigurationError, match=r"SESSILE_REDIS_URL.*PEM"):
            AsyncRedisCache(f"rediss://user:{quote(PASSWORD, safe='')}@localhost?{query}")


def test_a_user_with_few_rights_is_enough(lane: Lane, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    user = f"user app on >{PASSWORD} ~sessile:* {ALLOWED}"
    server = start(config=f"user default off\n{user}\n")
    caplog.set_level(logging.DEBUG)
    told: list[str] = []

    async def scenario() -> None:
        cache = lane.make(f"redis://app:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}")
        place = await place_of(cache)
        assert await cache.lease(place, "s", b"t")
        await cache.fill(place, "s", b"t", b"v", 60)
        await cache.mark(place, [("m", b"m")])
        await cache.publish(place, [Publication("m", b"m", b"v", 60), Publication("s", None)])
        assert [await cache.get(place, name) for name in "sm"] == [Miss.ABSENT, b"v"]
        told.append(repr(cache.links()))
        await cache.close()
        other = lane.make(f"redis://app:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}", namespace="other")
        with pytest.raises(CacheUnavailable, match="NOPERM"):
            await other.get(place, "s")
        await other.close()
        wrong = PASSWORD[::-1]
        for userinfo, code in ((f"app:{quote(wrong, safe='')}@", "WRONGPASS"), ("", "NOAUTH")):
            cache = lane.make(f"redis://{userinfo}127.0.0.1:{server.port}")
            with pytest.raises(CacheUnavailable, match=code) as refused:
                await cache.server()
            told.append(repr(refused.value) + str(refused.value.__context__) + str(refused.value.__cause__))
            await cache.close()

    lane.run(scenario())
    heard = "".join((caplog.text, *told))
    assert PASSWORD not in heard
    assert PASSWORD[::-1] not in heard


def test_what_an_old_server_repeats_is_not_passed_on(
    lane: Lane, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that does not know HELLO answers with its arguments: the password is among them."""
    server = start(config='rename-command HELLO ""\n')

    async def scenario() -> None:
        cache = lane.make(f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}")
        with pytest.raises(CacheUnavailable, match="Redis 6") as refused:
            await cache.server()
        assert PASSWORD not in repr(refused.value) + str(refused.value.__context__)
        await cache.close()

    lane.run(scenario())
    assert PASSWORD not in caplog.text


def test_an_address_does_not_show_its_password() -> None:
    address = parse_address(
        f"redis+sentinel://app:{quote(PASSWORD, safe='')}@a,b/main?sentinel_password={quote(PASSWORD, safe='')}"
    )
    assert address.login.password == address.sentinel_login.password == PASSWORD
    assert PASSWORD not in repr(address) + str(address)
