"""`DocumentKind`: what an application says about its documents, and how that becomes the engine's rules.

Schemas are pydantic models, JSON Schemas (2020-12; the extra `jsonschema`) or functions. They run in the writer's thread on each resulting state.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from pydantic import BaseModel, ValidationError

from sessile.model.change_format import check_value
from sessile.model.document import Policy, State
from sessile.model.errors import ConfigurationError, InvalidChange, InvalidValue, SchemaUpgradeFailed
from sessile.model.kind import KindRules, Kinds
from sessile.model.limits import NAME_LENGTH_MAX, STATE_BYTES_MAX, VALIDATOR_MS_MAX
from sessile.model.merge import Policies, SchemaFault
from sessile.model.pointer import format_keys

logger = logging.getLogger("sessile.kinds")

Schema = type[BaseModel] | Mapping[str, Any] | Callable[[dict[str, Any]], object]
Upgrade = Callable[[dict[str, Any]], Mapping[str, Any]]
Check = Callable[[State], tuple[str, str] | None]
"""Path and message of the first fault, or None."""
_MESSAGE_LENGTH_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentKind:
    """A kind of documents.

    `schema` is a pydantic model (strict, as if the state were read from JSON), a JSON Schema, or a function that raises `InvalidValue(path,
    problem)`; None takes any object. `names` are patterns (with * wildcards): documents of such a name are of this kind, whoever makes them.
    `policies` go before those of the settings. `upgrades` has for each earlier version a pure function from its states to the next one's.
    """

    name: str
    version: int = 1
    schema: Schema | None = None
    names: Sequence[str] = ()
    default: Mapping[str, Any] = field(default_factory=dict)
    """The state of a new document, where none is given."""
    policies: Mapping[str, Policy | str] | None = None
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)
    state_bytes_max: int = STATE_BYTES_MAX


def kinds_of(
    registered: Sequence[DocumentKind], module: str = "", timer: Callable[[], float] = time.perf_counter
) -> Kinds:
    """The rules of these kinds and of those that the module declares. Raises ConfigurationError that says what is wrong with which."""
    declared = [kind for kind in _declared(module) if kind not in registered] if module else []
    return Kinds(_rules(kind, timer) for kind in [*registered, *declared])


def _declared(module: str) -> list[DocumentKind]:
    """Every DocumentKind at the top of a module, in the order they stand there."""
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(f"SESSILE_DOCUMENTS: {module} cannot be imported: {error}") from error
    found = [value for value in vars(loaded).values() if isinstance(value, DocumentKind)]
    if not found:
        raise ConfigurationError(f"SESSILE_DOCUMENTS: {module} declares no DocumentKind")
    return found


def _rules(kind: DocumentKind, timer: Callable[[], float]) -> KindRules:
    def wrong(problem: str) -> ConfigurationError:
        return ConfigurationError(f"DocumentKind {kind.name!r}: {problem}")

    if not kind.name or len(kind.name) > NAME_LENGTH_MAX:
        raise wrong(f"a name has 1 to {NAME_LENGTH_MAX} characters")
    if kind.version < 1:
        raise wrong("versions begin at 1")
    if not 0 < kind.state_bytes_max <= STATE_BYTES_MAX:
        raise wrong(f"state_bytes_max is between 1 and {STATE_BYTES_MAX}")
    if kind.upgrades and sorted(kind.upgrades) != list(range(min(kind.upgrades), kind.version)):
        raise wrong(f"upgrades has a function for each version from the oldest to {kind.version - 1}")
    check = _timed(kind.name, _check_of(kind.schema, wrong), timer)
    try:
        default = check_value(dict(kind.default), "/default")
        policies = None if kind.policies is None else Policies.from_mapping(kind.policies)
    except (InvalidChange, ValueError) as error:
        raise wrong(str(error)) from None
    return KindRules(
        name=kind.name,
        version=kind.version,
        check=check,
        upgrade=_chain(kind),
        policies=policies,
        default=default,
        state_bytes_max=kind.state_bytes_max,
        names=tuple(kind.names),
    )


def _timed(name: str, check: Check, timer: Callable[[], float]) -> Callable[[State], SchemaFault | None]:
    """The check as the engine wants it: it never raises, and one that takes too long is as good as one that fails."""

    def run(state: State) -> SchemaFault | None:
        began = timer()
        try:
            fault = check(state)
        except Exception:  # an application's bug must not fail the batch of others; its traceback is in the log
            logger.exception(
                "The schema of the document kind %s failed on a state", name, extra={"event_name": "schema_failed"}
            )
            return SchemaFault(
                "validator_failed", "The document could not be checked; the fault is in the server's log."
            )
        taken_ms = (timer() - began) * 1000
        if taken_ms > VALIDATOR_MS_MAX:
            logger.error(
                "The schema of the document kind %s took %.0f ms on a state",
                name,
                taken_ms,
                extra={"event_name": "schema_slow"},
            )
            return SchemaFault("validator_failed", f"Checking the document took longer than {VALIDATOR_MS_MAX} ms.")
        if fault is None:
            return None
        path, message = fault
        return SchemaFault("schema", message[:_MESSAGE_LENGTH_MAX], path)

    return run


def _check_of(schema: Schema | None, wrong: Callable[[str], ConfigurationError]) -> Check:
    if schema is None:
        return lambda _state: None
    if isinstance(schema, Mapping):
        return _json_schema(schema, wrong)
    if isinstance(schema, type):
        if not issubclass(schema, BaseModel):
            raise wrong("a schema is a pydantic model, a JSON Schema or a function")
        return _pydantic(schema)
    return _function(schema)


def _pydantic(model: type[BaseModel]) -> Check:
    def check(state: State) -> tuple[str, str] | None:
        try:
            model.model_validate_json(msgspec.json.encode(state), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            return format_keys(tuple(str(key) for key in first["loc"])), first["msg"]
        return None

    return check


def _json_schema(schema: Mapping[str, Any], wrong: Callable[[str], ConfigurationError]) -> Check:
    try:
        import jsonschema  # type: ignore[import-untyped]
    except ImportError:
        raise wrong("a JSON Schema needs the package jsonschema: pip install sessile[jsonschema]") from None
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise wrong(f"this is not a JSON Schema (2020-12): {error.message}") from None
    validator = jsonschema.Draft202012Validator(schema)

    def check(state: State) -> tuple[str, str] | None:
        first = next(validator.iter_errors(state), None)
        return None if first is None else (format_keys(tuple(str(key) for key in first.absolute_path)), first.message)

    return check


def _function(function: Callable[[dict[str, Any]], object]) -> Check:
    def check(state: State) -> tuple[str, str] | None:
        try:
            function(_own(state))
        except InvalidValue as error:
            return error.path, error.message
        return None

    return check


def _chain(kind: DocumentKind) -> Callable[[State, int], State]:
    def upgrade(state: State, from_version: int) -> State:
        upgraded = _own(state)
        for version in range(from_version, kind.version):
            step = kind.upgrades.get(version)
            if step is None:
                raise SchemaUpgradeFailed(kind.name, from_version, f"there is no upgrade from version {version}")
            try:
                upgraded = dict(step(upgraded))
            except Exception as error:
                logger.exception(
                    "The upgrade of the document kind %s from version %d failed",
                    kind.name,
                    version,
                    extra={"event_name": "upgrade_failed"},
                )
                raise SchemaUpgradeFailed(kind.name, from_version, "the fault is in the server's log") from error
        return upgraded

    return upgrade


def _own(state: State) -> dict[str, Any]:
    """A copy that the application's code may do with what it likes: states share what did not change."""
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(state))
    return copy
