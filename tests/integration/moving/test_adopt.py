"""`sessile adopt` on trees of files: what is written, what is kept, and that everything can be taken back."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sessile.cli.main import app

APP = b"from flask import Flask\nfrom flask_session import Session\napp = Flask(__name__)\napp.config['SESSION_TYPE'] = 'redis'\nSession(app)\n"
AFTER = (
    b"from flask import Flask\nfrom sessile.integrations.flask import Sessile\napp = Flask(__name__)\nSessile(app)\n"
)
MANAGER = b'"""Sessions."""\n\n\nclass SessionManager:\n    pass\n'
VIEWS = b"from app.session_manager import SessionManager\nmanager = SessionManager()\n"
BACKUP = "session_managers_backup"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name, content in {
        "app/__init__.py": b"",
        "app/main.py": APP,
        "app/session_manager.py": MANAGER,
        "app/views.py": VIEWS,
        "app/other.py": b"x = 1\n",
        "README.md": b"flask_session\n",
        "venv/lib/a.py": APP,
        ".hidden/a.py": APP,
        "node_modules/a.py": APP,
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def run(*arguments: str | Path, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["adopt", *map(str, arguments)], input=answer, env={"COLUMNS": "200"})


def told(*arguments: str | Path) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def everything(root: Path) -> dict[str, tuple[bytes, int]]:
    """All files but the backup's, with their modes."""
    return {
        str(path.relative_to(root)): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        for path in sorted(root.rglob("*"))
        if path.is_file() and BACKUP not in path.parts
    }


def outcomes(root: Path, *more: str | Path) -> dict[str, str]:
    return {one["path"]: one["outcome"] for one in told(root, *more)["files"]}


def test_it_shows_asks_and_takes_no_for_an_answer(tree: Path) -> None:
    before = everything(tree)
    for answer in ("n\n", "\n", ""):
        shown = run(tree, answer=answer)
        assert "-from flask_session import Session" in shown.stdout
        assert "+Sessile(app)" in shown.stdout
        assert "Write this?" in shown.stdout
        assert everything(tree) == before
    for silent in (("--dry-run",), ("--json",), ("--yes", "--dry-run")):
        assert run(tree, *silent).exit_code == 0
        assert everything(tree) == before
    assert not (tree / BACKUP).exists()


def test_what_is_written_and_what_is_kept(tree: Path) -> None:
    (tree / "app/main.py").chmod(0o640)
    before = everything(tree)
    assert run(tree, answer="y\n").exit_code == 0
    after = everything(tree)
    assert after["app/main.py"] == (AFTER, 0o640)
    assert after["app/views.py"][0] == b"from sessile import SessionManager\nmanager = SessionManager()\n"
    assert "app/session_manager.py" not in after
    untouched = set(before) - {"app/main.py", "app/views.py", "app/session_manager.py"}
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    (folder,) = (tree / BACKUP).iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["at"].startswith(folder.name[:4])
    entries = {entry["path"]: entry for entry in manifest["entries"]}
    assert set(entries) == {"app/main.py", "app/views.py", "app/session_manager.py"}
    for name, entry in entries.items():
        kept = (folder / "files" / f"{name}.orig").read_bytes()
        assert kept == before[name][0]
        assert entry["sha256_before"] == hashlib.sha256(kept).hexdigest()
    assert entries["app/session_manager.py"]["sha256_after"] is None
    assert run(tree, "--yes").exit_code == 0, "nothing is left to do"
    assert len(list((tree / BACKUP).iterdir())) == 1


def test_a_rollback_restores_byte_for_byte(tree: Path) -> None:
    (tree / "app/crlf.py").write_bytes(APP.replace(b"\n", b"\r\n"))
    (tree / "app/latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nNAME = '\xe4'\n" + APP)
    (tree / "app/main.py").chmod(0o755)
    before = everything(tree)
    assert told(tree, "--yes")["written"] is True
    changed = everything(tree)
    assert changed["app/crlf.py"][0] == AFTER.replace(b"\n", b"\r\n")
    assert changed["app/latin.py"][0] == b"# -*- coding: latin-1 -*-\nNAME = '\xe4'\n" + AFTER
    done = told(tree, "--rollback")
    assert (done["rolled_back"], len(done["restored"]), done["conflicts"]) == (True, 5, [])
    assert everything(tree) == before
    again = run(tree, "--rollback")
    assert again.exit_code == 1
    assert "no adoption" in again.stderr


def test_a_rollback_refuses_what_was_edited_since_and_force_keeps_it(tree: Path) -> None:
    before = everything(tree)
    run(tree, "--yes")
    (tree / "app/main.py").write_bytes(AFTER + b"# mine\n")
    (tree / "app/session_manager.py").write_bytes(b"# new\n")
    (tree / "app/views.py").unlink()
    edited = everything(tree)
    refused = run(tree, "--rollback")
    assert refused.exit_code == 1
    for words in (
        "app/main.py: it was edited",
        "app/session_manager.py: there is another",
        "app/views.py: it was removed",
    ):
        assert words in refused.stderr
    assert everything(tree) == edited
    assert run(tree, "--rollback", "--force").exit_code == 0
    assert everything(tree) == before
    (folder,) = (tree / BACKUP).iterdir()
    assert (folder / "overwritten/app/main.py.orig").read_bytes() == AFTER + b"# mine\n"
    assert (folder / "overwritten/app/session_manager.py.orig").read_bytes() == b"# new\n"


def test_a_damaged_backup_or_a_forged_manifest_restores_nothing(tree: Path) -> None:
    run(tree, "--yes")
    (folder,) = (tree / BACKUP).iterdir()
    adopted = everything(tree)
    kept = folder / "files/app/main.py.orig"
    original = kept.read_bytes()
    kept.write_bytes(b"something else")
    for force in ((), ("--force",)):
        assert "damaged" in run(tree, "--rollback", *force).stderr
    kept.write_bytes(original)
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(manifest.replace("app/main.py", "../outside.py"))
    assert "outside" in run(tree, "--rollback", "--force").stderr
    (folder / "manifest.json").write_text("{")
    assert "cannot be read" in run(tree, "--rollback").stderr
    assert everything(tree) == adopted
    assert not (tree.parent / "outside.py").exists()


def test_one_that_was_stopped_in_the_middle_can_be_taken_back(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sessile.moving.rewriting import backup

    before = everything(tree)
    write, written = backup._write, []

    def stop(path: Path, *arguments: Any, **options: Any) -> None:
        if BACKUP not in path.parts:
            written.append(path)
            if len(written) == 2:
                raise KeyboardInterrupt
        write(path, *arguments, **options)

    monkeypatch.setattr(backup, "_write", stop)
    run(tree, "--yes")
    assert written
    assert everything(tree) != before, "it was in the middle"
    monkeypatch.setattr(backup, "_write", write)
    assert told(tree, "--rollback")["rolled_back"] is True
    assert everything(tree) == before


def test_every_kind_of_file_has_a_clear_outcome(tree: Path) -> None:
    outside = tree.parent / "outside.py"
    outside.write_bytes(APP)
    (tree / "app/link.py").symlink_to(outside)
    (tree / "app/inner.py").symlink_to("main.py")
    (tree / "app/linked").symlink_to(tree.parent)
    (tree / "app/readonly.py").write_bytes(APP)
    (tree / "app/readonly.py").chmod(0o444)
    (tree / "app/broken.py").write_bytes(b"from flask_session import (\n")
    (tree / "app/bytes.py").write_bytes(b"from flask_session import Session\nx = '\xe4'\n")
    (tree / "app/late.py").write_bytes(b"from flask_session import Session\ns = Session()\n")
    os.mkfifo(tree / "app/pipe.py")
    found = told(tree)
    by_path = {one["path"]: (one["outcome"], " ".join(note["text"] for note in one["notes"])) for one in found["files"]}
    assert set(by_path) == {
        "app/main.py", "app/views.py", "app/session_manager.py", "app/link.py", "app/inner.py", "app/readonly.py", "app/broken.py",
        "app/bytes.py", "app/late.py",
    }  # fmt: skip
    for name, outcome, words in (
        ("app/link.py", "left", "outside"),
        ("app/inner.py", "left", "looked at by itself"),
        ("app/readonly.py", "left", "read-only"),
        ("app/broken.py", "left", "no Python"),
        ("app/bytes.py", "left", "no Python"),
        ("app/late.py", "needs_you", "init_app"),
        ("app/main.py", "rewritten", "Sessile(app)"),
        ("app/session_manager.py", "archived", BACKUP),
    ):
        assert by_path[name][0] == outcome, name
        assert words in by_path[name][1], name
    run(tree, "--yes")
    assert outside.read_bytes() == APP
    assert (tree / "app/readonly.py").read_bytes() == APP
    assert (tree / "app/link.py").is_symlink()


def test_modules_are_named_or_found_and_a_needed_one_stays(tree: Path) -> None:
    (tree / "app/views.py").write_bytes(b"from app.session_manager import SessionManager, helper\n")
    assert outcomes(tree) == {"app/main.py": "rewritten"}
    named = outcomes(tree, "--replaces", tree / "app/session_manager.py")
    assert named == {"app/main.py": "rewritten", "app/session_manager.py": "archived", "app/views.py": "needs_you"}
    assert outcomes(tree, "--replaces", tree / "app/other.py")["app/other.py"] == "archived"
    outside = tree.parent / "outside.py"
    outside.write_bytes(b"")
    assert "outside of" in run(tree, "--replaces", outside).stderr
    assert "no Python file" in run(tree, "--replaces", tree / "README.md").stderr
    assert "no Python file" in run(tree, "--replaces", tree / "venv/lib/a.py").stderr


def test_settings_are_found_in_other_files_only_where_the_library_is_used(tree: Path) -> None:
    (tree / "config.py").write_bytes(b"class Config:\n    SESSION_TYPE = 'redis'\n    DEBUG = True\n")
    assert outcomes(tree)["config.py"] == "rewritten"
    (tree / "app/late.py").write_bytes(b"from flask_session import Session\ns = Session()\n")
    held = outcomes(tree)
    assert (held["app/late.py"], "config.py" in held) == ("needs_you", False), "they are still read"
    (tree / "app/late.py").unlink()
    (tree / "app/main.py").write_bytes(b"")
    assert "config.py" not in outcomes(tree)


def test_a_single_file_is_enough(tree: Path) -> None:
    assert outcomes(tree / "app/main.py") == {"main.py": "rewritten"}
    run(tree / "app/main.py", "--yes")
    assert (tree / "app/main.py").read_bytes() == AFTER
    assert (tree / "app/session_manager.py").exists()
    assert run(tree / "app/main.py", "--rollback").exit_code == 0
    assert (tree / "app/main.py").read_bytes() == APP


def test_what_cannot_be_done_is_said(tree: Path, tmp_path: Path) -> None:
    assert "nothing at" in run(tmp_path / "nowhere").stderr
    (tmp_path / "empty").mkdir()
    assert "nothing here" in run(tmp_path / "empty").stdout
    (tree / BACKUP).symlink_to(tmp_path)
    linked = run(tree, "--yes")
    assert linked.exit_code == 1
    assert "symbolic link" in linked.stderr
    assert (tree / "app/main.py").read_bytes() == APP


def test_without_libcst_it_says_what_to_install(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "libcst", None)
    done = run(tree)
    assert done.exit_code == 1
    assert "sessile[adopt]" in done.stderr
