"""Errors as problem responses (RFC 9457), each with our `code`, `retryable` and the error's own fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sessile.model.errors import SessileError
from sessile.server.refusals import InvalidRequest, MalformedFrame, MethodRefused, NoSuchPage
from sessile.web.problems import MEDIA_TYPE, log_fault, problem_body, problem_headers

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "message", "retryable"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable; see protocol/codes.json"},
        "message": {"type": "string"},
        "retryable": {"type": "boolean"},
    },
}


def problem_response(error: SessileError, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(problem_body(error)),
        status_code=error.http_status,
        headers={**problem_headers(error), **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def install(api: FastAPI) -> None:
    """Makes every refusal of the application a problem response, the framework's own included."""
    api.add_exception_handler(SessileError, _ours)
    api.add_exception_handler(RequestValidationError, _validation)
    api.add_exception_handler(HTTPException, _framework)
    api.add_exception_handler(Exception, _fault)


async def _ours(_request: Request, error: Exception) -> Response:
    assert isinstance(error, SessileError)
    log_fault(error)
    return problem_response(error)


async def _validation(_request: Request, error: Exception) -> Response:
    """Place and problem of each fault; never the input itself, which may be secret."""
    assert isinstance(error, RequestValidationError)
    faults = [
        {"place": "/".join(str(part) for part in fault["loc"]), "problem": fault["msg"]} for fault in error.errors()
    ]
    return problem_response(InvalidRequest(faults))


async def _framework(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return problem_response(NoSuchPage())
    if error.status_code == 405:
        return problem_response(MethodRefused(), error.headers)
    return problem_response(MalformedFrame(str(error.detail)), error.headers)


async def _fault(_request: Request, _error: Exception) -> Response:
    """The framework logs the error itself when it raises it again after this response."""
    return problem_response(SessileError())
