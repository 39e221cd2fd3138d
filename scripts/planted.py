"""The page of docs/security with the weaknesses that are planted into the product, and the tests that catch them."""

from __future__ import annotations

from tests.security.plants import CONTRACT, PLANTS, Plant

_CONTRACT_FOLDER = "src/sessile/testing/store_contract"


def page(notice: str) -> str:
    """docs/security/planted.md."""
    lines = [
        "# Planted weaknesses",
        notice,
        "",
        "A test that cannot fail guards nothing. So each of these weaknesses is put into the product, one at a time, and the named test has to fail; without it, it has to",
        "pass (`tests/security/test_plants.py`, in every run of the suite). More faults are planted where correctness is tested: the store contract",
        "(`tests/contract/test_mutants.py` and those beside it), the cache (`tests/model`, `tests/simulation`), outages (`tests/faults/test_plants.py`), the soak (`tests/soak/plants.py`).",
        "",
        f"{len(PLANTS)} weaknesses, all caught.",
        "",
        "| weakness | where | instead of | caught by |",
        "|---|---|---|---|",
    ]
    lines += [f"| {one.name} | `{_place(one)}` | `{_code(one.old)}` → {_new(one)} | {_test(one)} |" for one in PLANTS]
    return "\n".join([*lines, ""])


def _place(one: Plant) -> str:
    module, _, path = one.where.partition(":")
    return f"{module.removeprefix('sessile.')}: {path}"


def _code(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _new(one: Plant) -> str:
    return f"`{_code(one.new)}`" if one.new.strip() else "(nothing)"


def _test(one: Plant) -> str:
    where, _, name = one.caught_by.partition(":")
    sentence = name.removeprefix("test_").replace("_", " ")
    path = _CONTRACT_FOLDER if one.caught_by.startswith(CONTRACT) else where.replace(".", "/") + ".py"
    return f"[{sentence}](../../{path})"
