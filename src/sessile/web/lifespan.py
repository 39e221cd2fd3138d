"""Living as long as the application around which a middleware stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sessile.model.errors import SessileError
from sessile.web.asgi import App, Message, Receive, Scope, Send

_OVER = frozenset({"lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed"})


async def live_with(
    app: App,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    begin: Callable[[], Awaitable[None]],
    end: Callable[[], Awaitable[None]],
) -> None:
    """Runs the application's `lifespan` scope: `begin` is over before the application starts, and `end` comes when it has ended, however that came. An
    error of ours in `begin` is a start that failed, which stops the server. `end` may be called more than once."""

    async def hear() -> Message:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await begin()
            except SessileError as error:
                # Raised only, it would be taken for an application that knows no lifespan, and the server would go on.
                await send({"type": "lifespan.startup.failed", "message": error.message})
                raise
        return message

    async def tell(message: Message) -> None:
        if message["type"] in _OVER:
            await end()
        await send(message)

    try:
        await app(scope, hear, tell)
    finally:
        await end()
