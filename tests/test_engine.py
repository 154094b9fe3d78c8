"""The straight line from paths to diagnostics: one file or many, what fails, what is silenced, what never varies."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fixture_format import FIXTURES, cases

import toollint
from toollint import cli, engine, pool, rules
from toollint.config import Config
from toollint.model import Finding, Place, Severity, Span, rule
from toollint.sieve import Sieve

ROOT = Path(__file__).parent.parent
EVERYTHING = Config(select=("ALL",), preview=True)
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

LEAK = """\
import sqlite3
{head}


class {name}({base}):
    name: str = "it"

    def __init__(self, path):
        super().__init__()
        self._conn = sqlite3.connect(path)
"""


def tool(head, base="Base", name="It"):
    """A file with a tool that leaks; whether it is one depends on its base."""
    return LEAK.format(head=head, base=base, name=name)


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def summary(report, folder):
    """What was found: path, row, column and code."""
    return [(os.path.relpath(d.path, folder), *d.region.start, d.code) for d in report.diagnostics]


# --- rules of our own --------------------------------------------------------------------------------------------


class Whole:
    """A subject: a file."""

    @staticmethod
    def find(_values, module):
        yield module


@rule("TL901", "bad-word", subject=Whole, severity=Severity.WARNING)
def bad_word(module):
    """Report every BAD."""
    for found in re.finditer(rb"\bBAD\b", module.utf8):
        yield Finding(Place(module.path, Span(*found.span())), "`BAD` is bad")


@rule("TL902", "crashes", subject=Whole, severity=Severity.WARNING)
def crashes(module):
    """Report the first line, then fail where the file says so."""
    yield Finding(Place(module.path, Span(0, 1)), "`x` is the first line")
    if b"CRASH" in module.utf8:
        raise ZeroDivisionError("of course\nit does")


@rule("TL903", "dies", subject=Whole, severity=Severity.WARNING)
def dies(module):
    """End the process where the file says so."""
    if b"DIE" in module.utf8:
        os._exit(3)
    yield from ()


@pytest.fixture
def only(monkeypatch):
    """Run other rules than the real ones; TL001 stays."""

    def only(*ours):
        real = [one for one in rules.load.__wrapped__() if one.code == "TL001"]
        monkeypatch.setattr(rules, "load", lambda: (*real, *ours))

    return only


# --- the project around a file -----------------------------------------------------------------------------------

SHARED = {
    "app/__init__.py": "from .base import Base as Public\n",
    "app/base.py": "from langchain_core.tools import BaseTool\n\n\nclass Base(BaseTool): ...\n",
    "app/closing.py": "from .base import Base\n\n\nclass Closing(Base):\n    def close(self): self._conn.close()\n",
    "app/listed.py": "from .base import Base as Hidden\n\n__all__ = ['Listed']\n\n\nclass Listed(Hidden): ...\n",
    "app/other.py": "class Base: ...\n",
    "app/stubbed.py": "from .base import Base\n\n\nclass Stubbed(Base): ...\n",
    "app/stubbed.pyi": "class Stubbed(Exception): ...\n",
    "app/lone.pyi": "from langchain_core.tools import BaseTool\n\n\nclass Lone(BaseTool): ...\n",
    "app/sub/__init__.py": "",
    "app/agent.py": "from app.plain import Plain\n\n\ndef agent(make):\n    return make(tools=[Plain('path')])\n",
    "ns/one/base.py": "from app.base import Base as B\n\n\nclass Spaced(B): ...\n",
    "src/lib/__init__.py": "from langchain_core.tools import BaseTool as LibBase\n",
    "nested/pyproject.toml": "",
    "nested/base.py": "from langchain_core.tools import BaseTool\n\n\nclass Nested(BaseTool): ...\n",
}
REPORTED = {
    "app/elsewhere.py": tool("from app.base import Base"),
    "app/aliased.py": tool("import app.base as b", "b.Base"),
    "app/reexported.py": tool("from app import Public", "Public"),
    "app/relative.py": tool("from .base import Base"),
    "app/sub/deep.py": tool("from ..base import Base"),
    "app/starred.py": tool("from app.base import *"),
    "app/starred_all.py": tool("from app.listed import *", "Listed"),
    "app/checking.py": tool("if TYPE_CHECKING:\n    from app.base import Base"),
    "app/guarded.py": tool("try:\n    from app.base import Base\nexcept ImportError:\n    Base = None"),
    "app/version.py": tool("if new:\n    from .base import Base\nelse:\n    from app.base import Base"),
    "app/from_stubbed.py": tool("from app.stubbed import Stubbed", "Stubbed"),
    "app/from_lone.py": tool("from app.lone import Lone", "Lone"),
    "app/plain.py": tool("", "object", "Plain"),
    "app/circle.py": tool("from app.base import Base\nfrom app import circle_too"),
    "app/circle_too.py": tool("from app.circle import Base"),
    "ns/two/spaced.py": tool("from ns.one.base import Spaced", "Spaced"),
    "scripts/run.py": tool("from lib import LibBase", "LibBase"),
    "tests/test_it.py": tool("from app.base import Base"),
    "nested/inside.py": tool("from base import Nested", "Nested"),
}
SILENT = {
    "app/closed.py": tool("from app.closing import Closing", "Closing"),
    "app/hidden.py": tool("from app.listed import *", "Hidden"),
    "app/either.py": tool("if new:\n    from .base import Base\nelse:\n    from .other import Base"),
    "app/unknown.py": tool("from nobody_knows import Base"),
    "nested/outside.py": tool("from app.base import Base"),
}
PROJECT = {**SHARED, **REPORTED, **SILENT}
ONLY_WITH_A_MARKER = {"ns/two/spaced.py", "scripts/run.py", "tests/test_it.py"}


@pytest.mark.parametrize("marker", ["pyproject.toml", None])
def test_one_file_is_judged_as_in_a_run_over_everything(tmp_path, marker):
    write(tmp_path, PROJECT | ({marker: ""} if marker else {}))
    whole = toollint.check([tmp_path], EVERYTHING).diagnostics
    found = {os.path.relpath(d.path, tmp_path) for d in whole}
    assert found == set(REPORTED) - (set() if marker else ONLY_WITH_A_MARKER)
    for name, text in PROJECT.items():
        if not name.endswith(".py"):
            continue
        path = tmp_path / name
        expected = tuple(d for d in whole if d.path == str(path))
        assert toollint.check([path], EVERYTHING).diagnostics == expected, name
        assert toollint.check({path: text}, EVERYTHING).diagnostics == expected, name


def test_unsaved_files_are_judged_as_saved_ones(tmp_path):
    saved, unsaved = tmp_path / "saved", tmp_path / "unsaved"
    write(saved, {**PROJECT, "pyproject.toml": ""})
    write(unsaved, {"pyproject.toml": "", "nested/pyproject.toml": ""})
    texts = {unsaved / name: text for name, text in PROJECT.items() if name.endswith((".py", ".pyi"))}
    report = toollint.check(texts, EVERYTHING)
    assert summary(report, unsaved) == summary(toollint.check([saved], EVERYTHING), saved)


def test_a_text_beats_what_is_on_the_disk(tmp_path):
    write(tmp_path, {**PROJECT, "pyproject.toml": ""})
    name = tmp_path / "app/elsewhere.py"
    base = "class Base(Exception): ...\n"
    assert summary(toollint.check({name: PROJECT["app/elsewhere.py"], tmp_path / "app/base.py": base}), tmp_path) == []
    assert len(toollint.check([name]).diagnostics) == 1


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Every case of the fixtures as a project of its own, and the demo agents."""
    folder = tmp_path_factory.mktemp("corpus")
    for case in [*cases(), FIXTURES / "demo_agent", FIXTURES / "demo_agent_mended"]:
        target = folder / case.parent.name / case.stem
        target.mkdir(parents=True)
        (target / "pyproject.toml").touch()
        if case.is_dir():
            shutil.copytree(case, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(case, target)
    return folder


def test_fixtures_are_judged_alike_alone_and_together(corpus):
    whole = toollint.check([corpus], EVERYTHING).diagnostics
    assert {"TL001", "TL101", "TL202"} <= {d.code for d in whole}
    for path in sorted(corpus.rglob("*.py")):
        expected = tuple(d for d in whole if d.path == str(path))
        assert toollint.check([path], EVERYTHING).diagnostics == expected, path
        assert toollint.check({path: path.read_bytes()}, EVERYTHING).diagnostics == expected, path


# --- what need not be looked into --------------------------------------------------------------------------------


@pytest.fixture
def unsieved(monkeypatch):
    """Look into everything."""
    monkeypatch.setattr(Sieve, "words", lambda self, path, _subject: self._project.words(path))


SIEVED = {
    "make.py": "from sqlite3 import connect as make\n",
    "module.py": "import sqlite3 as db\n",
    "again.py": "from module import db as again\n",
    "p/__init__.py": "from . import inner\nimport module as m\nimport sqlite3 as d\n",
    "p/inner.py": "from sqlite3 import connect\n\nlink = connect\n",
    "one.py": "from make import make\nimport two\n",
    "two.py": "from one import make\n",
}


@pytest.mark.parametrize(
    ("head", "call"),
    [
        ("import sqlite3 as db", "db.connect(path)"),
        ("from sqlite3 import connect as c", "c(path)"),
        ("from sqlite3 import (\n    connect as c,  # first\n    Row,\n)", "c(path)"),
        ("from sqlite3 import Row, \\\n    connect as c", "c(path)"),
        ("import sqlite3\nmake = sqlite3.connect", "make(path)"),
        ("from make import make", "make(path)"),
        ("from make import *", "make(path)"),
        ("import make", "make.make(path)"),
        ("import make as mk\nother = mk.make", "other(path)"),
        ("from module import db", "db.connect(path)"),
        ("from again import again as db", "db.connect(path)"),
        ("import p", "p.inner.link(path)"),
        ("from p import inner", "inner.link(path)"),
        ("from p import m", "m.db.connect(path)"),
        ("from p import d", "d.connect(path)"),
        ("import p.inner", "p.d.connect(path)"),
        ("import p.inner", "p.m.db.connect(path)"),
        ("from two import make", "make(path)"),
        ("from one import make", "make(path)"),
    ],
)
def test_whatever_a_thing_is_called_it_is_looked_into(tmp_path, head, call):
    text = (
        f"{head}\nfrom langchain_core.tools import BaseTool\n\n\nclass It(BaseTool):\n    def __init__(self, path):\n"
    )
    write(tmp_path, {**SIEVED, "pyproject.toml": "", "it.py": f"{text}        self._conn = {call}\n"})
    assert [d.code for d in toollint.check([tmp_path]).diagnostics] == ["TL101"]
    assert [d.code for d in toollint.check([tmp_path / "it.py"]).diagnostics] == ["TL101"]


def test_the_order_of_files_in_a_circle_of_imports_changes_nothing(tmp_path):
    write(tmp_path, {**SIEVED, "pyproject.toml": ""})
    names = ["make.py", "one.py", "two.py", "module.py", "again.py"]
    project = engine.Workspace(Config()).around(str(tmp_path / "make.py")).project
    answers = []
    for seed in range(6):
        sieve = Sieve(project)
        order = random.Random(seed).sample(names, len(names))
        words = {name: sieve.words(str(tmp_path / name), "acquisition") for name in order}
        answers.append([words[name] for name in names])
    assert all(answer == answers[0] for answer in answers)
    assert all(b"make" in words for words in answers[0][:3])


OWNED = {
    "notes.py": (
        "import sqlite3\n\n\nclass Notes:\n    def __init__(self):\n        self._db = sqlite3.connect('notes.db')\n\n"
        "    def close(self):\n        self._db.close()\n\n\ndef make():\n    notes = Notes()\n    return notes\n"
    ),
    "shelf.py": (
        "from notes import Notes\n\n\nclass Shelf:\n    def __init__(self):\n        self._notes = Notes()\n\n"
        "    def close(self):\n        self._notes.close()\n\n\nclass Heir(Shelf):\n    pass\n"
    ),
    "p/__init__.py": "from shelf import Shelf as Board\nfrom . import inner\n",
    "p/inner.py": "from notes import *\nimport p\n\nShortcut = Notes\n",
}


@pytest.mark.parametrize(
    ("head", "made"),
    [
        ("from notes import Notes", "Notes()"),
        ("from notes import Notes as N", "N()"),
        ("import notes", "notes.Notes()"),
        ("import notes as n\nMade = n.Notes", "Made()"),
        ("from notes import *", "Notes()"),
        ("from notes import make", "make()"),
        ("from notes import make as new", "new()"),
        ("from shelf import Shelf", "Shelf()"),
        ("from shelf import Heir", "Heir()"),
        ("from p import Board", "Board()"),
        ("import p", "p.inner.Shortcut()"),
        ("from p.inner import Shortcut", "Shortcut()"),
        ("from p.inner import make", "make()"),
        ("from shelf import Shelf\nclass Own(Shelf):\n    pass\n", "Own()"),
        ("from shelf import Shelf\ndef new():\n    return Shelf()\n", "new()"),
    ],
)
@pytest.mark.parametrize("looked_into", ["what is of interest", "everything"])
def test_whatever_an_owner_is_called_who_holds_one_is_looked_into(tmp_path, head, made, looked_into, request):
    if looked_into == "everything":
        request.getfixturevalue("unsieved")
    text = f"{head}\n\nclass It:\n    def __init__(self):\n        self._held = {made}\n"
    write(tmp_path, {**OWNED, "pyproject.toml": "", "it.py": text})
    found = [(Path(d.path).name, d.code, d.symbol) for d in toollint.check([tmp_path], EVERYTHING).diagnostics]
    assert found == [("it.py", "TL110", "It")]
    alone = toollint.check([tmp_path / "it.py"], EVERYTHING).diagnostics
    assert [(d.code, d.symbol) for d in alone] == [("TL110", "It")]


CIRCLE = {
    "a.py": (
        "import sqlite3\nfrom b import B\n\n\nclass A:\n    def __init__(self, depth):\n        self._b = B(depth)\n"
        "        self._db = sqlite3.connect('a.db')\n\n    def close(self):\n        self._db.close()\n"
    ),
    "b.py": (
        "import a\nfrom c import C\n\n\nclass B:\n    def __init__(self, depth):\n        self._c = C(depth)\n\n"
        "    def close(self):\n        self._c.close()\n"
    ),
    "c.py": (
        "from a import A\nimport b\n\n\nclass C:\n    def __init__(self, depth):\n"
        "        self._a = A(depth - 1) if depth else None\n        self._b = b.B(depth - 1) if depth else None\n\n"
        "    def close(self):\n        if self._a is not None:\n            self._a.close()\n"
    ),
    "d.py": "from b import B\n\n\nclass D:\n    def __init__(self):\n        self._b = B(3)\n",
}


def test_the_order_of_classes_that_hold_one_another_changes_nothing(tmp_path):
    write(tmp_path, {**CIRCLE, "pyproject.toml": ""})
    expected = toollint.check([tmp_path], EVERYTHING).diagnostics
    found = [(Path(d.path).name, d.code) for d in expected]
    assert found == [("a.py", "TL102"), ("c.py", "TL102"), ("d.py", "TL110")]
    for names in itertools.permutations(CIRCLE):
        assert toollint.check([tmp_path / name for name in names], EVERYTHING).diagnostics == expected
    alone = [toollint.check([tmp_path / name], EVERYTHING).diagnostics for name in sorted(CIRCLE)]
    assert tuple(itertools.chain(*alone)) == expected


@pytest.mark.parametrize("where", ["corpus", "toollint"])
def test_nothing_is_missed(corpus, where, request):
    paths = [corpus if where == "corpus" else ROOT / where]
    sieved = toollint.check(paths, EVERYTHING).diagnostics
    request.getfixturevalue("unsieved")
    assert toollint.check(paths, EVERYTHING).diagnostics == sieved
    assert sieved or where == "toollint"


# --- what fails ----------------------------------------------------------------------------------------------------

BROKEN = {
    "syntax.py": ("def f(:\n", "TL999", (1, 7)),
    "later.py": ("x = 1\ny = (\n", "TL999", (2, 5)),
    "columns.py": ("é = '€' + + ¤\n", "TL999", (1, 13)),
    "encoding.py": ("# coding: klingon\nx = 1\n", "TL999", (1, 11)),
    "bytes.py": (b"x = 1\ny = '\xff'\n", "TL999", (2, 6)),
    "null.py": (b"x = 1\ny = \0\n", "TL999", (2, 5)),
    "large.py": (b"#" * (10 * 2**20 + 1), "TL998", (1, 1)),
}


def test_what_cannot_be_read_is_a_diagnostic_and_the_run_goes_on(tmp_path):
    write(tmp_path, {name: text for name, (text, _, _) in BROKEN.items()})
    write(tmp_path, {"pyproject.toml": "", "leak.py": tool("from langchain_core.tools import BaseTool as Base")})
    (tmp_path / "link.py").symlink_to(tmp_path / "gone.py")
    (tmp_path / "pipe.py").touch()
    (tmp_path / "pipe.py").unlink()
    os.mkfifo(tmp_path / "pipe.py")
    named = [tmp_path, tmp_path / "pipe.py"]
    found = {(d.code, Path(d.path).name): tuple(d.region.start) for d in toollint.check(named).diagnostics}
    expected = {(code, name): place for name, (_, code, place) in BROKEN.items()}
    assert found == {**expected, ("TL998", "pipe.py"): (1, 1), ("TL101", "leak.py"): (5, 7)}


@pytest.mark.parametrize("name", ["syntax.py", "later.py", "columns.py"])
def test_the_place_of_a_syntax_error_is_that_of_the_interpreter(name):
    text = BROKEN[name][0]
    with pytest.raises(SyntaxError) as caught:
        compile(text.encode(), name, "exec", dont_inherit=True)
    (found,) = toollint.check({name: text}).diagnostics
    assert tuple(found.region.start) == (caught.value.lineno, caught.value.offset)
    assert found.message.endswith(caught.value.msg)


@pytest.mark.skipif(IS_ROOT and not shutil.which("setpriv"), reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    write(tmp_path, {"secret.py": "x = 1\n", "BAD.py": "def f(:\n"})
    (tmp_path / "secret.py").chmod(0)
    plain = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if IS_ROOT else []
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == tmp_path.owner() and folder.parent != folder and IS_ROOT and "pytest" in str(folder):
            folder.chmod(0o755)
    done = subprocess.run(
        [*plain, sys.executable, "-m", "toollint", "--output-format", "concise", tmp_path],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert re.search(r"secret\.py:1:1: TL998 error permission denied", done.stdout)
    assert "TL999" in done.stdout


@pytest.mark.parametrize("kind", ["gone", "dangling"])
def test_a_named_path_that_does_not_exist_is_an_error_of_usage(tmp_path, capsys, kind):
    path = tmp_path / "it.py"
    if kind == "dangling":
        path.symlink_to(tmp_path / "gone.py")
    assert cli.main([str(path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"toollint: {path}: no such file or folder\n")


def test_a_rule_that_crashes_takes_nothing_else_with_it(tmp_path, capsys, only):
    only(bad_word, crashes)
    write(tmp_path, {"pyproject.toml": "", "a.py": "x = BAD\n", "b.py": "x = BAD, CRASH\n", "c.py": "x = BAD\n"})
    report = toollint.check([tmp_path])
    both = ["TL901", "TL902"]
    assert sorted((Path(d.path).name, d.code) for d in report.diagnostics) == sorted(
        [*((name, code) for name in ("a.py", "b.py", "c.py") for code in both), ("b.py", "TL000")]
    )
    (failed,) = [d for d in report.diagnostics if d.code == "TL000"]
    assert failed.message == "TL902 crashes failed on this file: ZeroDivisionError: of course"
    assert cli.main([str(tmp_path), "--exit-zero", "--output-format", "concise"]) == 2
    assert "b.py:1:1: TL000 error TL902 crashes failed" in capsys.readouterr().out


@pytest.mark.parametrize("output_format", ["full", "concise", "json"])
@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("TL999", ("# toollint: ignore", [])),
        ("TL999", ("# toollint: skip-file", [])),
        ("TL999", ("", ["--ignore", "TL"])),
        ("TL999", ("", ["--per-file-ignores", "*.py:TL9"])),
        ("TL998", (None, ["--ignore", "TL"])),
        ("TL998", (None, ["--per-file-ignores", "*.py:TL9"])),
        ("TL000", ("# toollint: ignore", [])),
        ("TL000", ("# toollint: ignore[TL000, TL902]", [])),
    ],
)
def test_failures_are_in_every_format_and_nothing_silences_them(failing, capsys, code, given, output_format):
    first_line, options = given
    path = failing(code, first_line)
    status = cli.main([str(path), "--output-format", output_format, "--exit-zero", *options])
    out = capsys.readouterr().out
    assert status == (0 if code == "TL999" else 2)
    if output_format == "json":
        assert code in {found["code"] for found in json.loads(out)}
    else:
        assert code in out


@pytest.fixture
def failing(tmp_path, only):
    """Make a file that gives a diagnostic of this code."""
    only(crashes)

    def failing(code, first_line):
        path = tmp_path / "it.py"
        if code == "TL998":
            os.mkfifo(path)
        else:
            text = "x = (  # noqa" if code == "TL999" else "x = 'CRASH'  # noqa"
            path.write_text(f"{first_line}\n{text}\n")
        return path

    return failing


# --- what is silenced ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        pytest.param("x = BAD\n", ["TL901"], id="nothing"),
        pytest.param("x = BAD  # noqa\n", [], id="noqa"),
        pytest.param("x = BAD  # noqa: TL901\n", [], id="noqa-code"),
        pytest.param("x = BAD  # noqa: E501, TL901 reason\n", [], id="noqa-list"),
        pytest.param("x = BAD  # noqa: E501\n", ["TL901"], id="noqa-of-others"),
        pytest.param("x = BAD  # noqa: bad-word\n", ["TL901"], id="noqa-knows-no-names"),
        pytest.param("x = BAD  # toollint: ignore\n", [], id="ignore"),
        pytest.param("x = BAD  # toollint: ignore[TL901]\n", [], id="ignore-code"),
        pytest.param("x = BAD  # toollint: ignore[bad-word] reason\n", [], id="ignore-name"),
        pytest.param("x = BAD  # toollint: ignore[TL101, bad-word]\n", [], id="ignore-list"),
        pytest.param("# toollint: ignore[TL901]\nx = BAD\n", [], id="line-above"),
        pytest.param("# toollint: ignore[TL901]\n# why\nx = BAD\n", [], id="lines-above"),
        pytest.param("# toollint: ignore[TL901]\n\nx = BAD\n", ["TL001", "TL901"], id="not-directly-above"),
        pytest.param("x = [\n    BAD,\n]  # noqa: TL901\n", [], id="last-line-of-statement"),
        pytest.param("x = [  # noqa: TL901\n    1,\n    BAD,\n]\n", [], id="first-line-of-statement"),
        pytest.param("x = '''\nBAD  # noqa: TL901\n'''\n", ["TL901"], id="in-a-string"),
        pytest.param("@a  # noqa: TL901\n@b\ndef BAD(): ...\n", [], id="decorator"),
        pytest.param("# noqa: TL901\n@a\n@b\ndef BAD(): ...\n", [], id="above-decorators"),
        pytest.param("def f():  # noqa: TL901\n    x = BAD\n", ["TL001", "TL901"], id="header-is-not-the-body"),
        pytest.param("# toollint: skip-file\nx = BAD  # toollint: ignore[TL902]\n", [], id="skip-file"),
        pytest.param("x = 1  # toollint: skip-file\ny = BAD\n", ["TL901"], id="skip-file-has-a-line-of-its-own"),
        pytest.param("x = 1  # toollint: ignore[TL901]\n", ["TL001"], id="unused"),
        pytest.param("x = 1  # toollint: ignore\n", ["TL001"], id="unused-bare"),
        pytest.param("x = 1  # noqa\n", [], id="unused-bare-noqa"),
        pytest.param("x = 1  # noqa: TL901\n", ["TL001"], id="unused-noqa"),
        pytest.param("x = 1  # noqa: E501\n", [], id="unused-noqa-of-others"),
        pytest.param("x = 1  # toollint: ignore[TL101]\n", [], id="rule-that-did-not-run"),
        pytest.param("x = BAD  # toollint: ignore[TL901, bad-word]\n", ["TL001"], id="once-is-enough"),
    ],
)
def test_suppressions(only, text, codes):
    only(bad_word)
    assert sorted(d.code for d in toollint.check({"it.py": text}).diagnostics) == codes


def test_unused_suppressions_are_taken_back(tmp_path, only):
    only(bad_word)
    path = tmp_path / "it.py"
    path.write_text(
        "x = 1  # noqa: E501, TL901\n# toollint: ignore[bad-word]\ny = 1  # toollint: ignore[TL101, TL901] old\n"
    )
    assert cli.main([str(path), "--fix", "-q"]) == 0
    assert path.read_text() == "x = 1  # noqa: E501\ny = 1  # toollint: ignore[TL101] old\n"


@pytest.mark.parametrize(
    ("select", "codes"), [(("ALL",), ["TL001"]), (("TL001",), []), (("TL902", "TL001"), ["TL902"]), (("TL901",), [])]
)
def test_suppressions_of_rules_that_did_not_run_are_not_judged(only, select, codes):
    only(bad_word, crashes) if "TL902" in select else only(bad_word)
    text = "x = 1\ny = 1  # toollint: ignore[TL901]\nz = 1  # toollint: ignore\n"
    found = toollint.check({"it.py": text}, Config(select=select)).diagnostics
    assert sorted({d.code for d in found}) == codes


def test_suppressions_of_a_rule_that_crashed_are_not_judged(only):
    only(bad_word, crashes)
    text = "x = 'CRASH'\n\ny = 1  # toollint: ignore[TL902]\nz = 1  # toollint: ignore\n"
    found = toollint.check({"it.py": text}).diagnostics
    assert sorted(d.code for d in found) == ["TL000", "TL902"]


# --- what never varies ---------------------------------------------------------------------------------------------


@pytest.fixture
def forked(monkeypatch):
    """Use processes for few files too, and such that know the rules of a test."""
    monkeypatch.setattr(pool, "_WORTHWHILE", 2)
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("fork", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.usefixtures("forked")
def test_any_number_of_processes_finds_the_same(corpus):
    reports = [engine.run([corpus], EVERYTHING, jobs=jobs) for jobs in (1, 2, 3, 2)]
    assert reports[0].diagnostics
    assert all(report == reports[0] for report in reports)


def test_the_order_of_files_changes_nothing(corpus):
    paths = sorted(corpus.rglob("*.py"))
    expected = toollint.check(paths, EVERYTHING)
    for seed in range(2):
        assert toollint.check(random.Random(seed).sample(paths, len(paths)), EVERYTHING) == expected


@pytest.mark.parametrize(("output_format", "seeds"), [("json", "0123"), ("full", "03")])
def test_the_same_bytes_come_out_whatever_the_hash_seed(corpus, output_format, seeds):
    command = [
        sys.executable,
        "-m",
        "toollint",
        "check",
        ".",
        "--select",
        "ALL",
        "--preview",
        "--output-format",
        output_format,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.run(
            command,
            cwd=corpus,
            env={**environment, "PYTHONHASHSEED": seed},
            capture_output=True,
            timeout=120,
            check=False,
        )
        for seed in seeds
    ]
    assert [run.returncode for run in runs] == [1] * len(seeds)
    assert len({run.stdout for run in runs}) == 1
    assert len(runs[0].stdout) > 1000


@pytest.mark.usefixtures("forked")
def test_a_process_that_dies_takes_only_its_file(tmp_path, capsys, only):
    only(bad_word, dies)
    names = [f"f{number:02}.py" for number in range(23)]
    texts = dict.fromkeys(names, "x = BAD\n")
    write(
        tmp_path,
        {"pyproject.toml": "", **texts, "f07.py": "x = BAD, DIE\n", "f08.py": "x = DIE\n", "f20.py": "x = DIE\n"},
    )
    seen = []
    report = engine.run([tmp_path], Config(), jobs=2, progress=lambda *so_far: seen.append(so_far))
    expected = {name: "TL998" if name in {"f07.py", "f08.py", "f20.py"} else "TL901" for name in names}
    assert {Path(d.path).name: d.code for d in report.diagnostics} == expected
    assert seen[-1] == (23, 23)
    assert cli.main([str(tmp_path), "--jobs", "2", "--output-format", "concise"]) == 2
    assert capsys.readouterr().out.count("TL998") == 3
