"""Whatever is in a file, the command answers: findings, silence or one clear line, and it lives."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SAFETY_NET = 60


def run(path, *options):
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "toollint", "check", "--output-format", "json", *options, path],
        capture_output=True, text=True, timeout=SAFETY_NET, check=False, cwd=ROOT,
    )  # fmt: skip


def answered(done):
    """The diagnostics of a run that ended as it should."""
    assert done.returncode in {0, 1}, done.stderr[-2000:]
    assert done.stderr == ""
    return json.loads(done.stdout)


# --- files that could overflow a parser's stack: each on its own ---------------------------------------------------


def nested(opening, inner, closing, count):
    return f"x = {opening * count}{inner}{closing * count}\n".encode()


def chained(start, link, count):
    return f"x = {start}{link * count}\n".encode()


def blocks(head, count):
    lines = [f"{' ' * depth}{head}\n" for depth in range(count)]
    return "".join([*lines, " " * count, "pass\n"]).encode()


DEEP = {
    "parentheses": lambda count: nested("(", "1", ")", count),
    "brackets": lambda count: nested("[", "", "]", count),
    "braces": lambda count: nested("{1: ", "1", "}", count),
    "calls-within": lambda count: nested("f(", "", ")", count),
    "unbalanced": lambda count: b"(" * count,
    "minus": lambda count: nested("-", "1", "", count),
    "not": lambda count: nested("not ", "1", "", count),
    "lambda": lambda count: nested("lambda: ", "1", "", count),
    "await": lambda count: b"async def f():\n " + nested("await ", "y", "", count),
    "power": lambda count: chained("1", " ** 1", count),
    "plus": lambda count: chained("1", " + 1", count),
    "and": lambda count: chained("a", " and a", count),
    "comparison": lambda count: chained("a", " < a", count),
    "ternary": lambda count: chained("1", " if a else 1", count),
    "attributes": lambda count: chained("a", ".b", count),
    "calls": lambda count: chained("f", "()", count),
    "methods": lambda count: chained("a", ".b()", count),
    "subscripts": lambda count: chained("a", "[0]", count),
    "strings": lambda count: b"x = (" + b'"a" ' * count + b")\n",
    "f-strings": lambda count: b"x = (" + b'f"{a}" ' * count + b")\n",
    "targets": lambda count: b"x = " * count + b"1\n",
    "elif": lambda count: b"if a:\n    pass\n" + b"elif a:\n    pass\n" * count,
    "comprehension": lambda count: chained("[1", " for a in b", count).replace(b"\n", b"]\n"),
    "decorators": lambda count: b"@a\n" * count + b"def f(): ...\n",
    "if": lambda count: blocks("if a:", count),
    "def": lambda count: blocks("def f():", count),
    "class": lambda count: blocks("class A:", count),
    "with": lambda count: b"with (" + b"a as b, " * count + b"): pass\n",
    "import": lambda count: b"from a" + b".a" * count + b" import a as x\n",
    "pattern": lambda count: b"match a:\n case " + b"[" * count + b"]" * count + b": pass\n",
}
ALONE = ("parentheses", "minus", "lambda", "plus", "and", "methods", "elif", "strings", "if", "f-strings", "pattern")


@pytest.mark.parametrize("frontend", ["ast", "libcst"])
@pytest.mark.parametrize("count", [150, 3000])
def test_deep_files_together(tmp_path, count, frontend):
    for name, make in DEEP.items():
        (tmp_path / f"{name}.py").write_bytes(b"import sqlite3\n\n" + make(count))
    found = answered(run(tmp_path, "--frontend", frontend))
    assert {one["code"] for one in found} <= {"TL999"}


@pytest.mark.parametrize("name", ALONE)
def test_a_very_deep_file_alone(tmp_path, name):
    path = tmp_path / "deep.py"
    path.write_bytes(b"import sqlite3\n\n" + DEEP[name](2_000 if name == "if" else 30_000))
    found = answered(run(path))
    assert [one["code"] for one in found] in ([], ["TL999"])


def test_a_deep_tool_is_still_judged(tmp_path):
    """Deep expressions around a leak hide nothing but themselves."""
    chain = " + ".join(["1"] * 2000)
    text = f"""\
import sqlite3

from langchain_core.tools import BaseTool

LONG = {chain}


class It(BaseTool):
    def __init__(self, path):
        self.n = {chain}
        self._conn = sqlite3.connect(path)
"""
    path = tmp_path / "it.py"
    path.write_text(text)
    assert [one["code"] for one in answered(run(path))] == ["TL101"]


# --- files that are strange, but small: many in a run --------------------------------------------------------------

LINES = "import sqlite3\nx = 1\ny = 'é'\n"
VALID = {
    "empty": b"",
    "blank": b"\n\n \t\f\n",
    "one-newline": b"\n",
    "one-comment": b"# nothing",
    "comments": b"# a\n# b\n\n# c\n",
    "backslash-first": b"\\\nx = 1\n",
    "no-final-newline": b"x = 1",
    "crlf": LINES.replace("\n", "\r\n").encode(),
    "cr": LINES.replace("\n", "\r").encode(),
    "mixed-newlines": b"x = 1\r\ny = 2\rz = 3\n",
    "form-feed": b"x = 1\n\f\ny = 2\n\fdef f():\n\f    pass\n",
    "vertical-tab-in-string": "x = '\x0b \x1c \x85'\n".encode(),
    "bom": b"\xef\xbb\xbf" + LINES.encode(),
    "bom-and-cookie": b"\xef\xbb\xbf# coding: utf-8\n" + LINES.encode(),
    "latin-1": b"# coding: latin-1\n" + LINES.encode("latin-1"),
    "cookie-in-line-two": b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n" + LINES.encode("cp1252"),
    "shift-jis": "# coding: shift_jis\nx = '表示'\n".encode("shift_jis"),
    "gbk": "# coding: gbk\nx = '中文'\n".encode("gbk"),
    "euc-kr": "# coding: euc_kr\nx = '한'\n".encode("euc_kr"),
    "utf-7": b"# coding: utf-7\nx = '+AOk-'\n",
    "identifiers": "ﬁ = 1\nµ = ñ = ª = 名前 = 2\n".encode(),
    "right-to-left": "x = '\u202eabc\u2066'\n".encode(),
    "astral": "x = '😀' + f'{x!r:>{y}}😀'\n".encode(),
    "surrogate-escape": b"x = '\\ud800'\n",
    "names": b"\\N = 1\n"[1:] + b"x = '\\N{BULLET}'\n",
    "invalid-escapes": b"x = '\\d \\w'\n",
    "octal-bytes": b"x = b'\\777'\n",
    "long-line": b"x = [" + b"1, " * 50_000 + b"]\n",
    "long-string": b"x = '" + b"a" * 500_000 + b"'\n",
    "long-name": b"a" * 100_000 + b" = 1\n",
    "long-comment": b"#" * 500_000 + b"\n",
    "many-lines": b"x = f(1)\n" * 8_000,
    "many-functions": b"".join(b"def f%d(a): return a\n" % n for n in range(2_000)),
    "many-noqas": b"x = 1  # toollint: ignore[TL101]\n" * 1_000,
    "tabs": b"if a:\n\tif b:\n\t\tpass\n",
    "semicolons": b"import os; x = 1;\n",
    "stub-like": b"def f(a: int = ..., /, *, b: str) -> None: ...\n",
    "global-returns": b"x = 1\nreturn x\n",
    "top-await": b"await x\nyield x\n",
    "circle": b"from circle import *\nfrom circle import circle\ncircle = circle\n\n\nclass circle(circle): ...\n",
    "import-of-itself": b"import importing\nfrom . import importing as me\nfrom ..... import far\n",
}
BROKEN = {
    "null": b"x = 1\0\n",
    "null-in-comment": b"# \0\nx = 1\n",
    "utf-16": LINES.encode("utf-16"),
    "utf-32": LINES.encode("utf-32"),
    "binary": bytes(range(256)),
    "latin-1-without-cookie": b"x = '\xe9'\n",
    "unknown-encoding": b"# coding: klingon\n",
    "no-text-encoding": b"# coding: rot13\nx = 1\n",
    "bom-and-other-cookie": b"\xef\xbb\xbf# coding: latin-1\n",
    "cut-character": b"x = '\xe2\x82",
    "surrogates": b"x = '\xed\xa0\x80'\n",
    "print": b"print 'hello'\n",
    "except": b"try:\n    pass\nexcept A, e:\n    pass\n",
    "exec": b"exec 'a' in b\n",
    "backticks": b"x = `a`\n",
    "octal": b"x = 0777\n",
    "diamond": b"if 1 <> 2: pass\n",
    "raise": b"raise A, 'b'\n",
    "tuple-parameter": b"def f((a, b)): pass\n",
    "merge-conflict": b"<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> theirs\n",
    "jinja": b"{% if x %}\nx = {{ y }}\n{% endif %}\n",
    "magic": b"%matplotlib inline\nx = 1\n!ls\n",
    "html": b"<!DOCTYPE html>\n<html></html>\n",
    "open-string": b"x = '''\n",
    "open-bracket": b"x = (\n" + b"y = 1\n" * 100,
    "wrong-bracket": b"x = (]\n",
    "bad-dedent": b"if a:\n        b\n    c\n",
    "mixed-tabs": b"if a:\n\tb\n        c\n",
    "backslash-last": b"x = 1 \\",
    "keyword": b"class = 1\n",
    "typographic": "x = “a”\n".encode(),
    "no-break-space": "x =\u00a01\n".encode(),
}


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    """What is found in all of the small files in one run, and in each front end."""
    folder = tmp_path_factory.mktemp("strange")
    for name, data in {**VALID, **BROKEN}.items():
        (folder / f"{name}.py").write_bytes(data)
    found = {}
    for frontend in ("ast", "libcst"):
        for one in answered(run(folder, "--frontend", frontend)):
            found.setdefault((frontend, Path(one["filename"]).stem), []).append(one)
    return found


@pytest.mark.parametrize("frontend", ["ast", "libcst"])
def test_strange_files_that_are_python_are_taken(strange, frontend):
    refused = {
        name: one["message"] for name in VALID for one in strange.get((frontend, name), ()) if one["code"] != "TL001"
    }
    assert refused == {}


@pytest.mark.parametrize("frontend", ["ast", "libcst"])
def test_files_that_are_no_python_are_one_diagnostic_each(strange, frontend):
    for name in BROKEN:
        (found,) = strange[frontend, name]
        assert (found["code"], found["severity"]) == ("TL999", "error"), name
        assert re.fullmatch(r"\S[^\r\n]*", found["message"]), name
        assert found["location"]["row"] >= 1, name
        assert found["location"]["column"] >= 1, name


@pytest.mark.parametrize("name", ["null", "binary", "utf-16", "many-lines", "circle", "long-line", "import-of-itself"])
@pytest.mark.parametrize("output_format", ["full", "concise"])
def test_strange_files_can_be_printed(tmp_path, name, output_format):
    path = tmp_path / "it.py"
    path.write_bytes({**VALID, **BROKEN}[name])
    done = run(path, "--output-format", output_format)
    assert done.returncode in {0, 1}
    assert done.stderr == ""
    assert len(done.stdout) < 10_000


@pytest.mark.parametrize("output_format", ["full", "concise", "json"])
def test_names_of_files_cannot_steer_the_terminal(tmp_path, output_format):
    path = tmp_path / "a\x1b[2Jb\nc.py"
    path.write_text("x = (\n")
    done = run(path, "--output-format", output_format)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "b\nc" not in done.stdout


def test_files_that_cannot_be_read_are_one_line_each(tmp_path):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "large.py").write_bytes(b"x = 1\n" * 2_000_000)
    done = run(tmp_path, "--output-format", "concise")
    assert done.returncode == 2
    (line, _, _) = done.stdout.split("\n")
    assert re.search(r"large\.py:1:1: TL998 error larger than 10 MiB", line)
    assert done.stderr == ""
