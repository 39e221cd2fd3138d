"""What reading a session adds to a request in Flask: CPU of the process, on the same Redis, against Flask-Session and a limit that is written by hand.

A variant is a process of its own that answers WSGI requests without a network and says what CPU they cost (user and system), so what is compared is the
session alone. `bare` is the same view without a session; what is told is the difference to it in the same round.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

from benchmarks.telling import Tell, ratios

DATA: Final[Mapping[str, Any]] = {
    "user": "ann",
    "n": 7,
    "basket": {f"sku-{number}": number for number in range(8)},
    "note": "x" * 200,
}
WARM_UP_S: Final = 3.0
"""Until our cache is believed: a new epoch opens when no process can believe an earlier one any more."""
SLICES: Final = 10
"""Parts of a round, between which the variants take turns."""
VARIANTS: Final = {
    "bare": "bare Flask",
    "limit": "one GET by hand (hiredis, msgspec)",
    "sessile": "Sessile",
    "tuned": "Flask-Session, tuned",
    "default": "Flask-Session, as it comes",
    "signed": "Flask's signed cookie (no store)",
}


# -- the processes under measurement ------------------------------------------------------------------------------------------------------------


def application(variant: str, redis_url: str, database: str) -> tuple[Any, str]:
    """The application, and the cookie of a session with `DATA`."""
    from flask import Flask, session

    app = Flask(variant)
    read: Callable[[], int] = lambda: session["n"]  # noqa: E731
    cookie = ""
    match variant:
        case "bare":
            read = lambda: DATA["n"]  # noqa: E731
        case "limit":
            read = _by_hand(redis_url)
        case "signed":
            app.secret_key = "k" * 32
        case "sessile":
            from sessile.integrations.flask import Sessile

            Sessile(app, database_url=f"sqlite:///{database}", redis_url=redis_url)
        case _:
            _add_flask_session(app, variant, redis_url)

    @app.get("/read")
    def view():
        return {"n": read()}

    @app.post("/write")
    def write():
        session.update(DATA)
        return ""

    if variant not in {"bare", "limit"}:
        made = app.test_client(use_cookies=False).post("/write")
        cookie = made.headers["Set-Cookie"].partition(";")[0]
    return app, cookie


def _add_flask_session(app: Any, variant: str, redis_url: str) -> None:
    from flask_session import Session
    from redis import Redis

    app.config["SESSION_TYPE"] = "redis"
    app.config["SESSION_REDIS"] = Redis.from_url(redis_url)
    if variant == "tuned":
        app.config["SESSION_REFRESH_EACH_REQUEST"] = False
        app.config["SESSION_SERIALIZATION_FORMAT"] = "msgpack"
        app.config["SESSION_PERMANENT"] = False
    Session(app)


def _by_hand(redis_url: str) -> Callable[[], int]:
    """Nothing can be less: one question, one answer, one dict."""
    import hiredis
    import msgspec

    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pack: Callable[[Any], bytes] = hiredis.pack_command
    reader, decode = hiredis.Reader(), msgspec.msgpack.Decoder().decode
    connection.sendall(pack(("SET", "by-hand", msgspec.msgpack.encode(DATA))))
    connection.recv(1000)

    def read() -> int:
        connection.sendall(pack(("GET", "by-hand")))
        while (reply := reader.gets()) is False:
            reader.feed(connection.recv(65536))
        found: int = decode(reply)["n"]
        return found

    return read


def answer_lines(app: Any, cookie: str) -> None:
    """For each line with a number: answers so many requests, and says what one of them cost in microseconds of CPU."""
    wsgi = app.wsgi_app
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/read",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "HTTP_ACCEPT": "text/html,application/xhtml+xml",
        "HTTP_ACCEPT_LANGUAGE": "en",
        "HTTP_ACCEPT_ENCODING": "gzip",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": sys.stdin.buffer,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **({"HTTP_COOKIE": cookie} if cookie else {}),
    }
    expected = json.dumps({"n": DATA["n"]}).replace(" ", "").encode() + b"\n"

    def start_response(status: str, _headers: object, _exc_info: object = None) -> Any:
        if not status.startswith("200"):
            raise RuntimeError(status)

    print("ready", flush=True)
    for line in sys.stdin:
        count = int(line)
        began = time.process_time()
        for _ in range(count):
            body = wsgi({**environ}, start_response)
            if b"".join(body) != expected:
                raise RuntimeError("the session is not what it was")
            body.close()
        print((time.process_time() - began) / count * 1e6, flush=True)


# -- measuring ------------------------------------------------------------------------------------------------------------------------------------


def measure(folder: Path, rounds: int, duration_s: float, tell: Tell) -> list[dict[str, Any]]:
    """A row for each variant: CPU that a request costs, what of it is the session's, and the latter in proportion to Sessile's."""
    from sessile.testing.servers import RedisServer

    with ExitStack() as stack:
        redis = RedisServer()
        stack.callback(redis.close)
        redis.start()
        workers = {name: stack.enter_context(_Worker(name, redis.url(), folder)) for name in VARIANTS}
        count = max(1, int(duration_s * 1000 / SLICES))
        warm_until_s = max(WARM_UP_S, duration_s)
        for worker in workers.values():
            worker.ask(int(warm_until_s * 200))
        _wait_for_cache(workers["sessile"])
        costs: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for number in range(rounds):
            tell(f"requests with a session in Flask, round {number + 1} of {rounds}")
            cost = dict.fromkeys(VARIANTS, 0.0)
            for turn in range(SLICES):  # what else the machine does then meets all of them alike
                for name in list(VARIANTS) if turn % 2 == 0 else reversed(VARIANTS):
                    cost[name] += workers[name].ask(count) / SLICES
            for name, mean in cost.items():
                costs[name].append(mean)
    added = {name: [mine - bare for mine, bare in zip(costs[name], costs["bare"], strict=True)] for name in VARIANTS}
    return [_row(name, costs[name], added[name], added["sessile"]) for name in VARIANTS]


def _row(name: str, costs: list[float], added: list[float], ours: list[float]) -> dict[str, Any]:
    row: dict[str, Any] = {"variant": VARIANTS[name], "cpu_us": round(median(costs), 1)}
    if name == "bare":
        return {
            **row,
            "added_us": 0,
            "added_min": 0,
            "added_max": 0,
            "ratio_min": "",
            "ratio_median": "",
            "ratio_max": "",
        }
    spread = {"added_us": round(median(added), 1), "added_min": round(min(added), 1), "added_max": round(max(added), 1)}
    return {**row, **spread, **ratios(added, ours)}


def _wait_for_cache(worker: _Worker) -> None:
    ends_at = time.monotonic() + WARM_UP_S
    while time.monotonic() < ends_at:
        worker.ask(20)
        time.sleep(0.1)


class _Worker:
    def __init__(self, variant: str, redis_url: str, folder: Path) -> None:
        arguments = [variant, "--redis", redis_url, "--database", str(folder / f"{variant}.db")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.flask", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        self._line("ready")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)

    def ask(self, count: int) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self, expected: str | None = None) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line or (expected is not None and line != expected):
            raise RuntimeError("the process under measurement has ended")
        return line


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("variant", choices=list(VARIANTS))
    parser.add_argument("--redis", required=True)
    parser.add_argument("--database", required=True)
    arguments = parser.parse_args()
    answer_lines(*application(arguments.variant, arguments.redis, arguments.database))


if __name__ == "__main__":
    main()
