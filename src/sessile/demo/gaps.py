"""What is missing in an incident report. Pure: the same state and day give the same gaps, whatever the state looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sessile.demo.facts import Fact, facts_of
from sessile.demo.report import GAPS_STEP

_WORDS_MIN: Final = 8
_ANSWER_LENGTH_MAX: Final = 200

Gap = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the rules look at: the report's fields as they are, and the day on which somebody looks."""

    report: Mapping[str, Any]
    people: Sequence[Any]
    today: date

    def text(self, name: str) -> str:
        value = self.report.get(name)
        return value.strip() if isinstance(value, str) else ""

    @property
    def day(self) -> date | None:
        try:
            return date.fromisoformat(self.text("date"))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class _Rule:
    """`missing` says whether to ask. A gap that is not `required` may be answered with "does not apply"."""

    id: str
    step: int
    path: str
    question: str
    missing: Callable[[_Seen], bool]
    required: bool = True


def _empty(name: str) -> Callable[[_Seen], bool]:
    return lambda seen: not seen.text(name)


def _is_short(seen: _Seen) -> bool:
    return 0 < len(seen.text("what").split()) < _WORDS_MIN


def _is_in_the_future(seen: _Seen) -> bool:
    return seen.day is not None and seen.day > seen.today


def _no_injuries(seen: _Seen) -> bool:
    return seen.text("injured") == "yes" and not seen.text("injuries")


def _no_cost(seen: _Seen) -> bool:
    value = seen.report.get("cost")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return seen.text("kind") != "injury" and not is_number


def _no_damage(seen: _Seen) -> bool:
    return seen.text("kind") != "injury" and not seen.text("damage")


def _no_police(seen: _Seen) -> bool:
    is_theirs = seen.text("kind") == "theft" or (seen.text("kind") == "vehicle" and seen.text("injured") == "yes")
    return is_theirs and not seen.text("police_reference")


_RULES: Final = (
    _Rule("kind", 1, "/report/kind", "What kind of incident was it?", _empty("kind")),
    _Rule("what", 1, "/report/what", "What happened?", _empty("what")),
    _Rule("more", 1, "/report/what", "Can you say a little more about what happened?", _is_short, required=False),
    _Rule("date", 2, "/report/date", "On which day did it happen?", lambda seen: seen.day is None),
    _Rule("future", 2, "/report/date", "The day is in the future. Which day was it?", _is_in_the_future),
    _Rule("time", 2, "/report/time", "At what time, roughly?", _empty("time"), required=False),
    _Rule("place", 2, "/report/place", "Where did it happen?", _empty("place")),
    _Rule("phone", 3, "/report/phone", "At which number can you be reached?", _empty("phone")),
    _Rule("injured", 3, "/report/injured", "Was anybody hurt?", _empty("injured")),
    _Rule("injuries", 3, "/report/injuries", "Who was hurt, and how?", _no_injuries),
    _Rule("people", 3, "/people", "Did anybody see it?", lambda seen: not seen.people, required=False),
    _Rule("damage", 4, "/report/damage", "What was damaged or lost?", _no_damage),
    _Rule("cost", 4, "/report/cost", "What will it cost, as an estimate?", _no_cost, required=False),
    _Rule("police", 4, "/report/police_reference", "What is the police reference?", _no_police, required=False),
)


def find_gaps(state: Mapping[str, Any], today: date, *, everything: bool = False) -> list[Gap]:
    """The open gaps, in the order of the steps: dicts of id, step, path, question, required, and suggestion (value, source) where a
    pasted note or a file has the answer. Only of steps that the person has left, unless `everything`."""
    context = _mapping(state.get("context"))
    seen = _Seen(_mapping(state.get("report")), _list(state.get("people")), today)
    waived = _mapping(context.get("waived"))
    known = context.get("reached")
    reached = known if isinstance(known, int) and not everything else GAPS_STEP
    facts = facts_of(state)
    return [
        _gap(rule, facts)
        for rule in _RULES
        if (rule.step < reached or reached >= GAPS_STEP)
        and not (not rule.required and waived.get(rule.id) is True)
        and rule.missing(seen)
    ]


def _gap(rule: _Rule, facts: Mapping[str, Fact]) -> Gap:
    gap: Gap = {
        "id": rule.id,
        "step": rule.step,
        "path": rule.path,
        "question": rule.question,
        "required": rule.required,
    }
    fact = facts.get(rule.path)
    if fact is not None and rule.id != "future":
        gap["suggestion"] = {"value": fact.value, "source": fact.source}
    return gap


@dataclass(frozen=True, slots=True)
class Findings:
    """The three lists that the server keeps in the document."""

    gaps_detected: list[Gap]
    gaps_resolved: list[Gap]
    user_responses: list[Gap]


def next_findings(state: Mapping[str, Any], today: date, at: str) -> Findings:
    """The lists as they should be now. A gap that was open and is not any more is resolved, with the moment `at` and the answer; one
    that opens again leaves the resolved ones. Equal lists come out of equal states, so a second look changes nothing."""
    open_now = find_gaps(state, today)
    open_ids = {gap["id"] for gap in open_now}
    resolved = [gap for gap in _known(state.get("gaps_resolved")) if gap["id"] not in open_ids]
    known = {gap["id"] for gap in resolved}
    for gap in _known(state.get("gaps_detected")):
        if gap["id"] not in open_ids | known:
            known.add(gap["id"])
            resolved.append({name: gap.get(name) for name in ("id", "step", "path", "question")} | {"at": at})
    waived = _mapping(_mapping(state.get("context")).get("waived"))
    resolved = [{**gap, "how": _how(state, gap, waived)} for gap in resolved]
    responses = [
        {"id": gap["id"], "question": gap["question"], "answer": _answer(state, gap["path"]), "at": gap.get("at", at)}
        for gap in resolved
        if gap["how"] == "answered"
    ]
    return Findings(open_now, resolved, responses)


def _how(state: Mapping[str, Any], gap: Gap, waived: Mapping[str, Any]) -> str:
    if _answer(state, gap["path"]) not in (None, "", []):
        return "answered"
    return "does_not_apply" if waived.get(gap["id"]) is True else "not_needed"


def _answer(state: Mapping[str, Any], path: str) -> Any:
    """What stands at a rule's path; long texts are cut, lists are given as their length."""
    value: Any = state
    for key in path.split("/")[1:]:
        value = _mapping(value).get(key)
    if isinstance(value, str):
        return value.strip()[:_ANSWER_LENGTH_MAX]
    if isinstance(value, list):
        return len(value) or None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _known(value: Any) -> list[Gap]:
    """Gaps that the server wrote earlier; what somebody else may have put there does not count."""
    paths = {rule.id: rule.path for rule in _RULES}
    questions = {rule.id: rule.question for rule in _RULES}
    return [
        {**gap, "question": questions[gap["id"]]}
        for gap in _list(value)
        if isinstance(gap, dict) and isinstance(gap.get("id"), str) and paths.get(gap["id"]) == gap.get("path")
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
