"""What is said on a connection to Redis: the greeting, packing and reading, and what its errors mean. No I/O, the same for both lanes.

Why a client of our own and not redis-py: the fence must know which server has answered, so each connection carries the identity of the server at
its other end, and a command goes only to the one that was meant. redis-py connects again by itself, between two commands and out of sight. And one
shared connection, whose commands of one loop tick go out in one write, costs a fraction of the CPU (`benchmarks/redis_lane.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import hiredis

from sessile.model.fence import CacheUnavailable
from sessile.stores.redis.address import Login

Command = tuple[str | bytes | int, ...]
pack: Final = cast("Callable[[Command], bytes]", hiredis.pack_command)
"""A command as it goes over the wire."""

NOTHING: Final = object()
"""`gets` of a reader: no whole reply is there yet."""
Push: Final = hiredis.PushNotification
ProtocolFault: Final = hiredis.ProtocolError


class ServerFault(Exception):
    """An error that the server answered. Only its first word is kept: the rest can repeat what was sent, passwords included. `MOVED` and `ASK`
    keep the slot and the node that they name in `detail`."""

    def __init__(self, text: str) -> None:
        self.code, _, rest = text.partition(" ")
        self.detail = rest if self.code in {"MOVED", "ASK"} else ""
        super().__init__(self.code)


LOOK_AGAIN: Final = frozenset({"READONLY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN"})
"""Errors after which the connection is given up, so that the master is looked up, and greeted, again."""

_MEANINGS: Final = {
    "ASK": "a slot is on the move",
    "BUSY": "a script keeps it busy",
    "CLUSTERDOWN": "the cluster is down",
    "LOADING": "it is loading its data",
    "MASTERDOWN": "it is a replica that has lost its master",
    "MISCONF": "it cannot save its data and refuses writes",
    "MOVED": "a slot has moved",
    "NOAUTH": "it wants a password; put it into the URL",
    "NOPERM": "the user may not do this; it needs HELLO, SELECT, INFO, ROLE, GET, SET, DEL, EVAL, EVALSHA and our keys",
    "NOREPLICAS": "it has too few replicas and refuses writes",
    "OOM": "its memory is full",
    "READONLY": "it is a replica",
    "WRONGPASS": "it does not take this user and password",
}


def unavailable(fault: ServerFault) -> CacheUnavailable:
    """What an error of the server means for the cache."""
    meaning = _MEANINGS.get(fault.code)
    return CacheUnavailable(f"{fault.code}: {meaning}" if meaning else f"the server answered {fault.code}")


def new_reader() -> hiredis.Reader:
    """Its `gets` gives bytes, numbers, None, lists, dicts, ServerFault, Push, or NOTHING. Raises ProtocolFault."""
    return hiredis.Reader(notEnoughData=NOTHING, replyError=ServerFault)


def text_of(reply: object) -> str:
    """A host or the like; empty for what is no text."""
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""


def tagged(info: bytes, name: bytes) -> str:
    """A field of what INFO answers; empty when it is not there."""
    for line in info.splitlines():
        field, _, value = line.partition(b":")
        if field == name:
            return value.decode("ascii", "replace")
    return ""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a new connection says first, in one write, and who has answered."""

    login: Login
    database: int = 0
    in_cluster: bool = False

    def commands(self) -> list[Command]:
        """HELLO first: where it is refused, nothing after it counts."""
        hello: Command = ("HELLO", "3")
        if self.login.password:
            hello = (*hello, "AUTH", self.login.user, self.login.password)
        select: list[Command] = [("SELECT", self.database)] if self.database else []
        return [(*hello, "SETNAME", "sessile"), *select, ("INFO", "server"), ("ROLE",)]

    def identity(self, replies: Sequence[Any]) -> str:
        """The `run_id` of the master that answered `commands`. Raises CacheUnavailable: for an error, a replica, or a server of another kind than the
        URL says."""
        fault = next((reply for reply in replies if isinstance(reply, ServerFault)), None)
        if fault is not None:
            if fault is replies[0] and fault.code in {"ERR", "NOPROTO"}:
                raise CacheUnavailable("it is older than Redis 6, or a proxy that does not know HELLO 3")
            raise unavailable(fault)
        info, role = replies[-2:]
        if not isinstance(info, bytes) or not isinstance(role, list) or not role:
            raise CacheUnavailable("it does not answer like Redis")
        if role[0] != b"master":
            raise CacheUnavailable("it is a replica, or a sentinel; only a master is used")
        if (tagged(info, b"redis_mode") == "cluster") is not self.in_cluster:
            kind = (
                "no node of a cluster; use redis://" if self.in_cluster else "a node of a cluster; use redis+cluster://"
            )
            raise CacheUnavailable(f"it is {kind}")
        run_id = tagged(info, b"run_id")
        if not run_id:
            raise CacheUnavailable("it hides its run_id, so that nobody can tell whether it still is the same server")
        return run_id
