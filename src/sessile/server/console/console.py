"""The console as one ASGI application: login, pages and files below `/console`, the API below `/api/console`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from sessile.engine.operators import Act
from sessile.engine.oversight import check_act
from sessile.model.errors import AuthenticationRequired, SessileError
from sessile.model.operator_access import OperatorCredential, OperatorEnd
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.answers import PrivateAnswers
from sessile.server.console import pages
from sessile.server.console.access import ConsoleAccess
from sessile.server.console.feed import Feeds
from sessile.server.console.monitor import Monitor
from sessile.server.console.refusals import RoleRefused, over
from sessile.server.console.routes import ROUTES
from sessile.server.console.table import Call, Route
from sessile.server.limits import BodyLimits
from sessile.server.problems import problem_response
from sessile.server.realtime.hub import Hub
from sessile.server.refusals import MethodRefused, NoSuchPage
from sessile.web.asgi import App, Receive, Scope, Send, path_within
from sessile.web.problems import log_fault

API: Final = "/api/console"
PAGES: Final = "/console"


class Console:
    """One per process and manager, beside the hub."""

    def __init__(self, manager: AsyncSessionManager, hub: Hub) -> None:
        self.manager = manager
        self.hub = hub
        self.access = ConsoleAccess(manager)
        self.monitor = Monitor(manager, hub)
        self.feeds = Feeds()
        self.oversight = manager.oversight
        self.started_at = manager.clock.now()
        self.verified: tuple[datetime, dict[str, Any]] | None = None
        """When all chains were looked at last, and what that showed."""
        api: App = Starlette(
            routes=[
                StarletteRoute(API + route.path, self._endpoint(route), methods=[route.method]) for route in ROUTES
            ],
            exception_handlers={SessileError: _told, HTTPException: _not_routed, Exception: _fault},
        )
        self._api: App = PrivateAnswers(BodyLimits(api))
        self._pages: App = PrivateAnswers(self._page)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = path_within(scope)
        await (self._api if path.startswith(API) else self._pages)(scope, receive, send)

    def start(self) -> None:
        """Begins to measure."""
        self.monitor.start()

    async def stop(self) -> None:
        await self.monitor.stop()

    async def done(
        self,
        act: Act,
        work: Callable[[], Awaitable[None]],
        *,
        before: Mapping[str, Any],
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Notes an act and does it; when it comes to nothing, that is noted, too. So no act is without a note, whatever stops this process in between."""
        check_act(act)
        await self.manager.operators.note(act, {"before": before, **({} if after is None else {"after": after})})
        try:
            await work()
        except SessileError as error:
            failed = Act(subject=act.subject, action=f"{act.action}_failed", reason=act.reason, by=act.by)
            await self.manager.operators.note(failed, {"code": error.code})
            raise

    async def sign_out(self, operator: OperatorCredential) -> None:
        """The operator's session is over, and so are its feeds."""
        await self.manager.operator_access.end(operator.credential_id, OperatorEnd.SIGNED_OUT, by=operator.operator)
        self.feeds.end(operator.credential_id, "signed_out")

    # -- API --------------------------------------------------------------------------------------------------------------------------

    def _endpoint(self, route: Route) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            scope = request.scope
            if route.is_stream:
                if scope["method"] == "HEAD":  # the framework adds it to every GET; nobody would read the stream
                    raise MethodRefused
                self.access.check_stream(scope)
            elif route.method == "GET":
                self.access.check_read(scope)
            else:
                self.access.check_own_origin(scope)
            operator = await self.access.operator(scope, is_stream=route.is_stream)
            await self.access.check_csrf(scope, operator)
            if not operator.may(route.right):
                await self.manager.operator_access.note_refused(operator, route.right, f"{route.method} {route.path}")
                raise RoleRefused(operator.role, route.right)
            try:
                return await route.answer(Call(self, request, operator))
            except SessileError as error:
                raise over(error) from error

        return endpoint

    # -- pages ------------------------------------------------------------------------------------------------------------------------

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(scope, receive)
        except SessileError as error:
            response = await _told(Request(scope), error)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        below = path_within(scope).removeprefix(PAGES)
        method = scope["method"]
        if below == "/login" and method == "POST":
            return await self._sign_in(scope, receive)
        if method not in {"GET", "HEAD"}:
            raise MethodRefused
        request = Request(scope)
        if below.startswith("/static/"):
            headers = request.headers
            return pages.static(below[8:], headers.get("if-none-match", ""), headers.get("accept-encoding", ""))
        if below == "":
            return pages.redirect(scope, "")
        self.access.check_transport(scope)
        if below == "/login":
            return pages.login(scope, going_on=request.query_params.get("next", ""))
        try:
            await self.access.operator(scope)
        except AuthenticationRequired:
            query = request.url.query
            going_on = pages.checked_next(below[1:] + (f"?{query}" if query else ""))
            return pages.redirect(scope, "login" + (f"?next={pages.quoted(going_on)}" if going_on else ""))
        return pages.shell(scope)

    async def _sign_in(self, scope: Scope, receive: Receive) -> Response:
        self.access.check_transport(scope)
        self.access.check_own_origin(scope)
        fields = await pages.form(scope, receive)
        client = scope.get("client")
        address = str(client[0] if client else "")
        going_on = pages.checked_next(fields.get("next", ""))
        try:
            issued = await self.manager.operator_access.sign_in(fields.get("token", ""), address=address)
        except SessileError as error:
            return pages.login(scope, going_on=going_on, error=error)
        left = issued.credential.absolute_expires_at - self.manager.clock.now()
        response = pages.redirect(scope, going_on)
        response.headers["set-cookie"] = self.access.set_cookie(scope, issued.token, int(left.total_seconds()))
        return response


async def _told(_request: Request, error: Exception) -> Response:
    assert isinstance(error, SessileError)
    log_fault(error)
    return problem_response(error)


async def _not_routed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == MethodRefused.http_status:
        return problem_response(MethodRefused(), error.headers)
    return problem_response(NoSuchPage("There is nothing of the console at this address."))


async def _fault(_request: Request, _error: Exception) -> Response:
    """The framework raises it again after this answer, and the server logs it."""
    return problem_response(SessileError())
