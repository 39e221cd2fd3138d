"""How often somebody may do something. Counted in the rows, so all processes count together and no restart forgets; while the store is away nobody gets
through, because nobody can count (fail closed).

A limit is a number within a window that the first of them opens. What is counted inside a transaction that is then refused is not counted; what must stay
counted (a try to log in) has a transaction of its own.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sessile.engine.keys import KeyRing
from sessile.engine.transitions import note_system_anomaly
from sessile.model.anomaly import Anomaly
from sessile.model.errors import InvalidValue, TooManyTries
from sessile.model.limits import USER_ID_LENGTH_MAX
from sessile.ports import Clock, Store, Transaction

_SHARED_FACTOR: Final = 10
"""So many times as many tries from one address for all names together, and for one name from all addresses: a house has more than one person, and
somebody else's guessing shall not lock its victim out at once."""
_REMEMBERED: Final = timedelta(seconds=1)
_REMEMBERED_MAX: Final = 4096


@dataclass(slots=True)  # not frozen: `sessile.runtime.rules` puts what has changed into it
class Quota:
    """`count_max` of something within `window`, for each subject; 0 is any number."""

    name: str
    count_max: int = 0
    window: timedelta = timedelta(hours=1)

    def spend(self, tx: Transaction, subject: str, now: datetime) -> None:
        """One more, in the transaction of what it is about. Raises TooManyTries, and then it is not counted."""
        if not self.count_max:
            return
        key = f"{self.name}:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"
        if tx.count(key, now, self.window) > self.count_max:
            raise TooManyTries(int(self.window.total_seconds()))


NO_QUOTA: Final = Quota("none")


class TryLimit:
    """Tries to log in, by name and address together, and by each of them alone."""

    def __init__(self, store: Store, clock: Clock, keys: KeyRing, tries_max: int, window: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._keys = keys
        self._tries_max = tries_max
        self._window = window
        self._refused: OrderedDict[str, datetime] = OrderedDict()

    def follow(self, tries_max: int, window: timedelta) -> None:
        """Other limits from now on."""
        self._tries_max, self._window = tries_max, window

    async def spend(self, name: str, address: str) -> None:
        """Counts a try, before the password is looked at. Raises TooManyTries, StoreUnavailable (nobody can count), InvalidValue."""
        if len(name) > USER_ID_LENGTH_MAX:
            raise InvalidValue("/name", f"a name has at most {USER_ID_LENGTH_MAX} characters")
        if not self._tries_max:
            return
        await self._keys.ready()
        now = self._clock.now()
        folded = name.strip().casefold()
        limits = {
            self._key("both", f"{folded}\0{address}"): self._tries_max,
            self._key("name", folded): self._tries_max * _SHARED_FACTOR,
            self._key("address", address): self._tries_max * _SHARED_FACTOR,
        }
        # Who is refused over and over is refused from memory: a flood of tries is not to become one of transactions.
        over = [key for key in limits if now < self._refused.get(key, now)]
        if not over:
            over = await self._store.write(self._spend, sorted(limits.items()), now)
            self._remember(over, now)
        if over:
            raise TooManyTries(int(self._window.total_seconds()))

    def _spend(self, tx: Transaction, limits: Sequence[tuple[str, int]], now: datetime) -> list[str]:
        over = []
        for key, count_max in limits:  # in one order, so that two of them do not wait for each other
            counted = tx.count(key, now, self._window)
            if counted > count_max:
                over.append(key)
            if counted == count_max + 1:
                kind, _, subject = key.removeprefix("login:").partition(":")
                note_system_anomaly(tx, Anomaly.RATE_LIMIT, now, limit="login", of=kind, subject_hash=subject)
        return over

    def _remember(self, over: Sequence[str], now: datetime) -> None:
        for key in over:
            self._refused[key] = now + _REMEMBERED
            self._refused.move_to_end(key)
        while len(self._refused) > _REMEMBERED_MAX:
            self._refused.popitem(last=False)

    def _key(self, kind: str, subject: str) -> str:
        """Names and addresses are told apart, not kept."""
        return f"login:{kind}:{self._keys.sign('limit', f'{kind}/{subject}'.encode()).hex()[:32]}"
