"""The code of docs/how-to/test-outages.md, run as what it is: a file of tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from sessile.testing.fault_proxy import Faults
from tests.architecture.tree import ROOT
from tests.conftest import postgres_or_skip, redis_or_skip

PAGE = ROOT / "docs" / "how-to" / "test-outages.md"


def test_the_page_works(tmp_path: Path) -> None:
    postgres_or_skip().close()
    redis_or_skip().close()
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "test_page.py").write_text("\n\n".join(blocks), encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=out.xml"]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    cases = {str(case.get("name")) for case in ET.parse(tmp_path / "out.xml").iter("testcase")}
    assert cases == set(re.findall(r"def (test_\w+)", "".join(blocks))) != set()


def test_the_page_names_every_fault() -> None:
    told = PAGE.read_text(encoding="utf-8")
    assert [name for name in vars(Faults) if not name.startswith("_") and f"`{name}(" not in told] == []
