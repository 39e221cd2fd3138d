"""The page of the console's API has every route with its right, and the roles are those of the table."""

from __future__ import annotations

import re

from sessile.model.operator_access import RIGHTS, Right, Role
from sessile.server.console.routes import ROUTES
from tests.architecture.tree import ROOT

PAGE = (ROOT / "docs" / "reference" / "console-api.md").read_text(encoding="utf-8")


def test_every_route_is_on_the_page_with_its_right() -> None:
    listed = re.findall(r"^\| `([A-Z]+ /\S+)` \| `([a-z.]+)` \|$", PAGE, flags=re.MULTILINE)
    assert listed == [(f"{one.method} {one.path.replace(':path', '')}", str(one.right)) for one in ROUTES]


def test_the_roles_have_the_rights_that_the_page_says() -> None:
    rows = re.findall(r"^\| `([a-z.]+)` \| (yes|) ?\| (yes|) ?\| (yes|) ?\|$", PAGE, flags=re.MULTILINE)
    assert [row[0] for row in rows] == [str(right) for right in Right]
    for name, *marks in rows:
        assert [mark == "yes" for mark in marks] == [Right(name) in RIGHTS[role] for role in Role], name
