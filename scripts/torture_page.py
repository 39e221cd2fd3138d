"""The page of `docs/reference` with what the torture suite found, from the report in `benchmarks/torture.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPORT = Path(__file__).resolve().parent.parent / "benchmarks" / "torture.json"
MARKS = {"ok": "ok", "fail": "**fail**", "not applicable": "-"}

INTRODUCTION = """\
What becomes of a session when two requests overlap, somebody logs out meanwhile, Redis is down, an id was planted, or the stores are read by others? The same
questions to every library, from outside: each is an application in a process of its own, with its library's defaults, and is asked over HTTP with a
browser's cookies. What lies in Redis and SQL is looked at and changed behind its back.

```sh
sessile bench torture                                     # everything; peers are installed into environments of their own, in the user's cache folder
sessile bench torture --engine sessile-fastapi --probe P4 # one library, one question; --list names them all
sessile bench torture --json --write report.json          # for a machine; ends with status 1 when one of ours fails
```
Needed are the binaries of PostgreSQL and Redis, and for the peers a network. Overlaps are made with gates, not with pauses: a request has
read the session and waits while another one is done. So the answers do not depend on luck.
"""

CHOICES = """\
## How it is judged
- **ok** and **fail** are for what the title says; `-` is for what cannot be asked of a library: it has no list, no Redis, no second id. Each has a sentence of what was observed.
- A library runs with its defaults, and a login is what its documentation has for one. For P6 and the like the call for a new id is added where the library has it but does
  not make it by itself; for S1 it is not.
- A write is any change in Redis, a new time to live included, and any transaction in SQL that writes. Each request is counted three times and the least counts, because libraries
  do work of their own in the background.
- An error 500 in an outage is no logout: P7b and P7d ask only that nobody is taken for anonymous, and that a durable copy is used where there is one.
- S4 and S4b put the same bytes into every record. Where another copy is left, a read has to be answered from it. What is lost for good may be told
  with an error or read as empty (Django; Sessile too, which says `damaged` and names the session in the log): judged is only that the browser can log in again.
- P9 deletes rows by hand. Sessile ends sessions by its verbs and by `sessile sessions end`, which every process follows; a `DELETE` that nobody was told of is seen by a process when
  it next asks SQL, at the latest when the entry in the cache has run out.
- fastapi-redis-sdk runs on Valkey, because it needs hash fields that expire: on Redis 7.0 each login is an error 500. Its
  source has a shorter way for Redis 8, one command for a read instead of the two that are counted here.
- P10 is asked over HTTP alone. Sessile's browser client tells the device itself, over its socket or with a heartbeat; these programs serve no pages.
- Each probe is tried on a middleware that has all of these faults (`tests/integration/torture/naive.py`), and has to find its own.

## Ask another library
A program with its routes (the list is in `sessile/testing/torture/applications/runner.py`), and an `Engine` that says what it needs. Only the routes of the
probes that are run have to be there. Starlette's own sessions, in a signed cookie, in `my_application.py`:
```python
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route

KIND, ABILITIES, PACKAGES = "asgi", [], ["starlette"]

def build(desk):
    async def answer(request):
        return JSONResponse({"user": request.session.get("user"), "data": dict(request.session)})

    async def login(request):
        request.session["user"] = request.query_params["user"]
        return await answer(request)

    async def write(request):
        await desk.wait_async(request.query_params.get("gate"))      # returns at once without a gate
        request.session[request.query_params["key"]] = request.query_params["value"]
        return await answer(request)

    posts = {"/login": login, "/write": write, "/slow-write": write}
    routes = [Route("/read", answer), *(Route(path, view, methods=["POST"]) for path, view in posts.items())]
    app = Starlette(routes=routes)
    app.add_middleware(SessionMiddleware, secret_key="for this test only")
    return app
```
and who asks it:
```python
from pathlib import Path
from sessile.testing.torture import PROBES, Engine, run

mine = Engine(name="mine", title="Starlette's cookie", program=Path("my_application.py"))
report = run([mine], [probe for probe in PROBES if probe.key == "P4"])
verdict = report.engines[0].verdicts["P4"]
assert (verdict.outcome, verdict.observed) == ("fail", "both were answered with 200, and 1 of 2 is lost: the earlier one")
```
`packages=("name",)` gives it an environment of its own; `cache="redis"` and `database="postgres"` start servers, whose addresses are in `desk.redis` and `desk.database`.
"""


def page(notice: str) -> str:
    """The page's text."""
    report = json.loads(REPORT.read_text(encoding="utf-8"))
    engines = [engine for engine in report["engines"] if not engine["not_run"]]
    lines = [
        "# The torture suite",
        notice,
        "",
        INTRODUCTION,
        "## What was found",
        *(f"{number}. {_described(engine)}" for number, engine in enumerate(engines, 1)),
        *(f"- {engine['title']}: not run, {engine['not_run']}." for engine in report["engines"] if engine["not_run"]),
        "",
        *_table(report["probes"], engines),
        "",
        f"On {report['system']}. The report with every sentence is `benchmarks/torture.json`.",
        "",
        "## What the failures looked like",
    ]
    for engine in engines:
        lines += _failures(engine)
    return "\n".join([*lines, CHOICES.rstrip("\n"), ""])


def _table(probes: Sequence[Mapping[str, str]], engines: Sequence[Mapping[str, Any]]) -> list[str]:
    numbers = [str(number) for number, _ in enumerate(engines, 1)]
    lines = [f"| | | {' | '.join(numbers)} |", f"|---|---|{'---|' * len(numbers)}"]
    for probe in probes:
        cells = [MARKS[engine["verdicts"][probe["key"]]["outcome"]] for engine in engines]
        source = f" ({probe['source']})" if probe["source"] else ""
        lines.append(f"| {probe['key']} | {probe['title']}{source} | {' | '.join(cells)} |")
    return lines


def _described(engine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in engine["versions"].items())
    outcomes = [verdict["outcome"] for verdict in engine["verdicts"].values()]
    counts = f"{outcomes.count('ok')} ok, {outcomes.count('fail')} failed"
    return f"**{engine['title']}**: {counts} ({versions}; {', '.join(engine['servers'])}; {engine['measured_at']})"


def _failures(engine: Mapping[str, Any]) -> list[str]:
    failed = [(key, one["observed"]) for key, one in engine["verdicts"].items() if one["outcome"] == "fail"]
    return [
        f"### {engine['title']}",
        *(f"- {key}: {observed}" for key, observed in failed),
        *([] if failed else ["None."]),
        "",
    ]
