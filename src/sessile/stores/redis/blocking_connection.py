"""One connection to Redis without an event loop: a socket that waits no longer than a call may take."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any, Final

from sessile.stores.redis.address import Node
from sessile.stores.redis.wire import LOOK_AGAIN, NOTHING, Command, ProtocolFault, Push, ServerFault, new_reader, pack

_READ_BYTES: Final = 65_536
_IDLE_S: Final = 0.25
"""Only after so long it is worth a system call to see whether the server has closed the socket meanwhile."""


_SLOW_S: Final = 0.01
"""Sending that took this long takes its time from the reply's."""
_GLANCE_S: Final = 0.001
"""And if it took all of it: on a busy machine it was this thread that had no turn, and the reply is there already."""


class BlockingConnection:
    """`identity` is empty until the greeting is over. After an error of `exchange` it must be closed: a late reply would be taken for the next one."""

    __slots__ = ("_call_timeout_s", "_gets", "_reader", "_socket", "_used_at", "generation", "identity")

    def __init__(self, connected: socket.socket, call_timeout_s: float) -> None:
        self.identity = ""
        self.generation = 0
        self._socket = connected
        self._call_timeout_s = call_timeout_s
        self._reader = new_reader()
        self._gets = self._reader.gets
        self._used_at = time.monotonic()
        connected.settimeout(call_timeout_s)

    def exchange_one(self, command: Command) -> Any:
        """The reply to one command; as `exchange`, for what nearly every request asks. Raises like it."""
        started_at = time.monotonic()
        self._socket.sendall(pack(command))
        is_bounded = time.monotonic() - started_at > _SLOW_S
        if is_bounded:
            self._bound(started_at, at_least_s=_GLANCE_S)
        is_again = False
        while (reply := self._gets()) is NOTHING or type(reply) is Push:
            if reply is NOTHING:
                if is_again:
                    is_bounded = True
                    self._bound(started_at)
                data = self._socket.recv(_READ_BYTES)
                if not data:
                    raise ConnectionResetError("the server closed the connection")
                self._reader.feed(data)
                is_again = True
        if is_bounded:
            self._socket.settimeout(self._call_timeout_s)
        if self._reader.has_data():
            raise ProtocolFault("more replies than commands")
        self._used_at = started_at
        return reply

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """The replies, in order. Raises OSError (TimeoutError, ssl.SSLError and EOFError's place: ConnectionError), ProtocolFault."""
        started_at = time.monotonic()
        self._socket.sendall(b"".join(map(pack, commands)) if len(commands) > 1 else pack(commands[0]))
        if time.monotonic() - started_at > _SLOW_S:
            self._bound(started_at, at_least_s=_GLANCE_S)
        replies: list[Any] = []
        has_read = False
        while len(replies) < len(commands):
            reply = self._gets()
            if reply is NOTHING:
                if has_read:
                    self._bound(started_at)
                self._reader.feed(self._read())
                has_read = True
            elif type(reply) is not Push:
                replies.append(reply)
        if has_read and self._socket.gettimeout() != self._call_timeout_s:
            self._socket.settimeout(self._call_timeout_s)
        if self._reader.has_data():
            raise ProtocolFault("more replies than commands")
        self._used_at = time.monotonic()
        return replies

    def _bound(self, started_at: float, *, at_least_s: float = 0.0) -> None:
        """Replies that come in many small parts get no more time than one that comes at once."""
        left_s = max(at_least_s, started_at + self._call_timeout_s - time.monotonic())
        if left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(left_s)

    def _read(self) -> bytes:
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        return data

    def is_fresh(self) -> bool:
        """False when the server has said something while nobody asked: it has closed the connection."""
        if time.monotonic() - self._used_at < _IDLE_S:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        self._socket.close()


def wants_new_look(replies: Sequence[Any]) -> bool:
    """Whether a reply says that this is not the master any more."""
    return any(isinstance(reply, ServerFault) and reply.code in LOOK_AGAIN for reply in replies)


def open_socket(node: Node, tls: ssl.SSLContext | None, call_timeout_s: float, timeout_s: float) -> BlockingConnection:
    """Connected, not greeted, in `timeout_s` seconds; a name server may take longer, for that there is no way to wait less. Raises OSError
    (ssl.SSLError is one)."""
    deadline = time.monotonic() + timeout_s
    connected = _connected(node, deadline)
    try:
        if not node.path:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if tls is not None:
            connected.settimeout(_left_s(deadline))
            connected = tls.wrap_socket(connected, server_hostname=node.host)
        return BlockingConnection(connected, call_timeout_s)
    except BaseException:
        connected.close()
        raise


def _connected(node: Node, deadline: float) -> socket.socket:
    """To the first address of the host that takes it: all of them share the time."""
    if node.path:
        addresses: list[tuple[socket.AddressFamily, Any]] = [(socket.AF_UNIX, node.path)]
    else:
        found = socket.getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM)
        addresses = [(family, address) for family, _, _, _, address in found]
    for number, (family, address) in enumerate(addresses, 1):
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(_left_s(deadline) / (len(addresses) - number + 1))
            made.connect(address)
        except OSError:
            made.close()
            if number == len(addresses):
                raise
        except BaseException:
            made.close()
            raise
        else:
            return made
    raise OSError("the host has no address")


def _left_s(deadline: float) -> float:
    """At least something: 0 would mean not to wait at all."""
    return max(0.001, deadline - time.monotonic())
