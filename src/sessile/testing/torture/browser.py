"""A browser as far as sessions are concerned: it sends the cookies it has, and keeps what `Set-Cookie` says, in the order in which answers arrive.

It sends Secure cookies over plain http, too: the applications under test run with their defaults, and no TLS is in front of them.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode

ANSWER_TIMEOUT_S: Final = 30.0
WRITING: Final = frozenset(
    {"/write", "/slow-write", "/nested", "/slow-nested", "/login", "/logout", "/rotate", "/end-others"}
)
"""What is sent as POST."""
FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI: Final = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"


@dataclass(frozen=True)
class SetCookie:
    """One `Set-Cookie`. `value` is None where it removes the cookie. Names of attributes are in lower case."""

    name: str
    value: str | None = field(repr=False)
    attributes: Mapping[str, str]

    @classmethod
    def parse(cls, header: str) -> SetCookie:
        """Of one header's value, as RFC 6265 section 5.2 reads it."""
        pair, *rest = header.split(";")
        name, _, value = pair.partition("=")
        attributes = {}
        for part in rest:
            key, _, given = part.partition("=")
            attributes[key.strip().lower()] = given.strip()
        return cls(name.strip(), None if _is_past(attributes) else value.strip(), attributes)

    @property
    def shown(self) -> str:
        """Name and attributes without the value and without times, for people."""
        times = {"expires", "max-age"}
        told = (f"{key}={value}" if value and key not in times else key for key, value in self.attributes.items())
        return ", ".join([self.name, *told])


@dataclass(frozen=True)
class Answer:
    """What came back. Bodies that are no JSON object count as empty."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: Mapping[str, Any]
    text: str = field(repr=False)

    @property
    def user(self) -> Any:
        """Who is logged in, as the application sees it; None for nobody."""
        return self.body.get("user")

    @property
    def data(self) -> Mapping[str, Any]:
        """What the session holds, as the application sees it."""
        found = self.body.get("data")
        return found if isinstance(found, dict) else {}

    @property
    def cookies(self) -> list[SetCookie]:
        return [SetCookie.parse(value) for name, value in self.headers if name == "set-cookie"]

    @property
    def is_failure(self) -> bool:
        """The server's own fault: 5xx."""
        return self.status >= http.client.INTERNAL_SERVER_ERROR

    @property
    def is_refused(self) -> bool:
        """Any error: 4xx or 5xx."""
        return self.status >= http.client.BAD_REQUEST

    def header(self, name: str) -> str:
        """All values of a header, joined as RFC 9110 section 5.3 says; empty when there is none."""
        return ", ".join(value for key, value in self.headers if key == name)


class Browser:
    """One person's browser. Requests may overlap; each sends the cookies of the moment in which it begins. `given` gathers the values of all cookies."""

    def __init__(self, port: int, user_agent: str = FIREFOX, given: set[str] | None = None) -> None:
        self._port = port
        self._given = set() if given is None else given
        self._user_agent = user_agent
        self._lock = threading.Lock()
        self.jar: dict[str, str] = {}

    def ask(self, path: str, *, cookie_header: str | None = None, is_https: bool = False, **parameters: str) -> Answer:
        """The answer to one request. `cookie_header` goes instead of what the jar has; the answer's cookies are kept all the same. With `is_https` it looks
        as if it came from a proxy that ends TLS. Raises TimeoutError after 30 s, ConnectionError."""
        answer = self.send(path, self.cookies if cookie_header is None else cookie_header, is_https, parameters)
        self.keep(answer)
        return answer

    def send(self, path: str, cookies: str, is_https: bool, parameters: Mapping[str, str]) -> Answer:
        """The same without keeping what the answer sets."""
        headers = {"User-Agent": self._user_agent, "Accept": "application/json"}
        if cookies:
            headers["Cookie"] = cookies
        if is_https:
            headers["X-Forwarded-Proto"] = "https"
        query = f"?{urlencode(parameters)}" if parameters else ""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_TIMEOUT_S)
        try:
            connection.request("POST" if path in WRITING else "GET", path + query, headers=headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        except http.client.HTTPException as error:
            raise ConnectionError(f"no HTTP: {type(error).__name__}") from error
        finally:
            connection.close()
        told = tuple((name.lower(), value) for name, value in response.getheaders())
        return Answer(response.status, told, _object(text), text)

    def keep(self, answer: Answer) -> None:
        """Applies the cookies of an answer to the jar."""
        with self._lock:
            for cookie in answer.cookies:
                if cookie.value is None:
                    self.jar.pop(cookie.name, None)
                else:
                    self.jar[cookie.name] = cookie.value
                    self._given.add(cookie.value)

    @property
    def cookies(self) -> str:
        """The `Cookie` header of a request that begins now."""
        with self._lock:
            return "; ".join(f"{name}={value}" for name, value in self.jar.items())

    def copy(self) -> Browser:
        """Another browser with the same cookies: what somebody has who copied or planted them."""
        twin = Browser(self._port, self._user_agent, self._given)
        with self._lock:
            twin.jar = dict(self.jar)
        return twin


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_past(attributes: Mapping[str, str]) -> bool:
    """Whether a cookie with these attributes is gone at once. Max-Age goes before Expires (RFC 6265 section 5.3)."""
    if "max-age" in attributes:
        return attributes["max-age"].lstrip("-").isdigit() and int(attributes["max-age"]) <= 0
    if "expires" in attributes:
        try:
            return parsedate_to_datetime(attributes["expires"]).replace(tzinfo=UTC) <= datetime.now(UTC)
        except ValueError:
            return False
    return False
