"""Where Redis is: what `SESSILE_REDIS_URL` says. Nothing here is looked up or connected.

    redis://[user:password@]host[:port][/database]
    redis+sentinel://[user:password@]host[:port],host[:port]/service[/database][?sentinel_user=...&sentinel_password=...]
    redis+cluster://[user:password@]host[:port],host[:port]
    unix://[user:password@]/path/of/socket[?db=database]

`valkey` may stand for `redis`. With `rediss` (`valkeys`) it is TLS, and `?ca=`, `cert=`, `key=` name files. The certificate of the server is always verified.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import parse_qsl, unquote

from sessile.model.errors import ConfigurationError

SETTING: Final = "SESSILE_REDIS_URL"
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_DATABASE_MAX: Final = 2**31 - 1


class Topology(Enum):
    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Node:
    """One server: `host` and `port`, or `path` of a Unix socket."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are there. Without a password nothing is said."""

    user: str = "default"
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files; empty: the system's authorities, no certificate of our own."""

    ca: str = ""
    cert: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """What the URL says. Neither its repr nor its text has a password in it."""

    topology: Topology
    nodes: tuple[Node, ...]
    login: Login = Login()
    service: str = ""
    sentinel_login: Login = Login()
    database: int = 0
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        nodes = ",".join(map(str, self.nodes))
        if self.topology is Topology.SINGLE:
            return nodes
        return f"{self.topology.value} {nodes}" + (f"/{self.service}" if self.service else "")

    def tls_context(self) -> ssl.SSLContext | None:
        """None without TLS. Raises ConfigurationError for a file that cannot be used."""
        if self.tls is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls.ca or None)
            if self.tls.cert:
                context.load_cert_chain(self.tls.cert, self.tls.key or None)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or type(error).__name__
            raise _wrong(f"ca, cert and key name PEM files that can be read ({reason})") from None
        return context


def parse_address(url: str) -> Address:
    """Raises ConfigurationError, which says what is wrong and never repeats the URL: there may be a password in it."""
    scheme, separator, rest = url.strip().partition("://")
    topology, is_tls, is_unix = _scheme(scheme.lower() if separator else "")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    userinfo, _, hosts = authority.rpartition("@")
    options = _options(query, _allowed(topology, is_tls=is_tls, is_unix=is_unix))
    if is_unix:
        return _unix(hosts, path, _login(userinfo), options)
    port = _SENTINEL_PORT if topology is Topology.SENTINEL else _PORT
    nodes = tuple(_node(part, port) for part in hosts.split(","))
    if topology is Topology.SINGLE and len(nodes) > 1:
        raise _wrong("several hosts need redis+sentinel:// or redis+cluster://")
    service, database = _path(topology, path)
    return Address(
        topology,
        nodes,
        _login(userinfo),
        service,
        Login(options.get("sentinel_user", "default"), options.get("sentinel_password", "")),
        database,
        _tls(options) if is_tls else None,
    )


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(f"{SETTING}: {what}")


def _scheme(scheme: str) -> tuple[Topology, bool, bool]:
    """Topology, whether it is TLS, whether it is a Unix socket."""
    if scheme == "unix":
        return Topology.SINGLE, False, True
    base, plus, kind = scheme.partition("+")
    topologies = {"sentinel": Topology.SENTINEL, "cluster": Topology.CLUSTER}
    if base not in {"redis", "rediss", "valkey", "valkeys"} or (plus and kind not in topologies):
        raise _wrong(
            "begin it with redis://, rediss:// (TLS), redis+sentinel://, redis+cluster:// or unix://, "
            "as in redis://localhost:6379/0"
        )
    return topologies.get(kind, Topology.SINGLE), base in {"rediss", "valkeys"}, False


def _allowed(topology: Topology, *, is_tls: bool, is_unix: bool) -> set[str]:
    allowed = {"ca", "cert", "key"} if is_tls else set()
    if topology is Topology.SENTINEL:
        allowed |= {"sentinel_user", "sentinel_password"}
    return allowed | ({"db"} if is_unix else set())


def _options(query: str, allowed: set[str]) -> dict[str, str]:
    try:
        found = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise _wrong("what follows the ? must be name=value&name=value") from None
    if "insecure" in found:
        raise _wrong("the certificate is always verified; take insecure away and name the authority's file with ca=")
    if set(found) - allowed:
        names = ", ".join(sorted(allowed)) or "nothing"
        raise _wrong(f"an option after the ? is not known here; with this kind of address there may be: {names}")
    return found


def _login(userinfo: str) -> Login:
    user, _, password = userinfo.partition(":")
    if user and not password:
        raise _wrong("a user needs a password: redis://user:password@host (or redis://:password@host without a user)")
    return Login(unquote(user) or "default", unquote(password))


def _node(text: str, default_port: int) -> Node:
    if text.startswith("["):
        host, closing, after = text[1:].partition("]")
        if not closing or (after and not after.startswith(":")):
            raise _wrong("an IPv6 address stands in brackets, as in redis://[::1]:6379")
        port = after[1:]
    else:
        host, _, port = text.partition(":")
    try:
        is_host = bool(host.encode("idna"))
    except UnicodeError:
        is_host = False
    if not is_host:
        raise _wrong("there is no host where one should be, as in redis://localhost:6379/0")
    return Node(host, _number(port, "a port", 65535) if port else default_port)


def _path(topology: Topology, path: str) -> tuple[str, int]:
    """Service of the sentinels, and database."""
    parts = [unquote(part) for part in path.rstrip("/").split("/")] if path.rstrip("/") else []
    service = ""
    if topology is Topology.SENTINEL:
        if not parts:
            raise _wrong("name the service that the sentinels watch: redis+sentinel://host:26379/mymaster")
        service = parts.pop(0)
    database = _number(parts.pop(0), "the database", _DATABASE_MAX) if parts else 0
    if parts:
        raise _wrong("there is too much after the host; a database is a number, as in redis://localhost:6379/0")
    if topology is Topology.CLUSTER and database:
        raise _wrong("a cluster has only database 0")
    return service, database


def _number(text: str, what: str, most: int) -> int:
    # Not the text itself: with a # or / in a password that is not escaped, it is a part of the password.
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise _wrong(f"{what} must be a number of at most {most}; in a password, write / as %2F, @ as %40 and : as %3A")
    return int(text)


def _unix(hosts: str, path: str, login: Login, options: dict[str, str]) -> Address:
    if hosts or not path:
        raise _wrong("name the whole path of the socket: unix:///run/redis/redis.sock")
    database = _number(options.get("db", "0"), "db", _DATABASE_MAX)
    return Address(Topology.SINGLE, (Node("", 0, "/" + unquote(path)),), login, database=database)


def _tls(options: dict[str, str]) -> TlsFiles:
    if options.get("key") and not options.get("cert"):
        raise _wrong("key= needs cert=")
    return TlsFiles(options.get("ca", ""), options.get("cert", ""), options.get("key", ""))
