"""Audit events as JSON lines in a file. It is opened by its name for each batch, so whatever rotates it needs to tell nobody."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sessile.model.audit import AuditEvent
from sessile.model.audit_format import json_line
from sessile.runtime.sinks import SinkFailed

# Non-blocking: a pipe that nobody reads must not hold us up before we see that it is one.
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)


class FileSink:
    """Made with mode 0600; the mode of a file that is there is its owner's matter. Lines are on the disk when `deliver` returns."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, events: Sequence[AuditEvent]) -> None:
        lines = "".join(f"{json_line(event)}\n" for event in events).encode()
        try:
            handle = os.open(self._path, _FLAGS, 0o600)
            try:
                self._append(handle, lines)
            finally:
                os.close(handle)
        except OSError as error:
            raise SinkFailed(f"{self._path}: {error.strerror or type(error).__name__}") from None

    def _append(self, handle: int, lines: bytes) -> None:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise SinkFailed(f"{self._path} is no regular file")
        if found.st_size and os.pread(handle, 1, found.st_size - 1) != b"\n":
            lines = b"\n" + lines  # somebody was killed within a line, which comes again as a whole
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
        if not found.st_size:
            _sync_directory(self._path.absolute().parent)


def _sync_directory(path: Path) -> None:
    """So that a new file's name is on the disk as well."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
