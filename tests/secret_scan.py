"""Whether a secret is somewhere, in any form that whoever finds it could use; and what a token looks like, for one that nobody has told of."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import psycopg
from psycopg import sql

from sessile.stores.sql.postgres import SCHEMA

TOKEN: Final = re.compile(
    rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"
)
"""A handle and a secret, see `sessile.model.token`."""


def forms(secret: str, *, with_hash: bool) -> set[bytes]:
    """What a secret may look like somewhere: itself, encoded, its bytes; and its hash, where whoever has that can look for a weak one."""
    raws = {secret.encode()}
    with suppress(ValueError):
        raws.add(base64.b64decode(secret.replace("-", "+").replace("_", "/") + "=" * (-len(secret) % 4), validate=True))
    found: set[bytes] = set()
    for raw in raws:
        found |= {raw, raw.hex().encode(), raw.hex().upper().encode()}
        found |= {base64.b64encode(raw).rstrip(b"="), base64.urlsafe_b64encode(raw).rstrip(b"=")}
        if with_hash:
            digest = hashlib.sha256(raw).digest()
            found |= {digest, digest.hex().encode(), base64.b64encode(digest).rstrip(b"=")}
    return {form for form in found if len(form) >= 8}


def found_in(content: bytes, secrets: Mapping[str, str], *, with_hash: bool) -> set[str]:
    """Names of the secrets that are there."""
    return {
        name for name, secret in secrets.items() if any(form in content for form in forms(secret, with_hash=with_hash))
    }


def dump_of(postgres_url: str) -> bytes:
    """Every row of every table of ours in a PostgreSQL database, as `COPY` writes it (`pg_dump` does the same)."""
    rows: list[bytes] = []
    with psycopg.connect(postgres_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [SCHEMA]).fetchall()
        for (table,) in tables:
            command = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(SCHEMA, table))
            with connection.cursor() as cursor, cursor.copy(command) as copy:
                rows += [b"-- %s\n" % table.encode(), *(bytes(block) for block in copy)]
    return b"".join(rows)
