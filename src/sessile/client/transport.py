"""One HTTP client to the service: requests with the bearer token, answers as JSON, faults as typed errors. httpx is imported when it is
first needed; a client that only has documents works without."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from sessile.client.credential import Credential
from sessile.client.errors import ClientClosed, ConnectionLost, NotConnected, ServerRefused
from sessile.client.problems import error_from, error_of_status

if TYPE_CHECKING:
    import httpx

TIMEOUT_S: Final = 10.0
"""For each step of a request: connecting, sending, and every wait for more of the answer."""
_PROBLEM: Final = "application/problem+json"
_SAFE: Final = frozenset({"GET", "HEAD"})


class Transport:
    """`url` ends with a slash. Without a credential the requests are nobody's. `platform_id` puts each request on that platform. Redirects are
    not followed and cookies not kept: the token is all that says who this is, and only this service gets it."""

    def __init__(
        self,
        url: str,
        *,
        credential: Credential | None = None,
        platform_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
        over: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._credential = credential
        self._headers = {} if platform_id is None else {"sessile-platform": quote(platform_id, safe="")}
        self._timeout_s = timeout_s
        self._over = over
        self._http: httpx.AsyncClient | None = None
        self._under_way: set[asyncio.Task[httpx.Response]] = set()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"Transport({self._url!r})"

    async def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Raises like `ask`; nothing has happened then."""
        return await self.ask("GET", path, query=query)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Raises like `ask`."""
        return await self.ask("POST", path, body=body)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Any:
        """One request to `path` below the service's `api/v0/`; the decoded answer, None where there is none. Query parameters that are None are
        left out. `token` instead of the credential's.

        Raises what the service refuses it with; NotConnected when it cannot have arrived, or would have changed nothing; ConnectionLost when it
        is not known whether it happened; ServerRefused when the answer is not the service's; SessionNotFound when the token is none; ClientClosed.
        """
        if token is None and self._credential is not None:
            token = await self._credential.present()
        sent = {**self._headers, **(headers or {})}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        if body is not None:
            sent.setdefault("content-type", "application/json")
        response = await self._exchange(
            method,
            f"api/v0/{path}",
            content=None if body is None else msgspec.json.encode(body),
            params={name: value for name, value in (query or {}).items() if value is not None},
            headers=sent,
        )
        return _read(response)

    async def rest(self) -> None:
        """Gives up the connections that are open and idle; the next request opens new ones."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def close(self) -> None:
        """Whoever waits for an answer gets ClientClosed."""
        self._is_closed = True
        for task in tuple(self._under_way):
            task.cancel()
        if self._under_way:
            await asyncio.wait(set(self._under_way))
        await self.rest()

    async def _exchange(self, method: str, path: str, **request: Any) -> httpx.Response:
        import httpx

        http = self._opened()
        task = asyncio.ensure_future(http.request(method, path, **request))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            return await task
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if self._is_closed and (own is None or not own.cancelling()):
                raise ClientClosed from None
            raise
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotConnected(f"The server cannot be reached: {type(error).__name__}.") from error
        except httpx.HTTPError as error:
            problem = NotConnected if method in _SAFE else ConnectionLost
            raise problem(f"The server did not answer: {type(error).__name__}.") from error

    def _opened(self) -> httpx.AsyncClient:
        import httpx

        if self._is_closed:
            raise ClientClosed
        if self._http is None:
            self._http = httpx.AsyncClient(
                base_url=self._url,
                timeout=self._timeout_s,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                headers={"accept": f"application/json, {_PROBLEM}"},
                follow_redirects=False,
                transport=self._over,
            )
        return self._http


def segment(text: str) -> str:
    """A text as one segment of a path, whatever is in it."""
    return quote(text, safe="")


def _read(response: httpx.Response) -> Any:
    if response.status_code == HTTPStatus.NO_CONTENT:
        return None
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.is_success and kind == "application/json":
        return _decoded(response)
    if not response.is_success and kind == _PROBLEM:
        problem = _decoded(response)
        if isinstance(problem, dict):
            raise error_from(problem, response.status_code)
    raise error_of_status(response.status_code)


def _decoded(response: httpx.Response) -> Any:
    try:
        return msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ServerRefused(
            f"http_{response.status_code}", "The answer is not JSON that can be read.", is_retryable=False
        ) from None
