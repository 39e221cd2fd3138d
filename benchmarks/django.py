"""What a session costs a Django project: CPU time of the process for a request that reads (or writes) it, above the same request without a session.

Each variant is a process of its own, which calls the project's WSGI application as a server does, without a socket to a browser: what is left is Django,
the session, and the way to the same Redis and PostgreSQL. The variants take turns, a few hundred requests each, for many rounds; so whatever else the
machine does meets all of them. What is compared is the median over the rounds.

`by hand` is the limit: a middleware of twenty lines that sends one GET through hiredis and decodes the answer, with none of what a session is for.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median, quantiles
from typing import Any, Final

VARIANTS: Final = ("bare", "by hand", "sessile", "cached_db", "sessile written", "cached_db written")
_BASE: Final = "bare"
_PAYLOAD: Final = {"text": "x" * 900}
_DATA: Final = {"basket": {"apple": 1, "pear": 2}, "step": 3, "name": "somebody", "_auth_user_id": "12345"}
_SETTLED_S: Final = 2.0
_WARMED: Final = 30


# -- the processes under measurement --------------------------------------------------------------------------------------------------------------


def _settings(variant: str, postgres: dict[str, str], redis_url: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "SECRET_KEY": "for a measurement only, and long enough",
        "ALLOWED_HOSTS": ["*"],
        "ROOT_URLCONF": "benchmarks.django",
        "USE_TZ": True,
        "CACHES": {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url}},
        "DATABASES": {"default": {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": None, **postgres}},
        "MIDDLEWARE": [],
    }
    if variant.startswith("sessile"):
        url = f"postgresql://{postgres['USER']}@{postgres['HOST']}:{postgres['PORT']}/{postgres['NAME']}"
        found |= {
            "SESSION_ENGINE": "sessile.integrations.django",
            "MIDDLEWARE": ["sessile.integrations.django.SessionMiddleware"],
            "SESSILE": {"DATABASE_URL": url, "REDIS_URL": redis_url},
        }
    elif variant.startswith("cached_db"):
        found |= {
            "INSTALLED_APPS": ["django.contrib.sessions"],
            "SESSION_ENGINE": "django.contrib.sessions.backends.cached_db",
            "MIDDLEWARE": ["django.contrib.sessions.middleware.SessionMiddleware"],
        }
    elif variant == "by hand":
        found["MIDDLEWARE"] = ["benchmarks.django.by_hand"]
    return found


def by_hand(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """One GET through hiredis."""
    import socket
    from urllib.parse import urlsplit

    import hiredis
    import msgspec
    from django.conf import settings

    address = urlsplit(settings.CACHES["default"]["LOCATION"])
    connection = socket.create_connection((str(address.hostname), int(address.port or 6379)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = hiredis.Reader()
    pack: Any = hiredis.pack_command

    def ask(*command: str | bytes) -> Any:
        connection.sendall(pack(command))
        reader.feed(connection.recv(65536))
        return reader.gets()

    ask("SET", "by-hand", msgspec.json.encode(_DATA))

    def middleware(request: Any) -> Any:
        request.session = msgspec.json.decode(ask("GET", request.COOKIES["sessionid"]))
        response = get_response(request)
        response["Vary"] = "Cookie"
        return response

    return middleware


def _views() -> list[Any]:
    from django.http import HttpRequest, JsonResponse
    from django.urls import path

    def bare(_request: HttpRequest) -> JsonResponse:
        return JsonResponse(_PAYLOAD)

    def read(request: HttpRequest) -> JsonResponse:
        return JsonResponse({**_PAYLOAD, "step": request.session["step"]})

    def write(request: HttpRequest) -> JsonResponse:
        request.session["step"] = request.session.get("step", 0) + 1
        return JsonResponse(_PAYLOAD)

    def begin(request: HttpRequest) -> JsonResponse:
        # Without a user of Django's: only what is read is compared.
        request.session.update({key: value for key, value in _DATA.items() if key != "_auth_user_id"})
        return JsonResponse(_PAYLOAD)

    return [path("bare", bare), path("read", read), path("write", write), path("begin", begin)]


def __getattr__(name: str) -> Any:
    """Django looks for the views here, when it is set up."""
    if name == "urlpatterns":
        found = globals()["urlpatterns"] = _views()
        return found
    raise AttributeError(name)


def _work(variant: str, postgres: dict[str, str], redis_url: str) -> None:
    """Reads a number of requests from standard input, answers with the CPU seconds that they took; until the input ends."""
    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application

    settings.configure(**_settings(variant, postgres, redis_url))
    django.setup()
    if variant.startswith("cached_db"):
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
    application = get_wsgi_application()
    path, cookie = "/bare", None
    if variant == "by hand":
        path, cookie = "/read", "sessionid=by-hand"
    elif variant != _BASE:
        path = "/write" if variant.endswith("written") else "/read"
        cookie = next(value for name, value in _call(application, "/begin", None) if name == "Set-Cookie").partition(
            ";"
        )[0]
        until = time.monotonic() + _SETTLED_S
        while time.monotonic() < until:  # the cache is believed after a moment
            _call(application, path, cookie)
            time.sleep(0.01)
    print(flush=True)
    for line in sys.stdin:
        count = int(line)
        for _ in range(_WARMED):  # while the others were measured, connections and caches have cooled down
            _call(application, path, cookie)
        began = time.process_time()
        for _ in range(count):
            _call(application, path, cookie)
        print(time.process_time() - began, flush=True)


def _call(application: Any, path: str, cookie: str | None) -> list[tuple[str, str]]:
    """One request, as a server puts it (PEP 3333)."""
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "HTTP_ACCEPT_LANGUAGE": "en-GB,en;q=0.5",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
    }
    if cookie is not None:
        environ["HTTP_COOKIE"] = cookie
    said: list[tuple[str, str]] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        if status != "200 OK":
            raise RuntimeError(status)
        said.extend(headers)

    response = application(environ, start_response)
    b"".join(response)
    response.close()
    return said


# -- the measurement --------------------------------------------------------------------------------------------------------------------------------


@contextmanager
def _worker(variant: str, postgres: dict[str, str], redis_url: str) -> Iterator[Callable[[int], float]]:
    """CPU microseconds a request, over so many of them."""
    command = [sys.executable, "-m", "benchmarks.django", "--worker", variant]
    command += ["--postgres", json.dumps(postgres), "--redis", redis_url]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    requests, answers = process.stdin, process.stdout

    def measure(count: int) -> float:
        requests.write(f"{count}\n")
        requests.flush()
        return float(answers.readline()) / count * 1e6

    try:
        if answers.readline() == "":
            raise RuntimeError(f"{variant}: the process did not start")
        yield measure
    finally:
        requests.close()
        process.wait(20)


def measure(rounds: int, count: int) -> list[dict[str, Any]]:
    """One row a variant: median CPU microseconds a request, the quartiles, what is above the bare request, and that as a part of cached_db's."""
    from sessile.stores.sql.postgres import upgrade
    from sessile.testing.servers import PostgresServer, RedisServer

    with ExitStack() as stack:
        postgres, redis = PostgresServer(), RedisServer()
        stack.callback(postgres.close)
        stack.callback(redis.close)
        postgres.start()
        redis.start()
        url = postgres.create_database("bench")
        upgrade(url)
        parts = _parts(url)
        workers = {name: stack.enter_context(_worker(name, parts, redis.url())) for name in VARIANTS}
        found: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for number in range(rounds):
            for name in VARIANTS if number % 2 == 0 else reversed(VARIANTS):
                found[name].append(workers[name](count))
    return [_row(name, found) for name in VARIANTS]


def _parts(url: str) -> dict[str, str]:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return {
        "NAME": parts.path.removeprefix("/"),
        "USER": parts.username or "",
        "PASSWORD": parts.password or "",
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
    }


def _row(name: str, found: dict[str, list[float]]) -> dict[str, Any]:
    peer = "cached_db written" if name.endswith("written") else "cached_db"
    base = median(found[_BASE])
    low, middle, high = quantiles(found[name], n=4)
    ratios = [(mine - base) / (theirs - base) for mine, theirs in zip(found[name], found[peer], strict=True)]
    return {
        "variant": name,
        "cpu_us": round(middle),
        "quartiles_us": [round(low), round(high)],
        "added_us": round(middle - base),
        "of_cached_db": round((middle - base) / (median(found[peer]) - base), 2),
        "of_cached_db_by_round": [round(one, 2) for one in quantiles(ratios, n=4)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--requests", type=int, default=200, help="of each variant in each round")
    parser.add_argument("--worker", choices=VARIANTS)
    parser.add_argument("--postgres", type=json.loads)
    parser.add_argument("--redis")
    arguments = parser.parse_args()
    if arguments.worker:
        _work(arguments.worker, arguments.postgres, arguments.redis)
        return
    for row in measure(arguments.rounds, arguments.requests):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
