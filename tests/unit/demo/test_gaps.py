"""What the demo finds missing, and what it finds in pasted notes."""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sessile.demo.facts import facts_in
from sessile.demo.gaps import find_gaps, next_findings
from sessile.demo.report import STEPS, first_state

TODAY = date(2026, 3, 1)
COMPLETE = {
    "kind": "water",
    "what": "A pipe burst above the archive and the water ran over two shelves.",
    "date": "2026-02-28",
    "time": "14:05",
    "place": "Archive, room 3",
    "phone": "+43 1 234567",
    "injured": "no",
    "damage": "Two shelves of files",
    "cost": 1200,
}


def state(report: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {**first_state(), "report": report or {}, "context": {"reached": len(STEPS)}, **more}


def ids(gaps: list[dict[str, Any]]) -> list[str]:
    return [gap["id"] for gap in gaps]


def test_nothing_is_asked_about_steps_that_nobody_has_left() -> None:
    assert find_gaps(first_state(), TODAY) == []
    assert ids(find_gaps({**first_state(), "context": {"reached": 2}}, TODAY)) == ["kind", "what"]


def test_everything_is_looked_at_before_sending() -> None:
    found = ids(find_gaps(first_state(), TODAY, everything=True))
    assert found == ["kind", "what", "date", "time", "place", "phone", "injured", "people", "damage", "cost"]


def test_a_complete_report_has_no_needed_gap() -> None:
    assert [gap for gap in find_gaps(state(COMPLETE), TODAY) if gap["required"]] == []


def test_what_is_asked_depends_on_what_was_said() -> None:
    theft = {**COMPLETE, "kind": "theft", "injured": "yes", "date": "2026-03-02"}
    assert ids(find_gaps(state(theft), TODAY)) == ["future", "injuries", "people", "police"]
    injury = {**COMPLETE, "kind": "injury", "damage": "", "cost": None}
    assert ids(find_gaps(state(injury), TODAY)) == ["people"]


def test_a_question_that_does_not_apply_is_not_asked_again_and_a_needed_one_is() -> None:
    waived = {"reached": len(STEPS), "waived": {"people": True, "place": True}}
    found = ids(find_gaps(state({**COMPLETE, "place": ""}, context=waived), TODAY))
    assert found == ["place"]


def test_notes_and_files_suggest_answers() -> None:
    notes = {**COMPLETE, "kind": "theft", "facts": "Police reference: 2026/1187\nplace: Hall 2"}
    gap = next(gap for gap in find_gaps(state(notes), TODAY) if gap["id"] == "police")
    assert gap["suggestion"] == {"value": "2026/1187", "source": "the pasted notes"}
    attachments = [{"id": "1", "name": "police.txt", "text": "Case number: 77"}]
    gap = next(
        g
        for g in find_gaps(state({**COMPLETE, "kind": "theft"}, attachments=attachments), TODAY)
        if g["id"] == "police"
    )
    assert gap["suggestion"] == {"value": "77", "source": "police.txt"}


def test_facts_are_read_from_lines() -> None:
    text = (
        "> Date: 28.02.2026, early\nTime: about 7:30\nEstimate: EUR 12,500.50\nMobile: +43 660 1234567\nDay: 31.02.2026"
    )
    assert [(fact.path, fact.value) for fact in facts_in(text, "a")] == [
        ("/report/date", "2026-02-28"),
        ("/report/time", "07:30"),
        ("/report/cost", 12500.5),
        ("/report/phone", "+43 660 1234567"),
    ]


def test_an_answer_moves_a_gap_to_the_resolved_ones_and_back() -> None:
    first = next_findings(state({**COMPLETE, "place": ""}), TODAY, "t1")
    assert "place" in ids(first.gaps_detected)
    answered = state(COMPLETE, gaps_detected=first.gaps_detected, gaps_resolved=first.gaps_resolved)
    second = next_findings(answered, TODAY, "t2")
    assert [(gap["id"], gap["how"], gap["at"]) for gap in second.gaps_resolved] == [("place", "answered", "t2")]
    assert second.user_responses[0]["answer"] == "Archive, room 3"
    reopened = state({**COMPLETE, "place": " "}, gaps_detected=second.gaps_detected, gaps_resolved=second.gaps_resolved)
    third = next_findings(reopened, TODAY, "t3")
    assert "place" in ids(third.gaps_detected)
    assert third.gaps_resolved == []


def test_a_second_look_changes_nothing() -> None:
    found = next_findings(state({"kind": "fire"}), TODAY, "t1")
    again = state(
        {"kind": "fire"},
        **{name: getattr(found, name) for name in ("gaps_detected", "gaps_resolved", "user_responses")},
    )
    assert next_findings(again, TODAY, "t2") == found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=10,
)
NAMES = [
    "report",
    "context",
    "people",
    "attachments",
    "gaps_detected",
    "gaps_resolved",
    "user_responses",
    "current_step",
]


@given(
    st.dictionaries(st.sampled_from(NAMES), json_values | st.dictionaries(st.sampled_from(list(COMPLETE)), json_values))
)
def test_a_state_of_any_shape_has_gaps_and_no_error(anything: dict[str, Any]) -> None:
    found = next_findings(anything, TODAY, "t")
    assert ids(found.gaps_detected) == ids(find_gaps(anything, TODAY))
