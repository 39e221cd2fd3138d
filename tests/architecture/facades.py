"""Comparing a blocking class with its asynchronous twin."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

ASYNC_ONLY = ("subscribe", "unsubscribe")
"""Prefixes of what only the asynchronous one can have: a subscription needs a loop to deliver on."""
TWIN_DUNDERS = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__"}


def differences(asynchronous: type, blocking: type) -> list[str]:
    """What differs between the two beyond awaiting: names, kinds, parameters, defaults, annotations. Empty when they are twins."""
    ours, theirs = _public(asynchronous), _public(blocking)
    faults = [
        f"{name}: only in {asynchronous.__name__}"
        for name in ours
        if name not in theirs and not name.startswith(ASYNC_ONLY)
    ]
    faults += [f"{name}: only in {blocking.__name__}" for name in theirs if name not in ours]
    for name in ours.keys() & theirs.keys():
        faults += [f"{name}: {fault}" for fault in _member(ours[name], theirs[name])]
    for asynchronous_name, blocking_name in TWIN_DUNDERS.items():
        if hasattr(asynchronous, asynchronous_name) != hasattr(blocking, blocking_name):
            faults.append(f"{asynchronous_name} and {blocking_name}: only one of the two is there")
    return sorted(faults)


def _public(owner: type) -> Mapping[str, Any]:
    names = {name for name in dir(owner) if not name.startswith("_")} | {"__init__"}
    return {name: inspect.getattr_static(owner, name) for name in names}


def _member(ours: Any, theirs: Any) -> list[str]:
    if _kind(ours) != _kind(theirs):
        return [f"a {_kind(ours)} there, a {_kind(theirs)} here"]
    if _kind(ours) == "value":
        return []
    faults = []
    ours, theirs = _function(ours), _function(theirs)
    if inspect.iscoroutinefunction(theirs) or inspect.isasyncgenfunction(theirs):
        faults.append("must not be awaited in the blocking one")
    if _signature(ours) != _signature(theirs):
        faults.append(f"{_signature(ours)} there, {_signature(theirs)} here")
    return faults


def _kind(member: Any) -> str:
    if isinstance(member, property):
        return "property"
    if isinstance(member, staticmethod | classmethod):
        return type(member).__name__
    return "method" if callable(member) else "value"


def _function(member: Any) -> Any:
    if isinstance(member, property):
        return member.fget
    return member.__func__ if isinstance(member, staticmethod | classmethod) else member


def _signature(function: Any) -> str:
    """The signature in the blocking one's words: `AsyncDocuments` is `Documents`, `AsyncIterator` is `Iterator`."""
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=_annotation(parameter.annotation)) for parameter in signature.parameters.values()
    ]
    returned = _annotation(signature.return_annotation)
    return str(signature.replace(parameters=parameters, return_annotation=returned))


def _annotation(annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty:
        return annotation
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    bare = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text)
    return re.sub(r"\bAsync(?=[A-Z])", "", re.sub(r"\bAbstractAsync", "Abstract", bare))
