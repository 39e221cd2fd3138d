"""What each test would make anew although it is the same every time: the certificates that httpx trusts, and SQL that SQLAlchemy has compiled.

Together they were a tenth of what the tests cost. An engine has a cache of what it has compiled; here all engines of a kind have one together.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from httpx._transports import default as httpx_transports
from sqlalchemy.engine.base import Engine

_create_ssl_context = httpx_transports.create_ssl_context  # type: ignore[attr-defined]  # it is not public


class _CompiledTogether:
    """The part of a cache that SQLAlchemy uses. Its keys begin with the dialect, which is another object in each engine and knows nothing that differs."""

    def __init__(self, kept: dict[Any, Any], kind: Any) -> None:
        self._kept = kept
        self._kind = kind

    def get(self, key: tuple[Any, ...]) -> Any:
        return self._kept.get((self._kind, *key[1:]))

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        self._kept[(self._kind, *key[1:])] = compiled


@contextmanager
def made_once() -> Iterator[None]:
    contexts: dict[Any, ssl.SSLContext] = {}
    compiled: dict[Any, Any] = {}

    def create_ssl_context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        if verify is not True or cert is not None:
            return _create_ssl_context(verify, cert, trust_env)
        key = (trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        if key not in contexts:
            contexts[key] = _create_ssl_context(verify, cert, trust_env)
        return contexts[key]

    def together(engine: Engine) -> _CompiledTogether:
        dialect = engine.dialect
        return _CompiledTogether(compiled, (type(dialect), dialect.driver, dialect.paramstyle))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx_transports, "create_ssl_context", create_ssl_context)
        patch.setattr(Engine, "_compiled_cache", property(together, lambda _engine, _own: None), raising=False)
        yield
