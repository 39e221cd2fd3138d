"""A batch of changes on PostgreSQL: three statements and a commit, however many changes.

Small values go in as one JSON array of rows, bytes as one array for each column. An array of each column would be the plain way; but the
drivers look at each value of an array more than once, and that was a sixth of all that a change cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sessile.model.batch import Progress
from sessile.model.document import DocumentDevice, LoggedChange
from sessile.stores.sql import records
from sessile.stores.sql.batches import HAS_CONFLICTS, LIFETIME, Held, SqlBatchRows, names
from sessile.stores.sql.tables import changes, document_devices, documents
from sessile.stores.sql.types import to_bytes

_AMONG = "= ANY($1::text[])"
_BY_ID = f"SELECT {names(documents)} FROM documents WHERE document_id {_AMONG}"
_LOCKED = "ORDER BY document_id FOR NO KEY UPDATE"


# One statement, because each costs a round trip. The documents are not looked for before the count of the held sessions is known. A row that
# another transaction has changed meanwhile is read as that one left it; so what lies around it is read by the next statement, not by this one.
def _hold(columns: str) -> str:
    return (
        f"WITH held AS MATERIALIZED (SELECT {LIFETIME} FROM sessions WHERE session_id = ANY($2::text[])"
        " ORDER BY session_id FOR SHARE),"
        f" locked AS MATERIALIZED (SELECT {columns} FROM documents"
        f" WHERE document_id {_AMONG} AND (SELECT count(*) FROM held) >= 0 {_LOCKED})"
        " SELECT TRUE, locked.* FROM locked UNION ALL"
        " SELECT FALSE, session_id, end_reason, NULL, NULL, NULL, NULL, NULL, idle_expires_at, absolute_expires_at, ended_at,"
        " NULL, NULL, NULL, NULL, NULL, NULL FROM held"
    )


_HOLD = _hold(names(documents))
_HOLD_STATELESS = _hold(names(documents, without="state").replace("NULL", "NULL::bytea"))
_BEHIND = (
    f"SELECT {names(changes, 'c')} FROM unnest($1::text[], $2::bigint[]) AS w(document_id, after)"
    " JOIN changes c ON c.document_id = w.document_id AND c.version > w.after ORDER BY c.document_id, c.version"
)
# Its parts see none of each other's rows, and need not.
_RECORD = f"""
WITH logged AS (
  INSERT INTO changes ({names(changes)})
  SELECT r ->> 0, (r ->> 1)::bigint, (r ->> 2)::bigint, (r ->> 3)::bigint, operations, decode(r ->> 4, 'hex'), r ->> 5, detail, r ->> 6,
    (r ->> 7)::integer, (r ->> 8)::bigint, r ->> 9, coalesce(before, '[]'), coalesce(conflicts, '[]'), coalesce(resolved, '[]'),
    r ->> 10, r ->> 11, (r ->> 12)::bigint
  FROM ROWS FROM (
    jsonb_array_elements($1::text::jsonb), unnest($2::bytea[]), unnest($3::bytea[]), unnest($4::bytea[]), unnest($5::bytea[]),
    unnest($6::bytea[])
  ) AS given(r, operations, before, detail, conflicts, resolved)
), marked AS (
  UPDATE document_devices d SET last_seq = (r ->> 2)::bigint, is_primary = (r ->> 3)::boolean, session_id = r ->> 4,
    last_active_at = (r ->> 5)::bigint
  FROM jsonb_array_elements($7::text::jsonb) AS given(r)
  WHERE d.document_id = r ->> 0 AND d.device_id = r ->> 1
)
UPDATE documents d SET schema_version = (r ->> 1)::integer, version = (r ->> 2)::bigint, generation = (r ->> 3)::bigint,
  updated_at = (r ->> 4)::bigint, last_activity_at = (r ->> 5)::bigint,
  state_version = coalesce((r ->> 6)::bigint, d.state_version), state = coalesce(given.state, d.state)
FROM ROWS FROM (jsonb_array_elements($8::text::jsonb), unnest($9::bytea[])) AS given(r, state)
WHERE d.document_id = r ->> 0
"""


class PostgresBatchRows(SqlBatchRows):
    _by_id = _BY_ID
    _by_id_locked = f"{_BY_ID} {_LOCKED}"
    _devices = (
        f"SELECT {names(document_devices, 'd')}, {HAS_CONFLICTS} FROM document_devices d"
        f" WHERE d.document_id {_AMONG} ORDER BY d.document_id, d.device_no"
    )

    def hold(self, session_ids: Sequence[str], document_ids: Sequence[str], *, with_state: bool) -> Held:
        held: Held = {}, {}
        statement = _HOLD if with_state else _HOLD_STATELESS
        for is_document, *row in self._driver.fetch(statement, list(document_ids), list(session_ids)):
            if is_document:
                held[1][row[0]] = records.document(row)
            else:
                held[0][row[0]] = records.lifetime((row[0], row[7], row[8], row[9], row[1]))
        return held

    def _logs(self, after: Mapping[str, int]) -> Mapping[str, Sequence[LoggedChange]]:
        logs: dict[str, list[LoggedChange]] = {}
        if after:
            for row in self._driver.fetch(_BEHIND, list(after), list(after.values())):
                logs.setdefault(row[0], []).append(records.change(row))
        return logs

    def _write(
        self, logged: Sequence[LoggedChange], progress: Sequence[Progress], marked: Sequence[DocumentDevice]
    ) -> None:
        rows = [records.change_row(change) for change in logged]
        columns: list[list[Any]] = list(map(list, zip(*rows, strict=True)))
        small = [(*row[:4], row[5].hex(), row[6], *row[8:12], *row[15:]) for row in rows]
        self._driver.fetch(
            _RECORD,
            _json(small),
            columns[4],
            columns[12],
            _unless_all(columns[7], None),
            _unless_all(columns[13], records.NOTHING),
            _unless_all(columns[14], records.NOTHING),
            _json([records.mark(device) for device in marked]),
            _json([records.moved(one) for one in progress]),
            [to_bytes(one.document.state) if one.with_state else None for one in progress],
        )


def _json(rows: Sequence[Sequence[Any]]) -> str:
    return msgspec.json.encode(rows).decode()


def _unless_all(values: list[Any], value: Any) -> list[Any] | None:
    """None stands for a column in which every row has this value: the statement knows it."""
    return None if values.count(value) == len(values) else values
