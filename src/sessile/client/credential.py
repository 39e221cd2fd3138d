"""The bearer token of a client, and what gives it. Its text is in no repr."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from sessile.model.token import parse as parse_token

Token = str | Callable[[], str] | Callable[[], Awaitable[str]]
"""A bearer token, or what gives the present one; asked before every connection and every request."""
OnToken = Callable[[str], None] | Callable[[str], Awaitable[None]]
"""Called with each token that the service gives instead of the one before: the place to store it."""


class Credential:
    """`present` is the token to use now: what the source says, or what the service has given instead of exactly that. So a source that reads a
    stored token may go on saying the old one, and one that says another is believed at once."""

    def __init__(self, source: Token, on_token: OnToken | None = None) -> None:
        self._source = source
        self._on_token = on_token
        self._said: str | None = None
        self._instead: str | None = None

    def __repr__(self) -> str:
        return "Credential(...)"

    @property
    def is_kept(self) -> bool:
        """Whether somebody hears of new tokens, so that they outlive this process."""
        return self._on_token is not None

    def use(self, source: Token) -> None:
        """Another source, from now on."""
        self._source = source

    async def said(self) -> str:
        """What the source says. Raises what the source raises."""
        if isinstance(self._source, str):
            return self._source
        given = self._source()
        return await given if inspect.isawaitable(given) else given

    def standing_for(self, said: str) -> str:
        """The token to use where the source says `said`. Raises SessionNotFound for what is no token: it must not get into a header."""
        token = self._instead if self._instead is not None and said == self._said else said
        parse_token(token)
        return token

    async def present(self) -> str:
        """Raises SessionNotFound for what is no token, and what the source raises."""
        return self.standing_for(await self.said())

    async def renewed(self, said: str, token: str) -> None:
        """The service has replaced the token of `said`. In use before anybody is told; raises what `on_token` raises."""
        self._said, self._instead = said, token
        if self._on_token is not None:
            told = self._on_token(token)
            if inspect.isawaitable(told):
                await told
