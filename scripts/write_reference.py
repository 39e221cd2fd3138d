"""Write the pages of `docs/reference` and `docs/security` that are derived from code. A test keeps them up to date."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic_core import PydanticUndefined

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, Python finds only what lies beside it

from scripts import alert_rules, capabilities, cli_page, dashboard, planted, security, telemetry_page, torture_page
from sessile import AsyncSessionManager, Settings
from sessile.client import errors as client_errors
from sessile.model import errors
from sessile.runtime.live_settings import holds_from
from sessile.server import refusals
from sessile.server.app import create_app

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
SECURITY_FOLDER = FOLDER.parent / "security"
NOTICE = "<!-- Written by scripts/write_reference.py: change the code, then run `make reference`. -->"


def pages() -> Mapping[str, str]:
    """File names and contents."""
    return {
        "settings.md": settings_page(),
        "errors.md": errors_page(),
        "http.md": http_page(),
        "capabilities.md": capabilities.page(NOTICE, capabilities.shown()),
        "cli.md": cli_page.page(NOTICE),
        "torture.md": torture_page.page(NOTICE),
        "telemetry.md": telemetry_page.page(NOTICE),
    }


def security_pages() -> Mapping[str, str]:
    """The same of `docs/security`."""
    return {"asvs.md": security.page(NOTICE, security.tags()), "planted.md": planted.page(NOTICE)}


def operations_files() -> Mapping[str, str]:
    """What is made of the code in `docs/operations`."""
    return {alert_rules.FILE.name: alert_rules.rules_file(), dashboard.FILE.name: dashboard.dashboard()}


def http_page() -> str:
    """Every operation of the service, by its tag, with what a request and its answer look like."""
    description = create_app(AsyncSessionManager(Settings(database_url="memory://")), standalone=True).api.openapi()
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    lines = [
        "# HTTP",
        NOTICE,
        "",
        "The same as an OpenAPI document is at `/api/v0/openapi.json`. Refusals are problem documents (RFC 9457) with a stable `code`:",
        "[errors](errors.md). Requests carry the session's cookie, or `Authorization: Bearer <token>`. Unsafe ones with the cookie need the",
        "page's own `Origin` or `Sec-Fetch-Site: same-origin`. Bodies are JSON. The examples are recorded from real requests.",
    ]
    for tag, operations in sorted(by_tag.items()):
        lines += ["", f"## {tag.capitalize()}", "| operation | what |", "|---|---|"]
        lines += [f"| `{method} {path}` | {operation['summary']} |" for method, path, operation in operations]
        shown = next((one for one in operations if one[0] == "POST"), operations[0])
        lines += _http_example(*shown)
    return "\n".join([*lines, ""])


def _http_example(method: str, path: str, operation: dict[str, Any]) -> list[str]:
    request = next(
        (content.get("example") for content in operation.get("requestBody", {}).get("content", {}).values()), None
    )
    answers = [
        (status, content["example"])
        for status, answer in operation["responses"].items()
        for content in answer.get("content", {}).values()
        if "example" in content
    ]
    if not answers:
        return []
    lines = ["", "```", f"{method} {path}"]
    if request is not None:
        lines += [json.dumps(request, ensure_ascii=False), ""]
    for status, example in answers:
        lines += [f"{status} {json.dumps(example, ensure_ascii=False)}"]
    return [*lines, "```"]


def settings_page() -> str:
    lines = [
        "# Settings",
        NOTICE,
        "",
        "Arguments of `Settings(...)` and of `Sessile(app, ...)`, environment variables (the same name in capitals after `SESSILE_`), or",
        "names in `sessile.toml` (or the file that `SESSILE_CONFIG` or `sessile --config` names), in this order. `sessile config template` prints one.",
        "In the environment lists are separated by commas, mappings are JSON. Settings that contradict each other are refused at start, all of them",
        "named at once. `sessile config show` prints what holds, without secrets. `SESSION_LIFETIME_SECONDS` and",
        "`SESSION_IDLE_TIMEOUT_SECONDS` are read as `SESSILE_ABSOLUTE_TIMEOUT_S` and `SESSILE_IDLE_TIMEOUT_S`, with a notice.",
        "",
        "",
        "`sessile config reload`, or SIGHUP to `sessile serve`, has running processes read environment and file again. What then holds, and what waits for a restart, is",
        "in the last column: [operations](../how-to/operate.md#change-settings-while-it-runs).",
        "",
        "| setting | default | meaning | a change holds |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        if default is PydanticUndefined or not field.description:
            raise ValueError(f"{name} has no default or no description")
        shown = "" if default in (None, (), {}) else f"`{default}`"
        lines.append(f"| `{name}` | {shown} | {' '.join(field.description.split())} | {holds_from(name)} |")
    return "\n".join([*lines, ""])


ERROR_SECTIONS = (
    (errors, "Import them from `sessile.model.errors`; the common ones are in `sessile` too."),
    (
        refusals,
        "What the service refuses before it reaches a rule. They arrive as problem documents and error frames with these codes.",
    ),
    (client_errors, "What only the Python client raises. Import them from `sessile.client`."),
)


def errors_page() -> str:
    lines = [
        "# Errors",
        NOTICE,
        "",
        "Every error is a `SessileError` with a stable `code`, a `message` that may be shown to anybody, and `retryable`. Over HTTP it is a",
        "problem document (RFC 9457) with these three and the error's own fields. Each is provoked by a test (`tests/integration/errors`).",
    ]
    titles = ("## Sessions and documents", "## The service", "## The Python client")
    for title, (module, introduction) in zip(titles, ERROR_SECTIONS, strict=True):
        lines += [
            "",
            title,
            introduction,
            "",
            "| error | code | HTTP | retry | meaning | cause | cure |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [_error_row(error) for error in errors_of(module)]
    return "\n".join([*lines, ""])


def _error_row(error: type[errors.SessileError]) -> str:
    meaning = error.default_message if "default_message" in vars(error) else " ".join((error.__doc__ or "").split())
    retry = "yes" if error.retryable else ""
    cells = (f"`{error.__name__}`", f"`{error.code}`", error.http_status, retry, meaning, error.cause, error.cure)
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"


def errors_of(module: ModuleType) -> list[type[errors.SessileError]]:
    """The error classes of a module or package, each behind its parent."""
    return [error for error in _all(errors.SessileError) if f"{error.__module__}.".startswith(f"{module.__name__}.")]


def _all(root: type[errors.SessileError]) -> list[type[errors.SessileError]]:
    found = [root]
    for child in root.__subclasses__():
        found += _all(child)
    return found


def main() -> int:
    """Writes the pages; prints those that changed."""
    parts = ((FOLDER, pages()), (SECURITY_FOLDER, security_pages()), (alert_rules.FILE.parent, operations_files()))
    for folder, contents in parts:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            path = folder / name
            if not path.exists() or path.read_text(encoding="utf-8") != content:
                path.write_text(content, encoding="utf-8")
                print(f"wrote docs/{folder.name}/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
