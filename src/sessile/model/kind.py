"""Kinds of documents: what a state must look like, and how an old one becomes a new one. The rules come from the application."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, Protocol

from sessile.model.document import State
from sessile.model.errors import ConfigurationError, SchemaUnknown
from sessile.model.limits import STATE_BYTES_MAX
from sessile.model.merge import Policies, SchemaFault


class StateCheck(Protocol):
    """Looks at a state and changes nothing."""

    def __call__(self, state: State, /) -> SchemaFault | None:
        """None for a state that fits. Never raises: a check that fails by itself is a fault with the code `validator_failed`."""
        ...


class StateUpgrade(Protocol):
    """Pure: the same state and version give the same result."""

    def __call__(self, state: State, from_version: int, /) -> State:
        """The state in the kind's present version. Raises SchemaUpgradeFailed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRules:
    """What the engine knows of a kind. `names` are patterns (with * wildcards) of the names that only documents of this kind have."""

    name: str
    version: int
    check: StateCheck
    upgrade: StateUpgrade
    policies: Policies | None = None
    """None: those of the settings."""
    default: State = field(default_factory=dict)
    state_bytes_max: int = STATE_BYTES_MAX
    names: tuple[str, ...] = ()


class Kinds:
    """All kinds that this process knows, by name."""

    def __init__(self, rules: Iterable[KindRules] = ()) -> None:
        """Raises ConfigurationError when two have one name."""
        self._rules: dict[str, KindRules] = {}
        for one in rules:
            if one.name in self._rules:
                raise ConfigurationError(f"There are two document kinds of the name {one.name}.")
            self._rules[one.name] = one

    def of_name(self, name: str) -> KindRules | None:
        """The kind that claims documents of this name: the first of which a pattern fits."""
        return next(
            (rules for rules in self._rules.values() if any(fnmatchcase(name, pattern) for pattern in rules.names)),
            None,
        )

    def named(self, kind: str) -> KindRules:
        """Raises SchemaUnknown."""
        rules = self._rules.get(kind)
        if rules is None:
            raise SchemaUnknown(kind, None)
        return rules

    def of_schema(self, schema_name: str, schema_version: int) -> KindRules | None:
        """What holds for a stored document; None when it has no kind. Raises SchemaUnknown for a kind that is not known here, or only in
        an older version than the document's."""
        if not schema_name:
            return None
        rules = self._rules.get(schema_name)
        if rules is None or rules.version < schema_version:
            raise SchemaUnknown(schema_name, schema_version)
        return rules


NO_KINDS: Final = Kinds()
