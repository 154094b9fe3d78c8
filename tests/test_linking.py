"""Findings on one leak path point to one another, or become one; what is silenced or not selected is not pointed to."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fixture_format import cases, files_of

import toollint
from toollint import cli
from toollint.config import Config
from toollint.linking import MAX_LINKS, linked
from toollint.model import Diagnostic, Fix, Link, Related, Report, Role, Safety, Severity, Span
from toollint.source import decode

EVERYTHING = Config(select=("ALL",), preview=True)

TOOL = """\
import sqlite3

from langchain_core.tools import BaseTool


class SqlTool(BaseTool):{silence}
    name: str = "sql"

    def __init__(self, path):
        super().__init__()
        self._conn = sqlite3.connect(path)
"""
MEMO = """

@lru_cache(maxsize=256)
def tool_for(user: str) -> SqlTool:
    return SqlTool(user)
"""
ONE_FILE = "from functools import lru_cache\n" + TOOL + MEMO
"""A tool that cannot be closed, and a memo that keeps every one of them."""


def check(text, config=EVERYTHING, name="/app/tools.py"):
    return toollint.check({"/app/pyproject.toml": "", name: text}, config).diagnostics


def links(found):
    """What a finding says of others: label, role and row."""
    return [(note.message, note.role, note.region.start.row) for note in _links(found)]


def _links(found):
    return [note for note in found.related if note.message.startswith("TL")]


def test_a_memo_and_the_class_that_it_keeps_point_to_one_another():
    tool, memo = check(ONE_FILE.format(silence=""))
    assert (tool.code, memo.code) == ("TL101", "TL202")
    assert links(tool) == [("TL202 keeps it alive", Role.KEPT_BY, memo.region.start.row)]
    assert links(memo) == [("TL101 speaks of this", Role.ACQUIRED, tool.region.start.row)]


def test_two_that_keep_one_object_point_to_one_another():
    text = """\
import atexit
import sqlite3

SESSIONS: dict[str, "Session"] = {}


class Session:
    def __init__(self, path):
        self._conn = sqlite3.connect(path)
        atexit.register(self.close)

    def close(self):
        self._conn.close()


def session_for(user):
    if user not in SESSIONS:
        SESSIONS[user] = Session(user)
    return SESSIONS[user]
"""
    box, registration = check(text)
    assert (box.code, registration.code) == ("TL201", "TL303")
    assert links(box) == [("TL303 keeps it alive", Role.KEPT_BY, 10)]
    assert links(registration) == [("TL201 keeps it alive", Role.KEPT_BY, 4)]


def test_what_a_comment_silences_is_not_pointed_to():
    (memo,) = check(ONE_FILE.format(silence="  # toollint: ignore[TL101] closed by its owner"))
    assert (memo.code, links(memo)) == ("TL202", [])


@pytest.mark.parametrize("code", ["TL101", "TL202"])
def test_what_is_not_selected_is_not_pointed_to(code):
    (found,) = check(ONE_FILE.format(silence=""), Config(select=(code,)))
    assert (found.code, links(found)) == (code, [])


def test_other_files_are_in_the_path_only(tmp_path):
    files = {"tools.py": TOOL.format(silence=""), "memo.py": f"{IMPORTS}{MEMO}", "pyproject.toml": ""}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    whole = toollint.check([tmp_path], EVERYTHING).diagnostics
    assert [(found.code, links(found)) for found in whole] == [("TL202", []), ("TL101", [])]
    assert whole[0].chain[-1].region.path == str(tmp_path / "tools.py")
    for found in whole:
        assert toollint.check([found.path], EVERYTHING).diagnostics == (found,)


IMPORTS = "from functools import lru_cache\n\nfrom tools import SqlTool\n"

# --- one statement -----------------------------------------------------------------------------------------------

ONE_STATEMENT = """\
from langchain_core.tools import StructuredTool
from langgraph.graph.state import CompiledStateGraph

BOX = {{}}{silence}


def count(graph: CompiledStateGraph):
    BOX[graph] = 1


def add(user: str):
    BOX[user] = StructuredTool(name=user)
"""


def test_two_on_one_statement_become_one():
    (found,) = check(ONE_STATEMENT.format(silence=""))
    (values,) = check(ONE_STATEMENT.format(silence=""), Config(select=("TL201",)))
    (keys,) = check(ONE_STATEMENT.format(silence=""), Config(select=("TL301",)))
    assert found == replace(
        values,
        related=(*values.related, *keys.related),
        notes=(*values.notes, f"TL301: {keys.message}"),
        fixes=(*values.fixes, *keys.fixes),
    )


@pytest.mark.parametrize(("silenced", "left"), [("TL201", "TL301"), ("TL301", "TL201")])
def test_a_comment_silences_its_own_finding_only(silenced, left):
    (found,) = check(ONE_STATEMENT.format(silence=f"  # toollint: ignore[{silenced}]"))
    (alone,) = check(ONE_STATEMENT.format(silence=f"  # toollint: ignore[{silenced}]"), Config(select=(left,)))
    assert found == alone


def test_a_fix_mends_every_finding_of_a_statement(tmp_path, capsys):
    path = tmp_path / "box.py"
    path.write_text(ONE_STATEMENT.format(silence=""))
    arguments = ["--isolated", "--select", "ALL", "--preview", "--fix", "--unsafe-fixes", str(path)]
    code = cli.main(arguments)
    shown = capsys.readouterr().out
    assert "TL002" not in shown
    assert (code, "none left" in shown) in {(0, True), (1, False)}


# --- made by hand ------------------------------------------------------------------------------------------------

TEXT = "one = 1\ntwo = 2; three = (\n    3)\nfour = 4\nfive = 5\nsix = 6\nseven = 7\n"
SOURCE = decode("/w/a.py", TEXT.encode())


def at(word):
    start = TEXT.index(word)
    return SOURCE.region(Span(start, start + len(word)))


def finding(code, word, *, path=(), related=(), severity=Severity.WARNING):
    return Diagnostic(
        code,
        "its-name",
        severity,
        f"`{word}` is wrong",
        at(word),
        related=tuple(Related("here", Role.STORED, at(each)) for each in related),
        chain=tuple(Link(each, at(each)) for each in path),
        notes=("once",),
        fixes=(Fix(f"mend {word}", Safety.SAFE),),
        fingerprint=code + word,
    )


def joined(*found):
    ordered = sorted(found, key=lambda each: (each.region.start, each.code))
    return linked(Report(tuple(ordered), texts={"/w/a.py": TEXT})).diagnostics


def test_who_shares_no_step_of_a_path_is_left_alone():
    for found in (
        [finding("TL201", "one", path=["one", "two"]), finding("TL101", "four", related=["three"])],
        [finding("TL101", "one", related=["two"]), finding("TL110", "four", related=["two"])],
        [finding("TL201", "one", path=["one", "two"]), finding("TL201", "four", path=["four", "two"])],
        [finding("TL201", "one", path=["one", "two"]), finding("TL002", "two")],
    ):
        assert joined(*found) == tuple(found)


def test_the_gravest_speaks_for_its_statement():
    light = finding("TL201", "two", path=["two", "four"])
    grave = finding("TL301", "three", related=["two"], severity=Severity.ERROR)
    other = finding("TL101", "four")
    speaker, apart = joined(light, grave, other)
    assert (speaker.code, speaker.severity, speaker.fingerprint) == ("TL301", Severity.ERROR, "TL301three")
    assert speaker.notes == ("once", "TL201: `two` is wrong")
    assert speaker.chain == light.chain
    assert [fix.title for fix in speaker.fixes] == ["mend three", "mend two"]
    assert links(speaker) == [("TL101 speaks of this", Role.ACQUIRED, 4)]
    assert links(apart) == [("TL301 speaks of this", Role.ACQUIRED, 2)]


def test_links_are_few():
    words = ["one", "two", "five", "six", "seven"]
    keepers = [finding(f"TL20{number}", word, path=["four"]) for number, word in enumerate(words)]
    found = joined(*keepers, finding("TL101", "four"))
    assert [len(links(each)) for each in found] == [MAX_LINKS] * 6
    assert [row for _, _, row in links(found[2])] == [1, 2, 5]


def test_a_place_that_everybody_names_tells_nothing():
    crowd = [finding("TL201", "one", path=["four"]) for _ in range(60)]
    found = (*crowd, finding("TL101", "four"))
    assert joined(*found) == found


# --- over the fixtures -------------------------------------------------------------------------------------------


def test_links_change_nothing_else(monkeypatch):
    """With and without: the same findings with the same fingerprints; who is pointed to points back."""
    for case in cases():
        texts = {f"/project/{path.relative_to(case.parent)}": path.read_bytes() for path in files_of(case)}
        with_links = toollint.check(texts, EVERYTHING).diagnostics
        with monkeypatch.context() as patch:
            patch.setattr("toollint.engine.linked", lambda report: report)
            without = toollint.check(texts, EVERYTHING).diagnostics
        plain = {(each.code, each.region, each.fingerprint) for each in without}
        assert {(each.code, each.region, each.fingerprint) for each in with_links} <= plain
        to = {each.region: set() for each in with_links}
        for each in with_links:
            to[each.region].update(note.region for note in _links(each))
        for here, there in to.items():
            assert all(here in to[each] or len(to[each]) >= MAX_LINKS for each in there)


def test_json_has_links_as_related_places(tmp_path, capsys):
    path = tmp_path / "tools.py"
    path.write_text(ONE_FILE.format(silence=""))
    assert cli.main(["--isolated", "--output-format", "json", str(path)]) == 1
    tool, memo = json.loads(capsys.readouterr().out)
    assert tool["related"][-1] == {
        "message": "TL202 keeps it alive",
        "role": "kept-by",
        "filename": str(path),
        "location": memo["location"],
        "end_location": memo["end_location"],
    }
