"""The application beside the service under the soak: it logs people in and out, and lends log-ins, as any application does by the manager."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request

from sessile import AsyncSessionManager
from sessile.model.platform import PlatformEntry

PATH = "/soak/visit"
PLATFORMS = ("shop", "mail", "blog")


def install(api: FastAPI, manager: AsyncSessionManager) -> None:
    """One path, whose body names what is to be done. Errors are answered as those of the service are."""

    async def visit(request: Request) -> dict[str, Any]:
        return await _visit(manager, await request.json())

    api.add_api_route(PATH, visit, methods=["POST"])


async def _visit(manager: AsyncSessionManager, wish: dict[str, Any]) -> dict[str, Any]:
    user: str = wish["user"]
    session_id: Any = wish.get("session_id")
    match wish["verb"]:
        case "platforms":
            entries = [PlatformEntry(platform_id=f"{user}-{name}", name=name) for name in wish["platforms"]]
            await manager.sync_platforms(user, entries)
            return {}
        case "begin":
            return {"session_id": (await manager.create_session()).session.session_id}
        case "login":
            return {"session_id": (await manager.login(session_id, user)).session.session_id}
        case "rotate":
            return {"session_id": (await manager.rotate_session(session_id)).session.session_id}
        case "switch":
            return {"platform_id": (await manager.switch_platform(session_id, wish["platform_id"])).platform_id}
        case "end":
            return {"ended": await manager.destroy_session(session_id)}
        case "offer":
            offered = await manager.handoffs.offer(session_id)
            return {"handoff_id": offered.handoff.handoff_id, "code": offered.code}
        case "redeem":
            return {"claim": (await manager.handoffs.redeem(wish["code"], address=user)).claim}
        case "confirm":
            return {"status": (await manager.handoffs.confirm(session_id, wish["handoff_id"], accept=True)).status}
        case "complete":
            _, issued = await manager.handoffs.complete(wish["handoff_id"], wish["claim"], session_id=session_id)
            return {"session_id": issued.session.session_id if issued is not None else None}
    raise ValueError(f"not a verb: {wish['verb']}")
