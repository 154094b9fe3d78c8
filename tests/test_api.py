"""The library: what `toollint.check` and `toollint.fix` take and give, and that their types say so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import toollint
from toollint import Diagnostic, Edit, Fix, Report, Safety, Severity
from toollint.config import Config
from toollint.files import MissingPath

LEAK = """\
import sqlite3

from langchain_core.tools import BaseTool


class It(BaseTool):
    def __init__(self, path):
        self._conn = sqlite3.connect(path)
"""
EXAMPLE = '''\
"""Count the problems of a folder, and say what would be changed."""

from __future__ import annotations

import sys
from pathlib import Path

import toollint


def worst(report: toollint.Report) -> toollint.Severity | None:
    for diagnostic in report.diagnostics:
        if diagnostic.severity is toollint.Severity.ERROR:
            return diagnostic.severity
    return None


def edits(diagnostic: toollint.Diagnostic) -> list[tuple[str, int, str]]:
    fixes: tuple[toollint.Fix, ...] = diagnostic.fixes
    safe = [one for one in fixes if one.safety is toollint.Safety.SAFE]
    return [(edit.region.path, edit.region.start.row, edit.content) for one in safe for edit in one.edits]


def main(folder: str) -> None:
    report = toollint.check([folder, Path(folder) / "it.py"])
    texts = toollint.check({"a.py": "x = 1\\n", "b.py": b"y = 2\\n"})
    planned = toollint.fix([folder], write=False)
    changed: dict[str, tuple[str, str]] = planned.changes
    print(len(report.diagnostics), len(texts.diagnostics), len(changed))
    print(worst(report), [edits(diagnostic) for diagnostic in report.diagnostics])


main(sys.argv[1])
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a leak, which is the current one."""
    (tmp_path / "it.py").write_text(LEAK)
    (tmp_path / "fine.py").write_text("x = 1\n")
    (tmp_path / "notes.txt").write_text("no Python\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", [str, Path])
def test_paths_may_be_files_and_folders(folder, kind):
    whole = toollint.check([kind(folder)])
    assert isinstance(whole, Report)
    assert whole.files == 2
    assert toollint.check([kind("it.py"), kind(folder / "fine.py")]) == whole
    assert [d.path for d in whole.diagnostics] == [str(folder / "it.py")]
    assert whole.texts == {str(folder / "it.py"): LEAK}


@pytest.mark.parametrize("text", [LEAK, LEAK.encode()])
@pytest.mark.parametrize("name", ["other.py", Path("other.py")])
def test_texts_need_no_file(folder, text, name):
    report = toollint.check({name: text})
    assert [d.path for d in report.diagnostics] == [str(folder / "other.py")]
    assert report.files == 1
    assert not (folder / "other.py").exists()


def test_a_text_that_no_file_can_hold_is_a_diagnostic():
    (found,) = toollint.check({"it.py": "x = '\ud800'\n"}).diagnostics
    assert found.code == "TL999"


def test_a_diagnostic_says_everything(folder):
    (found,) = toollint.check([folder]).diagnostics
    assert isinstance(found, Diagnostic)
    assert (found.code, found.name, found.path) == ("TL101", "tool-owns-unreleased-resource", str(folder / "it.py"))
    assert isinstance(found.severity, Severity)
    start, end = found.region.span
    assert LEAK.encode()[start:end] == b"It"
    assert tuple(found.region.start) == (6, 7)
    assert tuple(found.region.end) == (6, 9)
    assert found.symbol == "It"
    assert len(found.fingerprint) == 64
    assert found.url.startswith("https://")
    assert {related.region.path for related in found.related} == {str(folder / "it.py")}


def test_the_edits_of_a_fix_make_the_fixed_text(folder):
    (found,) = toollint.check([folder]).diagnostics
    fix = next(one for one in found.fixes if one.edits)
    assert isinstance(fix, Fix)
    assert fix.safety in set(Safety)
    data = LEAK.encode()
    for edit in reversed(fix.edits):
        assert isinstance(edit, Edit)
        start, end = edit.region.span
        data = data[:start] + edit.content.encode() + data[end:]
    report = toollint.fix([folder], Config(unsafe_fixes=True))
    assert (folder / "it.py").read_bytes() == data
    assert report.fixed == {str(folder / "it.py"): {"TL101": 1}}
    assert report.changes == {str(folder / "it.py"): (LEAK, data.decode())}
    assert report.diagnostics == ()


def test_without_writing_a_fix_is_only_planned(folder):
    planned = toollint.fix([folder], Config(unsafe_fixes=True), write=False)
    assert (folder / "it.py").read_text() == LEAK
    assert toollint.fix([folder], Config(unsafe_fixes=True)) == planned


def test_the_configuration_is_a_value(folder):
    assert toollint.check([folder], Config(ignore=("TL101",))).diagnostics == ()
    assert toollint.check([folder], Config(select=("TL001",))).diagnostics == ()
    assert toollint.check([folder], Config(exclude=("it.py",))).files == 1


@pytest.mark.parametrize("call", [toollint.check, toollint.fix])
def test_a_missing_path_is_an_error(folder, call):
    with pytest.raises(MissingPath, match=r"gone\.py: no such file or folder"):
        call([folder / "gone.py"])


def test_an_empty_run_is_an_empty_report():
    assert toollint.check([]) == Report()
    assert toollint.check({}) == Report()


def test_the_example_is_typed_and_runs(folder):
    script = folder / "example.py"
    script.write_text(EXAMPLE)
    root = Path(__file__).parent.parent
    mypy = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-incremental",
        "--config-file",
        "",
        "--follow-imports",
        "silent",
    ]
    typed = subprocess.run([*mypy, script], cwd=root, capture_output=True, text=True, check=False, timeout=300)
    assert typed.returncode == 0, typed.stdout
    command = [sys.executable, script, folder]
    environment = {"PYTHONPATH": str(root)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    assert done.stdout.startswith("1 0 1\n")


def test_what_is_public_is_there():
    assert all(hasattr(toollint, name) for name in toollint.__all__)
    assert (Path(toollint.__file__).parent / "py.typed").exists()
