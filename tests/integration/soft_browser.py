"""A browser that knows device bound sessions, in software, in front of an application in process: cookies that expire, a key, registration and refresh."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sessile.model.structured_field import Item, parse_item
from sessile.model.token import TOKEN_LENGTH
from sessile.testing.device_key import DeviceKey

HOST = "app.test"
ORIGIN = f"https://{HOST}"
BOUND = "__Host-sessile-bound"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    """Names in lower case."""
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def item(self, name: str) -> Item:
        item = parse_item(self.one(name))
        assert item is not None
        return item

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Shop(ABC):
    """An application in one of the frameworks, with a log-in at `/login/ada` and who is here at `/me`."""

    @abstractmethod
    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """A body is JSON."""

    @abstractmethod
    def login(self, headers: Mapping[str, str]) -> Answer: ...

    @abstractmethod
    def user(self, headers: Mapping[str, str]) -> str | None:
        """Who `/me` says is here."""

    @abstractmethod
    def now_s(self) -> float: ...

    @abstractmethod
    def advance(self, seconds: float) -> None: ...

    @abstractmethod
    def audited(self, handle: str) -> list[str]: ...

    @abstractmethod
    def end(self, handle: str) -> None: ...


class SoftBrowser:
    def __init__(self, shop: Shop, *, knows: bool = True, algorithm: str = "ES256") -> None:
        self.shop = shop
        self.key = DeviceKey(algorithm)
        self.knows = knows
        self.jar: dict[str, tuple[str, float]] = {}
        self.instructions: dict[str, Any] | None = None
        self.challenge: str | None = None
        self.offer: Item | None = None

    # -- cookies ----------------------------------------------------------------------------------------------------------

    def headers(self, **more: str) -> dict[str, str]:
        now = self.shop.now_s()
        kept = "; ".join(f"{name}={value}" for name, (value, until) in self.jar.items() if now < until)
        return {"Host": HOST, "Origin": ORIGIN, **({"Cookie": kept} if kept else {}), **more}

    def keep(self, answer: Answer) -> Answer:
        for header in answer.all("set-cookie"):
            pair, *attributes = [part.strip() for part in header.split(";")]
            name, _, value = pair.partition("=")
            ages = [one.partition("=")[2] for one in attributes if one.lower().startswith("max-age=")]
            self.jar[name] = (value, self.shop.now_s() + (float(ages[0]) if ages else 1e9))
        return answer

    @property
    def token(self) -> str:
        (token,) = [value for value, _ in self.jar.values() if len(value) == TOKEN_LENGTH]
        return token

    @property
    def handle(self) -> str:
        return self.token.partition(".")[0]

    def drop(self) -> str:
        """The bound cookie, which the browser has no more."""
        return self.jar.pop(BOUND)[0]

    # -- what people do ---------------------------------------------------------------------------------------------------

    def login(self) -> Answer:
        return self.offered(self.keep(self.shop.login(self.headers())))

    def ask(self, path: str, **body: Any) -> Answer:
        """A question to the API."""
        headers = self.headers(**{"Content-Type": "application/json"})
        return self.offered(self.keep(self.shop.send("POST", path, headers, json.dumps(body).encode())))

    def offered(self, answer: Answer) -> Answer:
        offers = answer.all("secure-session-registration")
        if offers:
            # An inner list, then parameters: what an item has behind its value.
            self.offer = parse_item("offer" + offers[0][offers[0].index(")") + 1 :])
            assert self.offer is not None
        return answer

    def user(self) -> str | None:
        return self.shop.user(self.headers())

    # -- what the browser does ---------------------------------------------------------------------------------------------

    def proof(self, **claims: Any) -> str:
        assert self.offer is not None
        given = self.offer.parameters
        return self.key.register(given["challenge"], given["authorization"], **claims)

    def register(self, proof: str | None = None, **more: str) -> Answer:
        assert self.offer is not None
        sent = self.headers(**{"Secure-Session-Response": proof or self.proof(), **more})
        return self.taken(self.shop.send("POST", self.offer.parameters["path"], sent))

    def refresh(self, proof: str | None = None, **more: str) -> Answer:
        """With the challenge that is known, or without a proof."""
        assert self.instructions is not None
        sent = self.headers(**{"Sec-Secure-Session-Id": self.instructions["session_identifier"]})
        if proof is None and self.challenge is not None:
            proof, self.challenge = self.key.refresh(self.challenge), None
        if proof is not None:
            sent["Secure-Session-Response"] = proof
        return self.taken(self.shop.send("POST", self.instructions["refresh_url"], {**sent, **more}))

    def taken(self, answer: Answer) -> Answer:
        for header in answer.all("secure-session-challenge"):
            item = parse_item(header)
            assert item is not None
            self.challenge = item.value
        if answer.status == 200:
            self.keep(answer)
            self.instructions = answer.json if answer.json.get("continue") else self.instructions
        return answer

    def bind(self) -> SoftBrowser:
        """Logs in, registers, refreshes: bound."""
        self.login()
        assert self.register().status == 200
        assert self.refresh().status == 200
        assert self.user() is not None
        return self
