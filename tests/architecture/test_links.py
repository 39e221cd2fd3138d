"""Links between the project's own pages lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from tests.architecture.tree import ROOT, project_files

LINK = re.compile(r"\]\(([^)#\s]+)")


def broken_links(page: Path) -> list[str]:
    """Targets of relative links on this page that do not exist."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    return [target for target in targets if "://" not in target and not (page.parent / target).exists()]


def test_every_relative_link_leads_somewhere() -> None:
    pages = [path for path in project_files() if path.suffix == ".md"]
    assert len(pages) > 10
    assert {str(page.relative_to(ROOT)): broken for page in pages if (broken := broken_links(page))} == {}


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "[there](page.md) [gone](missing.md) [far](https://example.com/x.md) [part](#part)", encoding="utf-8"
    )
    assert broken_links(page) == ["missing.md"]
