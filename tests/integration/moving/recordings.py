"""What `record_peers.py` recorded, put back where it was."""

from __future__ import annotations

import base64
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sessile.testing.servers import RedisServer

FOLDER = Path(__file__).resolve().parent / "recorded"


@dataclass(frozen=True)
class Recording:
    """`cookies` are the values that the browsers of each user got; the user "" is an anonymous visitor."""

    cookies: dict[str, str]
    keys: list[dict[str, Any]]
    dump: list[str]
    at: datetime | None

    def into_redis(self, server: RedisServer) -> None:
        for one in self.keys:
            server.run("SET", one["key"], base64.b64decode(one["value"]), "PX", one["pttl"])

    def into_sqlite(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript("\n".join(self.dump))


def recording(name: str) -> Recording:
    what = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    at = datetime.fromisoformat(what["at"]) if "at" in what else None
    return Recording(what["cookies"], what["keys"], what.get("dump", []), at)
