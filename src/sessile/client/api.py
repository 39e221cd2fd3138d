"""The verbs of a session over HTTP, as `client.api`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from msgspec import UNSET, UnsetType

from sessile.client.credential import Credential
from sessile.client.document_api import DocumentApi
from sessile.client.resources import (
    HandoffState,
    OfferedHandoff,
    PlatformFacts,
    RestoredSession,
    ServiceInfo,
    SessionFacts,
    Standing,
    StoredDocument,
    document_from,
    handoff_state_from,
    offered_from,
    standing_from,
)
from sessile.client.transport import Transport, segment
from sessile.model.document import State
from sessile.model.token import parse as parse_token

CLOSE_TIMEOUT_S: Final = 2.0
"""How long closing waits for the answer to a refresh: the token in it is the only one that is good afterwards."""


class Host(Protocol):
    """What the verbs need of their client."""

    async def device_id(self) -> str:
        """Of this client. Raises OutboxUnavailable."""
        ...

    def session_shown(self, session: SessionFacts) -> None:
        """The service has shown the session as it is now."""
        ...


class Api:
    """Every verb raises what the service refuses it with: StoreUnavailable and TooManyTries when trying again later helps,
    AuthenticationRequired with the reason when nobody is logged in. Without an answer it raises NotConnected (nothing has happened),
    ConnectionLost (it may have happened) or ClientClosed. Nothing is tried again by itself. Works without a socket."""

    def __init__(self, transport: Transport, credential: Credential, host: Host) -> None:
        self._transport = transport
        self._credential = credential
        self._host = host
        self._refreshing = asyncio.Lock()
        self._refreshes: set[asyncio.Task[SessionFacts]] = set()

    def __repr__(self) -> str:
        return f"Api({self._transport!r})"

    # -- the session ------------------------------------------------------------------------------------------------

    async def session(self) -> Standing:
        """What the token is worth. A token that is not good any more is an answer here, not an error."""
        standing = standing_from(await self._transport.get("session"))
        if standing.session is not None:
            self._host.session_shown(standing.session)
        return standing

    async def extend(self) -> SessionFacts:
        """Counts as activity: moves the idle deadline."""
        return self._shown(await self._transport.post("session/extend"))

    async def refresh(self) -> SessionFacts:
        """A new token for the same session; the one before is not good any more. This client uses the new one from here on, and tells
        `on_token`, whose error comes up here. Whoever is cancelled meanwhile does not lose the token. After ConnectionLost the new token
        may be lost: log in again."""
        task = asyncio.create_task(self._refresh(), name="sessile-client-refresh")
        self._refreshes.add(task)
        task.add_done_callback(self._refreshes.discard)
        return await asyncio.shield(task)

    async def logout(self) -> None:
        """Ends the session. The socket is closed by the server; what is not acknowledged stays in the outbox."""
        await self._transport.post("session/logout")

    async def logout_others(self) -> int:
        """Ends the user's other sessions; returns how many."""
        ended: int = (await self._transport.post("session/logout-others"))["ended"]
        return ended

    async def sessions(self) -> list[SessionFacts]:
        """The caller's live ones: SESSION with `device`, `is_current` and where they are connected."""
        sessions: list[SessionFacts] = (await self._transport.get("sessions"))["sessions"]
        return sessions

    async def end_session(self, session_id: str) -> None:
        """Ends one of the caller's sessions. Raises ForeignSession."""
        await self._transport.ask("DELETE", f"sessions/{segment(session_id)}")

    async def platforms(self) -> list[PlatformFacts]:
        """The caller's active ones, oldest first."""
        platforms: list[PlatformFacts] = (await self._transport.get("session/platforms"))["platforms"]
        return platforms

    async def switch_platform(self, platform_id: str, *, expected: str | UnsetType | None = UNSET) -> SessionFacts:
        """Puts the session on another platform; with `expected` (None: on none) only if it is on that one. Raises VersionConflict with
        `current["platform_id"]`, PlatformRefused."""
        body: dict[str, Any] = {"platform_id": platform_id}
        if expected is not UNSET:
            body["expected_platform_id"] = expected
        return self._shown(await self._transport.post("session/platform", body))

    async def heartbeat(self, device: Mapping[str, Any] | None = None) -> SessionFacts:
        """A sign of life of this device, for a client without a socket; not activity. `device`: label, screen, time_zone, language, platform."""
        body: dict[str, Any] = {"device_id": await self._host.device_id()}
        if device is not None:
            body["device"] = dict(device)
        return self._shown(await self._transport.post("session/heartbeat", body))

    async def check_connection(self) -> ServiceInfo:
        """The service answers; nothing is looked up there."""
        answer = await self._transport.get("session/check-connection")
        return ServiceInfo(server_time=datetime.fromisoformat(answer["server_time"]), version=answer["version"])

    async def restore(
        self,
        document: str | DocumentApi,
        *,
        changes: Sequence[Mapping[str, Any]] = (),
        backup: Mapping[str, Any] | None = None,
        device_id: str | None = None,
    ) -> RestoredSession:
        """Brings what another outbox or a backup holds: `changes` as in the frame `change`, numbered by `device_id` (this client's), `backup`
        with `epoch`, `version` and `values` by path. `document` is a name, or `api.document(document_id)`. The usual policies decide."""
        handle, _secret = parse_token(await self._credential.present())
        body: dict[str, Any] = {
            "document": {"name": document} if isinstance(document, str) else {"document_id": document.id},
            "device_id": device_id or await self._host.device_id(),
            "changes": [dict(change) for change in changes],
        }
        if backup is not None:
            body["backup"] = dict(backup)
        answer = await self._transport.post(f"session/{handle}/restore", body)
        return RestoredSession(
            ack=answer.get("ack"), nack=answer.get("nack"), backup=answer.get("backup"), state=answer["state"]
        )

    # -- documents --------------------------------------------------------------------------------------------------

    async def documents(self, *, archived: bool = False) -> list[StoredDocument]:
        """The caller's, latest activity first, without their states; with `archived` the archived ones instead."""
        answer = await self._transport.get("documents", {"archived": "true"} if archived else None)
        return [document_from(raw) for raw in answer["documents"]]

    async def claim(self) -> list[StoredDocument]:
        """Takes the documents of this session's anonymous time over to its user, where logging in did not do so; returns them without their
        states. A name that is taken gets a number."""
        return [document_from(raw) for raw in (await self._transport.post("documents/claim"))["claimed"]]

    async def open_document(self, name: str, *, default: State | None = None) -> StoredDocument:
        """The caller's document of that name, or a new one with `default`, as it is now."""
        body = {} if default is None else {"default": default}
        return document_from(await self._transport.ask("PUT", f"documents/by-name/{segment(name)}", body=body))

    async def import_(self, exported: Mapping[str, Any], *, name: str | None = None) -> StoredDocument:
        """A new document of what `export` gave, under its own name or another. Raises ExportDamaged, VersionConflict for a name that is taken."""
        body = {"exported": dict(exported)}
        return document_from(
            await self._transport.post("documents/import", body if name is None else {**body, "name": name})
        )

    def document(self, document_id: str) -> DocumentApi:
        """The verbs of one document; asks nothing yet."""
        return DocumentApi(self._transport, document_id)

    # -- lending the log-in to another device -----------------------------------------------------------------------

    async def handoff_offer(self, path: str = "") -> OfferedHandoff:
        """A code for another device; an earlier one of this session is not good any more. `path` is where the other one goes on."""
        return offered_from(await self._transport.post("handoff", {"path": path} if path else {}))

    async def handoff_status(self, handoff_id: str) -> HandoffState:
        """Raises HandoffRefused when nobody used the code in time. `events.HandoffChanged` tells when there is something new."""
        return handoff_state_from(await self._transport.get(f"handoff/{segment(handoff_id)}"))

    async def handoff_confirm(self, handoff_id: str, *, accept: bool) -> HandoffState:
        """The answer to the device that asks. Raises HandoffRefused when nobody asks, or too late."""
        body = {"handoff_id": handoff_id, "accept": accept}
        return handoff_state_from(await self._transport.post("handoff/confirm", body))

    # -- for the client ---------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Ends every request; a refresh that is under way gets a moment for its answer."""
        if self._refreshes:
            await asyncio.wait(set(self._refreshes), timeout=CLOSE_TIMEOUT_S)
        await self._transport.close()
        await asyncio.gather(*self._refreshes, return_exceptions=True)  # each of them tells its own caller

    # -- inside -----------------------------------------------------------------------------------------------------

    async def _refresh(self) -> SessionFacts:
        async with self._refreshing:  # two at a time would retire each other's token
            said = await self._credential.said()
            token = self._credential.standing_for(said)
            answer = await self._transport.ask("POST", "session/refresh", token=token)
            # There is none when this token had been replaced already: the newer one has gone to whoever asked for it.
            if "token" in answer:
                await self._credential.renewed(said, answer["token"])
            return self._shown(answer)

    def _shown(self, answer: Mapping[str, Any]) -> SessionFacts:
        session: SessionFacts = answer["session"]
        self._host.session_shown(session)
        return session
