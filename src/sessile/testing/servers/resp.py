"""Redis' protocol in its smallest form: one command, one answer. So the harness needs no client, and a test of a client has none of its faults."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import BinaryIO, TypeAlias

Reply: TypeAlias = "str | bytes | int | list[Reply] | None"
"""A status ("OK") is text, a value is bytes."""


class RedisRefused(RuntimeError):
    """Redis answered with an error; the message is Redis' own, `WRONGTYPE ...`."""


def ask(
    port: int,
    *command: str | bytes | float,
    password: str | None = None,
    ca_file: Path | None = None,
    timeout_s: float = 5.0,
) -> Reply:
    """The answer to one command over a connection of its own. Raises RedisRefused, and OSError when nobody answers in time."""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as plain, _wrapped(plain, ca_file) as connection:
        connection.settimeout(timeout_s)
        with connection.makefile("rb") as answers:
            if password is not None:
                connection.sendall(_encoded("AUTH", password))
                _read(answers)
            connection.sendall(_encoded(*command))
            return _read(answers)


def text_of(reply: Reply) -> str:
    """A reply that is known to be text."""
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def texts_of(reply: Reply) -> list[str]:
    """A reply that is known to be a list of texts."""
    assert isinstance(reply, list), reply
    return [text_of(part) for part in reply]


def _wrapped(plain: socket.socket, ca_file: Path | None) -> socket.socket:
    if ca_file is None:
        return plain
    return ssl.create_default_context(cafile=ca_file).wrap_socket(plain, server_hostname="127.0.0.1")


def _encoded(*command: str | bytes | float) -> bytes:
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def _read(answers: BinaryIO) -> Reply:
    line = answers.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("Redis closed the connection")
    kind, rest = line[:1], line[1:-2]
    if kind == b"+":
        return rest.decode()
    if kind == b"-":
        raise RedisRefused(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        if rest == b"-1":
            return None
        value = answers.read(int(rest) + 2)
        if len(value) != int(rest) + 2:
            raise ConnectionResetError("Redis closed the connection")
        return value[:-2]
    assert kind == b"*", f"not RESP2: {line!r}"
    return None if rest == b"-1" else [_read(answers) for _ in range(int(rest))]
