"""Fixes: proven before anything is written, written whole or not at all, and done when they are done."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import toollint
from toollint import cli, files, rules
from toollint.config import Config
from toollint.model import AddMethods, Finding, Place, Repair, Replace, Safety, Severity, Span, rule
from toollint.syntax import Class

TOOL = """\
import sqlite3

from langchain_core.tools import BaseTool


class It(BaseTool):
    name: str = "it"

    def __init__(self, path):
        super().__init__()
        self._conn = sqlite3.connect(path)
"""


class Whole:
    """A subject: a file."""

    @staticmethod
    def find(_values, module):
        yield module


def words(pattern, repair, code="TL901", name="bad-word"):
    """A rule that reports what a pattern finds; ``repair(found, place)`` gives the new text, or a `Repair`."""

    @rule(code, name, subject=Whole, severity=Severity.WARNING, fix=Safety.SAFE)
    def check(module):
        for found in re.finditer(pattern, module.utf8):
            place = Place(module.path, Span(*found.span()))
            made = repair(found, place)
            fix = made if isinstance(made, Repair) else Repair("mend it", Safety.SAFE, (Replace(place, made),))
            yield Finding(place, f"`{found[0].decode()}` is bad", fixes=[fix])

    return check


BAD_TO_GOOD = words(rb"\bBAD\b", lambda _found, _place: "good")


@pytest.fixture
def only(monkeypatch):
    """Run these rules and no others."""
    return lambda *ours: monkeypatch.setattr(rules, "load", lambda: ours)


def messages(report, code="TL002"):
    return [d.message for d in report.diagnostics if d.code == code]


# --- what is rejected ----------------------------------------------------------------------------------------------


def causes_another(_found, place):
    return Repair("mend it", Safety.SAFE, (Replace(place, "WORSE"),))


WORSE = words(rb"\bWORSE\b", lambda *_: Repair("look", Safety.DISPLAY), "TL902", "worse-word")
REJECTED = {
    "breaks the syntax": (
        words(rb"\bBAD\b", lambda *_: "good ("),
        "the text outside the fix would change, or no longer parse",
    ),
    "opens a string": (
        words(rb"\bBAD\b", lambda *_: "'''"),
        "the text outside the fix would change, or no longer parse",
    ),
    "is in vain": (words(rb"\bBAD\b", lambda *_: "BAD + 1"), "the finding would still be there"),
    "causes another": (words(rb"\bBAD\b", causes_another), "it would cause TL902: `WORSE` is bad"),
    "moves it": (words(rb"\bBAD\b", lambda *_: "good.BAD"), "the finding would still be there"),
}


@pytest.mark.parametrize("output_format", ["full", "concise", "json"])
@pytest.mark.parametrize("case", REJECTED)
def test_a_fix_that_does_not_stand_is_rejected(tmp_path, capsys, only, case, output_format):
    check, why = REJECTED[case]
    only(check, WORSE)
    path = tmp_path / "it.py"
    text = b"# toollint: ignore[TL002]\r\nx = BAD  # caf\xc3\xa9\r\nlast = '''\r\n'''"
    path.write_bytes(text)
    before = path.stat()
    assert cli.main([str(path), "--fix", "--exit-zero", "--output-format", output_format]) == 2
    after = path.stat()
    assert path.read_bytes() == text
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    out = capsys.readouterr().out
    if output_format == "json":
        found = {one["code"]: one for one in json.loads(out)}
        assert set(found) == {"TL901", "TL002"}
        assert found["TL002"]["message"] == f"the fix of TL901 was not applied: {why}"
        assert found["TL002"]["location"] == found["TL901"]["location"] == {"row": 2, "column": 5}
    else:
        assert "TL002" in out
        assert why in out


def test_a_rejected_fix_does_not_hold_up_the_others(tmp_path, only):
    only(words(rb"\b(?:BAD|VAIN)\b", lambda found, _: "good" if found[0] == b"BAD" else "VAIN\n\n"))
    (tmp_path / "a.py").write_text("x = BAD\n\ny = VAIN\n\nz = BAD\n")
    (tmp_path / "b.py").write_text("x = BAD\n")
    report = toollint.fix([tmp_path])
    assert (tmp_path / "a.py").read_text() == "x = good\n\ny = VAIN\n\nz = good\n"
    assert (tmp_path / "b.py").read_text() == "x = good\n"
    assert messages(report) == ["the fix of TL901 was not applied: the finding would still be there"]
    assert {Path(path).name: counts for path, counts in report.fixed.items()} == {
        "a.py": {"TL901": 2},
        "b.py": {"TL901": 1},
    }


def test_a_rejected_fix_is_told_where_the_finding_ends_up(tmp_path, only):
    def repair(found, _place):
        return "good = (\n    1\n)" if found[0] == b"BAD = 1" else "VAIN + 0"

    only(words(rb"BAD = 1|\bVAIN\b", repair))
    (tmp_path / "it.py").write_text("BAD = 1\ny = VAIN\n")
    report = toollint.fix([tmp_path])
    assert [(d.code, d.region.start.row) for d in report.diagnostics] == [("TL002", 4), ("TL901", 4)]


def test_nothing_can_be_written_over_what_somebody_else_wrote(tmp_path, only, monkeypatch, capsys):
    """Another program writes to the file after it was read and before it is written."""
    only(BAD_TO_GOOD)
    (tmp_path / "a.py").write_text("x = BAD\n\n\ny = BAD\n")
    (tmp_path / "b.py").write_text("x = BAD\n")
    write_atomic = files.write_atomic

    def slow(path, data, expected):
        if path.name == "a.py":
            path.write_text("x = 'theirs'\n")
        write_atomic(path, data, expected)

    monkeypatch.setattr(files, "write_atomic", slow)
    assert cli.main([str(tmp_path), "--fix", "--output-format", "concise"]) == 2
    out = capsys.readouterr().out
    assert (tmp_path / "a.py").read_text() == "x = 'theirs'\n"
    assert (tmp_path / "b.py").read_text() == "x = good\n"
    assert out.count("TL002 error the fix of TL901 was not applied: changed on disk since it was read") == 2
    assert out.count("TL901") == 4  # both findings stay, too
    assert "1 fixed" in out


def test_a_folder_that_cannot_be_written(tmp_path):
    """Seen by a user who is not root: root may write everywhere."""
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "it.py").write_text("x = 1  # toollint: ignore[TL101]\n")
    for each in (folder, folder / "it.py"):
        each.chmod(0o555 if each.is_dir() else 0o444)
    for each in (tmp_path, *list(tmp_path.parents)[:2]):
        each.chmod(0o755)
    is_root = os.geteuid() == 0
    assert not is_root or shutil.which("setpriv")
    plain = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if is_root else []
    done = subprocess.run(
        [*plain, sys.executable, "-m", "toollint", folder, "--fix", "--output-format", "concise"],
        capture_output=True, text=True, check=False, timeout=60, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "TL002 error the fix of TL001 was not applied: permission denied" in done.stdout
    assert [path.name for path in folder.iterdir()] == ["it.py"]


# --- how many, and how often ---------------------------------------------------------------------------------------


def test_fixes_that_overlap_take_turns(tmp_path, only):
    """Each opens the brackets around the next: only one can be applied in a round."""

    def unwrap(_found, place):
        return Repair("unwrap", Safety.SAFE, (Replace(place, "y"),))

    only(words(rb"f\(y\)", unwrap), words(rb"g\(\w+\(y\)\)", unwrap, "TL902", "outer"))
    (tmp_path / "it.py").write_text("x = g(f(y))\n")
    report = toollint.fix([tmp_path])
    assert (tmp_path / "it.py").read_text() == "x = y\n"
    assert report.diagnostics == ()


def growing(limit):
    """A rule whose fixes all insert at one place, so that each round takes one of them."""

    @rule("TL903", "grows", subject=Whole, severity=Severity.WARNING, fix=Safety.SAFE)
    def check(module):
        for number in range(limit):
            if b"done%d\n" % number not in module.utf8:
                end = Place(module.path, Span(len(module.utf8), len(module.utf8)))
                fix = Repair("add a line", Safety.SAFE, (Replace(end, f"# done{number}\n"),))
                yield Finding(Place(module.path, Span(0, 1)), f"`done{number}` is missing", fixes=[fix])

    return check


@pytest.mark.parametrize(("limit", "left"), [(10, 0), (12, 2)])
def test_after_ten_rounds_it_is_over(tmp_path, only, limit, left):
    only(growing(limit))
    (tmp_path / "it.py").write_text("x = 1\n")
    report = toollint.fix([tmp_path])
    assert (tmp_path / "it.py").read_text().count("done") == limit - left
    assert messages(report) == ["the fix of TL903 was not applied: still found after 10 rounds"] * (left and 1)
    assert len(messages(report, "TL903")) == left


def test_equal_findings_are_told_apart(tmp_path, only):
    """Only the last of three equal findings can be fixed; each of the others is rejected once."""
    only(words(rb"\bBAD\b(?P<last> ;)?", lambda found, _: "good" if found["last"] else "BAD + BAD"))
    (tmp_path / "it.py").write_text("BAD\nBAD\nBAD ;\n")
    report = toollint.fix([tmp_path])
    assert (tmp_path / "it.py").read_text() == "BAD\nBAD\ngood\n"
    assert len(messages(report)) == 2


def test_a_second_run_changes_nothing(tmp_path):
    (tmp_path / "it.py").write_text(TOOL)
    first = toollint.fix([tmp_path])
    once = (tmp_path / "it.py").read_text()
    second = toollint.fix([tmp_path])
    assert once != TOOL
    assert (tmp_path / "it.py").read_text() == once
    assert (len(first.changes), second.changes, second.fixed) == (1, {}, {})


# --- what is written -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        pytest.param(TOOL.replace("\n", "\r\n").encode(), "utf-8", id="crlf"),
        pytest.param(TOOL.replace("\n", "\r").encode(), "utf-8", id="cr"),
        pytest.param(b"\xef\xbb\xbf" + TOOL.encode(), "utf-8-sig", id="bom"),
        pytest.param(b"\xef\xbb\xbf" + TOOL.replace("\n", "\r\n").encode(), "utf-8-sig", id="bom-crlf"),
        pytest.param(("# -*- coding: latin-1 -*-\n# Ärger\n" + TOOL).encode("latin-1"), "latin-1", id="latin-1"),
        pytest.param(TOOL.replace("    ", "\t").encode(), "utf-8", id="tabs"),
        pytest.param(TOOL.replace("    ", "  ").encode(), "utf-8", id="two-spaces"),
        pytest.param(TOOL.replace("\n\n\nclass", "\n\f\nclass").encode(), "utf-8", id="form-feed"),
        pytest.param(TOOL.rstrip("\n").encode(), "utf-8", id="no-final-newline"),
        pytest.param(("'''😀 é'''\n" + TOOL + "\n\nafter = 'ü'\n").encode(), "utf-8", id="characters"),
    ],
)
def test_the_fix_is_spelt_like_the_file_and_the_rest_stays(tmp_path, data, encoding):
    path = tmp_path / "it.py"
    path.write_bytes(data)
    report = toollint.fix([path])
    after = path.read_bytes()
    assert report.diagnostics == ()
    text = after.decode(encoding)
    compile(after, "it.py", "exec")
    kept, added = data.partition(b"after =")[0], b"def close(self)"
    assert after.startswith(kept.rstrip())
    assert added in after
    if b"after" in data:
        assert after.endswith(data[len(kept) :])
    newlines = set(re.findall(r"\r\n|\r|\n", text))
    assert newlines == set(re.findall(r"\r\n|\r|\n", data.decode(encoding)))
    unit = re.search(rb"[ \t]+", data[data.index(b"name: str") - 4 :])[0] if b"\t" in data else None
    assert unit is None or b"\t" + added in after


def test_a_stateful_encoding_is_reported_and_left_alone(tmp_path):
    data = b"# coding: utf-7\n" + TOOL.encode("utf-7")
    (tmp_path / "it.py").write_bytes(data)
    report = toollint.fix([tmp_path])
    assert (tmp_path / "it.py").read_bytes() == data
    (found,) = report.diagnostics
    assert (found.code, found.fixes[0].safety) == ("TL101", Safety.DISPLAY)
    assert "utf-7 cannot be edited" in found.fixes[0].why


def test_mode_and_links_stay(tmp_path):
    real, link = tmp_path / "real.py", tmp_path / "link.py"
    real.write_text(TOOL)
    real.chmod(0o640)
    link.symlink_to(real)
    toollint.fix([link])
    assert link.is_symlink()
    assert "def close" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.py", "real.py"]


def test_files_without_a_fix_are_not_touched(tmp_path, only):
    only(BAD_TO_GOOD)
    (tmp_path / "bad.py").write_text("x = BAD\n")
    for name, text in {"fine.py": "x = 1\n", "broken.py": "x = BAD (\n"}.items():
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, ns=(1, 1))
    toollint.fix([tmp_path])
    assert [(tmp_path / name).stat().st_mtime_ns for name in ("fine.py", "broken.py")] == [1, 1]


@pytest.mark.parametrize("unsafe", [False, True])
def test_only_what_is_asked_for_is_applied(tmp_path, capsys, only, unsafe):
    def repair(found, place):
        safety = {b"SAFE": Safety.SAFE, b"UNSAFE": Safety.UNSAFE, b"DISPLAY": Safety.DISPLAY}[found[0]]
        return Repair("mend it", safety, (Replace(place, "good"),), why="because")

    only(words(rb"\b(?:UN)?SAFE\b|DISPLAY", repair))
    (tmp_path / "it.py").write_text("a = SAFE\nb = UNSAFE\nc = DISPLAY\n")
    status = cli.main([str(tmp_path), "--fix", "-q", *(["--unsafe-fixes"] if unsafe else [])])
    assert (tmp_path / "it.py").read_text() == f"a = good\nb = {'good' if unsafe else 'UNSAFE'}\nc = DISPLAY\n"
    assert status == 1
    assert capsys.readouterr().out.count("TL901") == (1 if unsafe else 2)


@pytest.mark.parametrize("unsafe", [False, True])
def test_of_several_alternatives_the_safe_one_is_taken(tmp_path, only, unsafe):
    @rule("TL901", "bad-word", subject=Whole, severity=Severity.WARNING, fix=Safety.SAFE)
    def check(module):
        if b"BAD" in module.utf8:
            place = Place(module.path, Span(0, 3))
            alternatives = [(Safety.DISPLAY, "z"), (Safety.UNSAFE, "x"), (Safety.SAFE, "y")]
            fixes = [Repair(new, safety, (Replace(place, new),)) for safety, new in alternatives]
            yield Finding(place, "`BAD` is bad", fixes=fixes)

    only(check)
    (tmp_path / "it.py").write_text("BAD\n")
    toollint.fix([tmp_path], Config(unsafe_fixes=unsafe))
    assert (tmp_path / "it.py").read_text() == "y\n"


@pytest.mark.parametrize("name", ["it.py", "crlf.py", "latin.py"])
def test_the_diff_is_what_fix_writes(tmp_path, capsys, monkeypatch, name):
    data = {
        "it.py": TOOL + "x = 1  # toollint: ignore[TL202]\n",
        "crlf.py": TOOL.replace("\n", "\r\n"),
        "latin.py": "# coding: latin-1\n# Ärger\n" + TOOL,
    }[name].encode("latin-1" if name == "latin.py" else "utf-8")
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(data)
    planned = toollint.fix([name], write=False).changes
    assert cli.main([name, "--diff"]) == 1
    assert Path(name).read_bytes() == data
    patch = capsys.readouterr().out
    assert cli.main([name, "--fix"]) == 0
    fixed = Path(name).read_bytes()
    assert planned == {
        str(tmp_path / name): tuple(b.decode("latin-1" if name == "latin.py" else "utf-8") for b in (data, fixed))
    }
    if name != "latin.py":  # a patch is text: its encoding is the terminal's
        Path(name).write_bytes(data)
        subprocess.run(["git", "apply", "-"], input=patch.encode(), check=True, cwd=tmp_path, timeout=60)
        assert Path(name).read_bytes() == fixed


# --- what a fix means for others -----------------------------------------------------------------------------------


class Classes:
    """A subject: a class of a file."""

    @staticmethod
    def find(_values, module):
        for index, (start, _) in enumerate(module.spans):
            node = module.statement(index)
            if isinstance(node, Class):
                yield module, start, node


@rule("TL904", "no-closer", subject=Classes, severity=Severity.WARNING, fix=Safety.SAFE)
def no_closer(subject):
    """A class wants a member ``close``."""
    module, start, node = subject
    place = Place(module.path, Span(start + node.start, start + node.end))
    if b"def close" not in module.utf8:
        step = AddMethods(place, ("def close(self):", "    pass"), ("close",))
        yield Finding(place, f"`{node.name}` has no closer", fixes=[Repair("add it", Safety.SAFE, (step,))])


class Holders:
    """A subject: a file that holds an object of a closable class of another file, or of its own."""

    @staticmethod
    def find(values, module):
        if b"held = Closable()" in module.utf8:
            for other in values.project.mentioning("Closable", "close"):
                if b"def close" in other.utf8:
                    yield module


@rule("TL905", "never-closed", subject=Holders, severity=Severity.WARNING)
def never_closed(module):
    """Whoever holds a closable object has to call ``close``."""
    start = module.utf8.index(b"held")
    yield Finding(Place(module.path, Span(start, start + 4)), "nobody calls `close` of `held`")


@pytest.mark.parametrize("where", ["same", "other"])
def test_what_a_fix_asks_of_others_is_told(tmp_path, capsys, only, where):
    """A class that became closable asks more of its holders: in its own file that does not hold up the fix."""
    only(no_closer, never_closed)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "made.py").write_text("class Closable: ...\n" + ("\n\nheld = Closable()\n" if where == "same" else ""))
    if where == "other":
        (tmp_path / "holder.py").write_text("from made import Closable\n\nheld = Closable()\n")
    assert cli.main([str(tmp_path), "--fix", "--output-format", "concise"]) == 1
    out, err = capsys.readouterr()
    name, row = ("made.py", 8) if where == "same" else ("holder.py", 3)
    assert "TL002" not in out
    assert re.search(rf"{name}:{row}:1: TL905", out)
    assert re.search(rf"now also needed: \S*{name}:{row}: TL905 nobody calls `close` of `held`", err)


def test_nothing_is_now_also_needed_that_was_needed_before(tmp_path, capsys, only):
    only(BAD_TO_GOOD, WORSE)
    (tmp_path / "it.py").write_text("x = BAD\ny = WORSE\n")
    assert cli.main([str(tmp_path), "--fix"]) == 1
    assert "now also needed" not in capsys.readouterr().err


# --- standard input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_standard_input_comes_out_mended(tmp_path, capfdbinary, monkeypatch, newline):
    """The file of that name is consulted for where it stands, and never written."""
    path = tmp_path / "it.py"
    path.write_text("x = 1\n")
    data = TOOL.replace("\n", newline).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert cli.main(["-", "--stdin-filename", str(path), "--fix"]) == 0
    sys.stdout.flush()
    out = capfdbinary.readouterr().out
    assert out.startswith(data)
    assert f"{newline}    def close(self)".encode() in out
    assert path.read_text() == "x = 1\n"
