"""What a browser kept of a document without a connection, beside its outbox: values by path, and the position that they were seen at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sessile.model.canonical import digest
from sessile.model.change_format import parse_operations
from sessile.model.document import Operation
from sessile.model.errors import InvalidChange
from sessile.model.limits import OPERATIONS_PER_CHANGE_MAX
from sessile.model.pointer import parse


@dataclass(frozen=True, slots=True)
class Backup:
    """`values` are by JSON Pointer. `epoch` and `version` are where the browser was when it kept them."""

    device_id: str
    epoch: str
    version: int
    values: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The same for the same backup of the same device."""
        whole = {"device": self.device_id, "epoch": self.epoch, "version": self.version, "values": dict(self.values)}
        return f"{_PREFIX}{digest(whole).hex()}"

    def operations(self) -> list[Operation]:
        """One `set` a path, outer ones first. Raises InvalidChange for what is no path, the whole state, or too much."""
        if not self.values or len(self.values) > OPERATIONS_PER_CHANGE_MAX:
            raise InvalidChange("/backup/values", f"1 to {OPERATIONS_PER_CHANGE_MAX} values, each under its path")
        for path in self.values:
            try:
                parts = parse(path)
            except ValueError as error:
                raise InvalidChange("/backup/values", str(error)) from None
            if not parts:
                raise InvalidChange("/backup/values", "a backup has values of single paths, never the whole state")
        ordered = sorted(self.values, key=lambda path: (path.count("/"), path))
        return list(parse_operations([{"op": "set", "path": path, "value": self.values[path]} for path in ordered]))


_PREFIX: Final = "backup:"
