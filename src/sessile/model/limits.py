"""Every bound in one place. Bytes are of the UTF-8 JSON text."""

from __future__ import annotations

from typing import Final

SESSION_DATA_BYTES_MAX: Final = 64 * 1024
STATE_BYTES_MAX: Final = 1024 * 1024
CHANGE_BYTES_MAX: Final = 64 * 1024
OPERATIONS_PER_CHANGE_MAX: Final = 200
CHANGES_PER_FRAME_MAX: Final = 100
FRAME_BYTES_MAX: Final = 96 * 1024
FIRST_FRAME_BYTES_MAX: Final = 4 * 1024
ADDRESS_HELLO_BYTES_MAX: Final = 16 * 1024
"""A hello that comes in the address of a stream. What stands between may take less."""
DEPTH_MAX: Final = 32
KEY_BYTES_MAX: Final = 256
NAME_LENGTH_MAX: Final = 200
LABEL_LENGTH_MAX: Final = 200
USER_ID_LENGTH_MAX: Final = 255
ROLES_MAX: Final = 100
PLATFORM_ID_LENGTH_MAX: Final = 64
PLATFORMS_PER_USER_MAX: Final = 200
OPEN_CONFLICTS_MAX: Final = 100
DOCUMENTS_PER_SOCKET_MAX: Final = 50
NUMBER_MAX: Final = 2**53 - 1
"""Integers beyond this are not exact in JavaScript (ECMA-262, Number.MAX_SAFE_INTEGER)."""

STATE_INLINE_BYTES_MAX: Final = 16 * 1024
"""Up to this size the state is written with every change; larger ones now and then, rolled forward on read."""
STATE_LAG_CHANGES_MAX: Final = 100
STATE_LAG_BYTES_MAX: Final = 256 * 1024
REPLAY_CHANGES_MAX: Final = 512
"""A resume from further back than this is answered with a snapshot."""
JUDGED_CHANGES_MAX: Final = 4096
"""So many lines of the log a change is compared with; one based further back counts as colliding wherever its value differs."""
REBUILT_AT_ONCE: Final = 1000
"""Lines of the log read at a time while a past state is rebuilt."""
EXPORTED_CHANGES_MAX: Final = 10_000
EXPORTED_CHECKPOINTS_MAX: Final = 100
ACTIVITY_DATA_BYTES_MAX: Final = 4 * 1024
VALIDATOR_MS_MAX: Final = 50
"""A schema that takes longer over one state holds up every writer."""
HASH_EVERY_VERSIONS: Final = 32
BEFORE_VALUE_BYTES_MAX: Final = 4 * 1024
"""Overwritten values up to this size are kept with the change, as the base of a later conflict."""
PATH_LENGTH_MAX: Final = 2000
HANDOFF_LIFETIME_S: Final = 120
RECOVERY_CODE_LIFETIME_S: Final = 600
"""Of a code that an operator gives to somebody without a session: at most ten minutes (ASVS 6.5.5)."""
HANDOFF_TRIES_MAX: Final = 5
"""Wrong codes from one address within the lifetime of a code."""
RETIRED_TOKENS_MAX: Final = 3
COMMIT_BATCH_MAX: Final = 256
CHECKPOINTS_AUTOMATIC_KEPT: Final = 20
