"""Sessions bound to their device (DBSC), in both facades: what the web layer asks for."""

from __future__ import annotations

from sessile.engine.binding import BindingEngine, BindingOffer, BindingSeen, BoundCookie, RefreshOutcome
from sessile.model.session import Session
from sessile.runtime.lane import drive


class AsyncBindings:
    """A browser registers a key for its session and shows again and again that it still has it. Each verb can raise StoreUnavailable."""

    def __init__(self, engine: BindingEngine) -> None:
        self._engine = engine

    async def offer(self, session: Session) -> BindingOffer | None:
        """What to offer the browser that has just logged in; None for an anonymous session and for a bound one. Writes nothing."""
        return await self._engine.offer(session)

    async def register(self, proof: str, *, presented: str | None, audience: str) -> BoundCookie:
        """Takes a browser's key. `presented` is the session whose cookie came along, if any did; `audience` the address that was asked. Raises
        BindingRefused, without having changed anything."""
        return await self._engine.register(proof, presented=presented, audience=audience)

    async def refresh(self, identifier: str, proof: str | None, *, audience: str) -> RefreshOutcome:
        """The next cookie for a valid proof, else a challenge, or that there is nothing to refresh. Moves no deadline."""
        return await self._engine.refresh(identifier, proof, audience=audience)

    async def look(self, session: Session, cookie: str | None) -> BindingSeen:
        """What a request's bound cookie, or that there is none, says about its session. Raises SessionEnded where a late use ends it."""
        return await self._engine.look(session, cookie)

    async def end(self, session_id: str) -> bool:
        """The session goes on without its device; False when it had none. Raises like `get_session`."""
        return await self._engine.end(session_id)


class Bindings:
    """The same without await. See `AsyncBindings`, whose twin this is."""

    def __init__(self, engine: BindingEngine) -> None:
        self._engine = engine

    def offer(self, session: Session) -> BindingOffer | None:
        """What to offer the browser that has just logged in; None for an anonymous session and for a bound one. Writes nothing."""
        return drive(self._engine.offer(session))

    def register(self, proof: str, *, presented: str | None, audience: str) -> BoundCookie:
        """Takes a browser's key. Raises BindingRefused, without having changed anything."""
        return drive(self._engine.register(proof, presented=presented, audience=audience))

    def refresh(self, identifier: str, proof: str | None, *, audience: str) -> RefreshOutcome:
        """The next cookie for a valid proof, else a challenge, or that there is nothing to refresh. Moves no deadline."""
        return drive(self._engine.refresh(identifier, proof, audience=audience))

    def look(self, session: Session, cookie: str | None) -> BindingSeen:
        """What a request's bound cookie, or that there is none, says about its session. Raises SessionEnded where a late use ends it."""
        return drive(self._engine.look(session, cookie))

    def end(self, session_id: str) -> bool:
        """The session goes on without its device; False when it had none. Raises like `get_session`."""
        return drive(self._engine.end(session_id))
