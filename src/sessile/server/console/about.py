"""Settings in force, without secrets, and what this is."""

from __future__ import annotations

import platform
import re
from functools import cache
from importlib import metadata
from typing import Final

from starlette.responses import Response

from sessile import __version__
from sessile.model.operator_access import Right
from sessile.model.wire import iso
from sessile.server.answers import ok
from sessile.server.console.table import Call, Route

_BUILDS: Final = re.compile(r"extra == ['\"](?:dev|bench)['\"]")
"""What the library is built and measured with, and does not run on."""
_SECRET: Final = "set"  # noqa: S105 - what is shown instead of one


async def settings(call: Call) -> Response:
    values = call.console.manager.settings
    shown = values.model_dump(mode="json") | {"database_url": values.database_shown}
    described = []
    for name, field in type(values).model_fields.items():
        is_secret = "SecretStr" in str(field.annotation)
        described.append(
            {
                "name": name,
                "value": (_SECRET if getattr(values, name) else None) if is_secret else shown[name],
                "is_default": name not in values.model_fields_set,
                "is_secret": is_secret,
                "text": " ".join((field.description or "").split()),
            }
        )
    return ok({"settings": described})


async def about(call: Call) -> Response:
    console = call.console
    scheme = console.manager.settings.database_url.partition(":")[0].partition("+")[0]
    return ok(
        {
            "version": __version__,
            "python": platform.python_version(),
            "database": scheme,
            "redis": await console.manager.operators.cache_state(),
            "node_id": console.hub.leases.node_id,
            "started_at": iso(console.started_at),
            "licences": _licences(),
        }
    )


@cache
def _licences() -> list[dict[str, str]]:
    """What it runs on: the packages that are named as requirements and are installed."""
    names = {"sessile"}
    for requirement in metadata.requires("sessile") or ():
        match = re.match(r"[A-Za-z0-9._-]+", requirement)
        if match is not None and not _BUILDS.search(requirement):
            names.add(match[0])
    found = []
    for name in sorted(names):
        try:
            one = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        said = [one[key] for key in ("License-Expression", "License") if key in one]
        licence = (said[:1] or [_classified(one.get_all("Classifier") or [])])[0] or "unknown"
        found.append({"name": name, "version": one["Version"], "licence": licence.splitlines()[0][:80]})
    return found


def _classified(classifiers: list[str]) -> str:
    return ", ".join(one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::"))


ROUTES: Final = (
    Route("GET", "/settings", Right.SETTINGS_READ, settings),
    Route("GET", "/about", Right.READ, about),
)
