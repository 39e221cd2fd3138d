"""Steps with weights. Hypothesis chooses among rules evenly, and leaves some out of a whole example: then little ever comes together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

F = TypeVar("F", bound=Callable[..., None])
Strategies = dict[str, st.SearchStrategy[Any]]


def doing(often: int = 2, **arguments: st.SearchStrategy[Any]) -> Callable[[F], F]:
    """A step of a `Doing`, with its weight and what its arguments are drawn from."""

    def marked(step: F) -> F:
        step.__dict__.update(often=often, arguments=arguments)
        return step

    return marked


class Doing(RuleBasedStateMachine):
    """Subclasses mark their steps with `doing`; an example is a row of them."""

    what: ClassVar[st.SearchStrategy[str]]
    arguments_of: ClassVar[dict[str, Strategies]]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        marked = {name: step for name in dir(cls) if hasattr(step := getattr(cls, name), "often")}
        cls.arguments_of = {name: step.arguments for name, step in marked.items()}
        cls.what = st.sampled_from([name for name, step in marked.items() for _ in range(step.often)] or [""])

    @rule(data=st.data())
    def do(self, data: st.DataObject) -> None:
        """One step."""
        name = data.draw(self.what, "step")
        drawn = {key: data.draw(strategy, key) for key, strategy in self.arguments_of[name].items()}
        getattr(self, name)(**drawn)
