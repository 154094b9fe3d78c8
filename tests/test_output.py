"""What is printed: frames, lines, JSON, diffs, sentences, pages; from reports made by hand."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toollint.model import (
    Default,
    Diagnostic,
    Edit,
    Fix,
    Link,
    Position,
    Region,
    Related,
    Report,
    Role,
    Rule,
    Safety,
    Severity,
    Span,
)
from toollint.output import concise, diff, full, pages, summary
from toollint.output import json as json_output
from toollint.output.terminal import Look, cells, split_lines, visible, wants_colour, width
from toollint.source import decode

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "diagnostic.schema.json").read_text())
PLAIN = Look(colour=False, base="/w")
COLOUR = Look(colour=True, base="/w")


def region(path: str, text: str, first: str, last: str = "") -> Region:
    """The place of ``first`` in ``text``, or from ``first`` to the end of ``last``."""
    start = text.index(first)
    end = text.index(last, start) + len(last) if last else start + len(first)
    span = Span(len(text[:start].encode()), len(text[:end].encode()))
    return decode(path, text.encode()).region(span)


def finding(place: Region, **more) -> Diagnostic:
    fields = {"code": "TL101", "name": "tool-owns-unreleased-resource", "severity": Severity.WARNING, "message": "m"}
    return Diagnostic(**{**fields, "region": place, **more})


def framed(text: str, first: str, last: str = "", *, label: str = "", related: tuple[Related, ...] = ()) -> str:
    """The code frame of one finding in ``text``, without its header."""
    found = finding(region("/w/a.py", text, first, last), label=label, related=related)
    return full.render(Report((found,), texts={"/w/a.py": text}), PLAIN).partition("\n")[2].rstrip("\n")


# --- full ------------------------------------------------------------------------------------------------------------

GRAPHS = """\
from app.meta import Meta

_META: dict[CompiledStateGraph, Meta] = {}


def build(user):
    graph = compiled(user)
    _META[graph] = Meta(user)
    return graph
"""
TOOLS = """\
class PgTool(BaseTool):
    def __init__(self, dsn):
        super().__init__()
        self._conn = psycopg.connect(dsn)
"""
GRAPH_FINDING = finding(
    region("/w/app/graphs.py", GRAPHS, "_META"),
    code="TL301",
    name="strong-reference-keyed-by-graph",
    message="module-level dict `_META` keeps every graph used as its key alive",
    label="lives as long as the process",
    related=(
        Related("a graph becomes a key here", Role.STORED, region("/w/app/graphs.py", GRAPHS, "_META[graph]")),
        Related("", Role.ACQUIRED, region("/w/app/tools.py", TOOLS, "psycopg.connect", "(dsn)")),
    ),
    chain=(
        Link("module `app.graphs`._META", region("/w/app/graphs.py", GRAPHS, "_META")),
        Link("key CompiledStateGraph", region("/w/app/graphs.py", GRAPHS, "graph")),
        Link("PgTool._conn", region("/w/app/tools.py", TOOLS, "self._conn")),
    ),
    notes=("each request adds one graph; nothing removes it",),
    help="use weakref.WeakKeyDictionary()",
    fixes=(
        Fix(
            "hold the graphs weakly",
            Safety.UNSAFE,
            (
                Edit(Region("/w/app/graphs.py", Span(0, 0), Position(1, 1), Position(1, 1)), "import weakref\n\n"),
                Edit(region("/w/app/graphs.py", GRAPHS, "dict["), "weakref.WeakKeyDictionary["),
                Edit(region("/w/app/graphs.py", GRAPHS, "{}"), "weakref.WeakKeyDictionary()"),
            ),
            why="entries vanish with the last other reference to their graph",
        ),
        Fix("keep it beside the graph", Safety.DISPLAY, recipe="class Session:\n    graph: Graph\n"),
    ),
    url="https://example.org/tl301",
    symbol="app.graphs._META",
    fingerprint="0" * 64,
)
GRAPH_REPORT = Report((GRAPH_FINDING,), files=2, texts={"/w/app/graphs.py": GRAPHS, "/w/app/tools.py": TOOLS})


def test_a_finding_in_full():
    assert full.render(GRAPH_REPORT, PLAIN) == (
        """\
warning[TL301]: module-level dict `_META` keeps every graph used as its key alive
 --> app/graphs.py:3:1
  |
3 | _META: dict[CompiledStateGraph, Meta] = {}
  | ^^^^^ lives as long as the process
...
8 |     _META[graph] = Meta(user)
  |     ------------ a graph becomes a key here
  |
 ::: app/tools.py:4:22
  |
4 |         self._conn = psycopg.connect(dsn)
  |                      -------------------- acquired here
  |
  = leak path: module `app.graphs`._META (app/graphs.py:3)
            -> key CompiledStateGraph (app/graphs.py:7)
            -> PgTool._conn (app/tools.py:4)
  = note: each request adds one graph; nothing removes it
  = help: use weakref.WeakKeyDictionary()
  = fix (unsafe, --fix --unsafe-fixes): hold the graphs weakly
    entries vanish with the last other reference to their graph
1 + import weakref
2 +
3 - _META: dict[CompiledStateGraph, Meta] = {}
5 + _META: weakref.WeakKeyDictionary[CompiledStateGraph, Meta] = weakref.WeakKeyDictionary()
  = recipe: keep it beside the graph
  | class Session:
  |     graph: Graph

"""
    )


BLOCK = """\
def f(s):
    s = open(s)
    for line in s:
        a(line)
        b(line)

        c(line)
{}    s.close()
"""
MANY = """\
 2 -     s = open(s)
 2 +     with open(s) as s:
 3 +         for line in s:
... 13 more lines, indented
17 -     s.close()
"""
FEW = "3 -     for line in s:\n4 -         a(line)\n5 -         b(line)\n"


@pytest.mark.parametrize(("more", "expected"), [("        d(line)\n" * 9, MANY), ("", FEW)], ids=["many", "few"])
def test_lines_that_are_only_indented_are_counted(more, expected):
    old = BLOCK.format(more)
    body = old[old.index("    for") : old.index("    s.close()")]
    moved = "".join("    " + line if line.strip() else line for line in body.splitlines(keepends=True))
    whole = region("/w/app/graphs.py", old, old[old.index("    s = ") :])
    fix = Fix("open it in `with`", Safety.UNSAFE, (Edit(whole, "    with open(s) as s:\n" + moved),))
    finding = replace(GRAPH_FINDING, region=region("/w/app/graphs.py", old, "def"), related=(), chain=(), fixes=(fix,))
    shown = full.render(Report((finding,), files=1, texts={"/w/app/graphs.py": old}), PLAIN)
    assert expected in shown
    assert ("more lines, indented" in shown) == (expected is MANY)


def test_colour_adds_nothing_but_colour():
    coloured = full.render(GRAPH_REPORT, COLOUR)
    assert "\x1b[1;33m^^^^^ lives as long as the process\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == full.render(GRAPH_REPORT, PLAIN)


@pytest.mark.parametrize(
    ("text", "first", "last", "expected"),
    [
        pytest.param("\tx = f()\n", "f", ")", "1 |     x = f()\n  |         ^^^", id="tab"),
        pytest.param("ab\tx = 1\n", "x", "", "1 | ab  x = 1\n  |     ^", id="tab stop"),
        pytest.param("s, x = '日本', f()\n", "f", ")", "1 | s, x = '日本', f()\n  |                ^^^", id="wide"),
        pytest.param("x = '🎉' + f()\n", "f", ")", "1 | x = '🎉' + f()\n  |            ^^^", id="emoji"),
        pytest.param("x = 'e\u0301' + f()\n", "f", ")", "1 | x = 'e\u0301' + f()\n  |           ^^^", id="combining"),
        pytest.param("日本 = 1\n", "日本", "", "1 | 日本 = 1\n  | ^^^^", id="wide mark"),
        pytest.param("a = 1\r\nb = 2\r\n", "b", "", "2 | b = 2\n  | ^", id="CRLF"),
        pytest.param("a = 1\rb = 2\r", "b", "", "2 | b = 2\n  | ^", id="CR"),
        pytest.param("'\x0b\x0c\x85\u2028'; b", "b", "", "1 | '␋␌\ufffd\ufffd'; b\n  |         ^", id="not newlines"),
        pytest.param("'\x1b[31m\u202e'; b\n", "b", "", "1 | '␛[31m\ufffd'; b\n  |           ^", id="hostile"),
        pytest.param("", "", "", "1 |\n  | ^", id="empty file"),
        pytest.param("f(\n  a,\n  b,\n) + 1\n", "f", ")", "1 | f(\n  | ^^\n...\n4 | ) + 1\n  | ^", id="rows"),
        pytest.param("f(\n    b)\n", "f", ")", "1 | f(\n  | ^^\n2 |     b)\n  |     ^^", id="two rows"),
        pytest.param("f(\n  a,\n  b)\n", "f", ")", "1 | f(\n  | ^^\n2 |   a,\n3 |   b)\n  |   ^^", id="three rows"),
        pytest.param("a\nb = 1\n", "a\n", "", "1 | a\n  | ^", id="with its newline"),
    ],
)
def test_the_mark_lies_under_the_code(text, first, last, expected):
    assert framed(text, first, last).partition("\n  |\n")[2] == expected


def test_a_label_follows_the_last_row_of_a_mark():
    assert framed("f(\n  a,\n)\n", "f", ")", label="here").endswith("1 | f(\n  | ^^\n2 |   a,\n3 | )\n  | ^ here")


def test_marks_of_one_row_are_stacked_the_primary_first():
    text = "pool = make(connect())\n"
    note = Related("acquired", Role.ACQUIRED, region("/w/a.py", text, "connect()"))
    assert framed(text, "pool", label="kept", related=(note,)).splitlines()[2:] == [
        "1 | pool = make(connect())",
        "  | ^^^^ kept",
        "  |             --------- acquired",
    ]


@pytest.mark.parametrize("before", [0, 80, 200, 5000])
@pytest.mark.parametrize("after", [0, 5000])
def test_a_long_line_is_cut_around_the_mark(before, after):
    line = "x" * before + " connect() " + "y" * after
    _, _, code, underline = framed(line + "\n", "connect()").splitlines()
    assert width(code) <= full.MAX_WIDTH + len("1 | ......")
    assert code[underline.index("^") : underline.rindex("^") + 1] == "connect()"


TEXTS = st.text(st.sampled_from("ab(.)日🎉\u0301\t\x1b \u200b\u00e9"), min_size=1, max_size=200)


@given(TEXTS, st.data())
@settings(max_examples=150, deadline=None)
def test_as_many_columns_stand_before_the_mark_as_before_the_code(line, data):
    start = data.draw(st.integers(0, len(line) - 1))
    end = data.draw(st.integers(start + 1, len(line)))
    place = Region("/w/a.py", Span(0, 0), Position(1, start + 1), Position(1, end + 1))
    printed = full.render(Report((finding(place),), texts={"/w/a.py": line}), PLAIN).splitlines()
    shown = cells(line)
    if width("".join(shown)) <= full.MAX_WIDTH:
        expected = " " * width("".join(shown[:start])) + "^" * max(1, width("".join(shown[start:end])))
        assert printed[3].rstrip() == f"1 | {''.join(shown)}".rstrip()
        assert printed[4] == f"  | {expected}"
    assert width(printed[4]) <= full.MAX_WIDTH + len("1 | ... ")


def test_without_its_text_a_finding_has_no_frame():
    found = finding(region("/w/a.py", "", ""), code="TL998", severity=Severity.ERROR, message="permission denied")
    assert full.render(Report((found,)), PLAIN) == "error[TL998]: permission denied\n --> a.py:1:1\n\n"


def test_a_long_leak_path_is_cut():
    text = "a\n"
    hops = tuple(Link(f"hop{number}", region("/w/a.py", text, "a")) for number in range(9))
    found = finding(region("/w/a.py", text, "a"), chain=hops)
    printed = full.render(Report((found,), texts={"/w/a.py": text}), PLAIN)
    assert "-> hop5 (a.py:1)\n            -> ... 3 more\n" in printed
    assert "hop6" not in printed


def test_a_fix_in_another_file_names_it():
    edit = Edit(region("/w/app/tools.py", TOOLS, "psycopg"), "pg")
    found = finding(region("/w/app/graphs.py", GRAPHS, "_META"), fixes=(Fix("t", Safety.SAFE, (edit,)),))
    printed = full.render(Report((found,), texts=GRAPH_REPORT.texts), PLAIN)
    assert printed.endswith("""\
  = fix (safe, --fix): t
 ::: app/tools.py
3 |         super().__init__()
4 -         self._conn = psycopg.connect(dsn)
4 +         self._conn = pg.connect(dsn)

""")


def test_the_gutter_is_as_wide_as_the_largest_row():
    text = "\n" * 99 + "x = 1\n"
    lines = framed(text, "x").splitlines()
    assert lines == ["   --> a.py:100:1", "    |", "100 | x = 1", "    | ^"]


# --- concise ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("safeties", "marker"),
    [
        ((), ""),
        ((Safety.DISPLAY,), ""),
        ((Safety.UNSAFE, Safety.SAFE), " [fix: safe]"),
        ((Safety.DISPLAY, Safety.UNSAFE), " [fix: unsafe]"),
    ],
)
def test_a_finding_on_one_line(safeties, marker):
    place = region("/w/a.py", "x = 1\n", "1")
    fixes = tuple(Fix("t", safety, (Edit(place, "2"),)) for safety in safeties)
    report = Report((finding(place, message="`x`\nkeeps 1", fixes=fixes),))
    assert concise.render(report, PLAIN) == f"a.py:1:5: TL101 warning `x`␊keeps 1{marker}\n"


def test_a_fix_without_edits_is_no_fix():
    assert concise.best_fix(finding(region("/w/a.py", "x", "x"), fixes=(Fix("t", Safety.SAFE),))) is None


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_json_fields():
    (found,) = json.loads(json_output.render(GRAPH_REPORT))
    place = {"filename": "/w/app/graphs.py", "location": {"row": 3, "column": 1}}
    assert found.pop("fixes")[1] == {
        "title": "keep it beside the graph",
        "applicability": "display",
        "edits": [],
        "why": None,
        "recipe": "class Session:\n    graph: Graph\n",
    }
    assert found.pop("related")[1] == {
        "message": "",
        "role": "acquired-here",
        "filename": "/w/app/tools.py",
        "location": {"row": 4, "column": 22},
        "end_location": {"row": 4, "column": 42},
    }
    assert found.pop("chain")[0] == {"label": "module `app.graphs`._META", **place}
    assert found == {
        "code": "TL301",
        "name": "strong-reference-keyed-by-graph",
        "severity": "warning",
        "message": "module-level dict `_META` keeps every graph used as its key alive",
        **place,
        "end_location": {"row": 3, "column": 6},
        "url": "https://example.org/tl301",
        "notes": ["each request adds one graph; nothing removes it"],
        "help": "use weakref.WeakKeyDictionary()",
        "fingerprint": "0" * 64,
    }


@pytest.mark.parametrize("report", [GRAPH_REPORT, Report(), Report((finding(region("/w/a.py", "", "")),))])
def test_json_follows_its_schema(report):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(json_output.render(report)), SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("severity",), "fatal"),
        (("location", "row"), 0),
        (("surprise",), 1),
        (("fixes", 0, "applicability"), "maybe"),
        (("related", 0, "role"), "nowhere"),
        (("fingerprint",), "short"),
        (("code",), "E501"),
    ],
)
def test_the_schema_refuses(path, value):
    document = json.loads(json_output.render(GRAPH_REPORT))
    target = document[0]
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_the_schema_knows_every_role_safety_and_severity():
    definitions = SCHEMA["$defs"]
    assert definitions["related"]["properties"]["role"]["enum"] == [role.value for role in Role]
    assert definitions["fix"]["properties"]["applicability"]["enum"] == [safety.value for safety in Safety]
    assert definitions["diagnostic"]["properties"]["severity"]["enum"] == [severity.value for severity in Severity]


@pytest.mark.parametrize(
    ("path", "expected"), [("/w/\udcff.py", "/w/\udcff.py"), ("a.py", str(Path("a.py").absolute()))]
)
def test_json_file_names_are_absolute_and_ascii(path, expected):
    printed = json_output.render(Report((finding(Region(path, Span(0, 0), Position(1, 1), Position(1, 1))),)))
    assert printed.isascii()
    assert json.loads(printed)[0]["filename"] == expected


# --- diffs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("a\nb\nc\n", "a\nB\nc\n", id="change"),
        pytest.param("a\n", "a\nb", id="loses the final newline"),
        pytest.param("a", "a\nb\n", id="gains a final newline"),
        pytest.param("a", "b", id="never had one"),
        pytest.param("a\r\nb\r\n", "a\r\nc\r\n", id="CRLF"),
        pytest.param("a\rb\r", "a\rc\r", id="CR"),
        pytest.param("a\x0cb\n\x0c\nc\u2028\x85d\n", "a\x0cb\n\x0c\nc\u2028\x85D\n", id="not newlines"),
        pytest.param("日本\n", "日本🎉\n", id="wide"),
        pytest.param("a\n" * 50, "b\n" + "a\n" * 30 + "c\n" * 2 + "a\n" * 18 + "d\n", id="hunks"),
    ],
)
def test_git_applies_a_unified_diff(tmp_path, old, new):
    file = tmp_path / "a.py"
    file.write_bytes(old.encode())
    patch = diff.unified("a.py", old, new).encode()
    subprocess.run(["git", "apply", "--whitespace=nowarn", "-"], cwd=tmp_path, input=patch, check=True)
    assert file.read_bytes() == new.encode()


def test_equal_texts_have_no_diff():
    assert diff.unified("a.py", "a\n", "a\n") == ""


def test_a_coloured_diff():
    plain = diff.unified("a.py", "a\x1b\nb\n", "a\x1b\nc\n")
    assert diff.coloured(plain, PLAIN) == plain
    coloured = diff.coloured(plain, COLOUR)
    assert "\x1b[1;31m-b\x1b[0m\n\x1b[32m+c\x1b[0m\n" in coloured
    assert "a␛" in coloured


EDITS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3), st.sampled_from(["", "x", "x\ny", "\n"])), max_size=4)


@given(st.text(st.sampled_from("ab\n"), max_size=30), EDITS)
@settings(max_examples=300, deadline=None)
def test_hunks_turn_the_old_lines_into_the_new(text, raw):
    source, new, edits, cursor = decode("a.py", text.encode()), "", [], 0
    for gap, length, content in raw:
        start, end = min(cursor + gap, len(text)), min(cursor + gap + length, len(text))
        edits.append(Edit(source.region(Span(start, end)), content))
        new += text[cursor:start] + content
        cursor = end
    new += text[cursor:]
    lines = split_lines(text)
    for hunk in reversed(diff.hunks(text, edits)):
        assert lines[hunk.row - 1 : hunk.row - 1 + len(hunk.before)] == hunk.before
        assert split_lines(new)[hunk.new_row - 1 : hunk.new_row - 1 + len(hunk.after)] == hunk.after
        lines[hunk.row - 1 : hunk.row - 1 + len(hunk.before)] = hunk.after
    assert lines == split_lines(new)


# --- the terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "environ", "tty", "expected"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "0"}, False, False),
        ("auto", {"FORCE_COLOR": ""}, False, False),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1", "TERM": "dumb"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colour_is_asked_for(choice, environ, tty, expected):
    assert wants_colour(choice, MappingProxyType(environ), tty=tty) is expected


@pytest.mark.parametrize(
    ("base", "path", "shown"),
    [
        ("/w", "/w/a.py", "a.py"),
        ("/w", "/world/a.py", "/world/a.py"),
        ("/", "/w/a.py", "w/a.py"),
        ("", "/w/a.py", "/w/a.py"),
        ("/w", "/w/\x1b]0;x\x07.py", "␛]0;x␇.py"),
    ],
)
def test_paths_below_the_base_are_short(base, path, shown):
    assert Look(base=base).path(path) == shown


def test_what_is_visible_is_safe():
    hostile = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x200F]))
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200f]", visible(hostile))
    assert len(visible(hostile)) == len(hostile)
    assert visible("plain é 日本") == "plain é 日本"


# --- the closing sentence --------------------------------------------------------------------------------------------


def offering(*safeties: Safety | None) -> Report:
    place = region("/w/a.py", "x\n", "x")
    return Report(
        tuple(finding(place, fixes=(Fix("t", safety, (Edit(place, "y"),)),) if safety else ()) for safety in safeties),
        files=1,
    )


@pytest.mark.parametrize(
    ("safeties", "unsafe", "fixing", "sentence"),
    [
        ((), False, False, "No problems found in 1 file."),
        ((None,), False, False, "Found 1 problem."),
        ((Safety.DISPLAY,), False, False, "Found 1 problem."),
        ((Safety.SAFE, Safety.SAFE, Safety.UNSAFE, None), False, False,
         "Found 4 problems (2 fixable with --fix, 1 more with --unsafe-fixes)."),
        ((Safety.SAFE, None), False, False, "Found 2 problems (1 fixable with --fix)."),
        ((Safety.UNSAFE, None), False, False, "Found 2 problems (1 fixable with --fix --unsafe-fixes)."),
        ((Safety.UNSAFE, Safety.SAFE), True, False, "Found 2 problems (2 fixable with --fix --unsafe-fixes)."),
        ((Safety.UNSAFE, None), False, True, "Found 2 problems (1 fixable with --unsafe-fixes)."),
        ((Safety.UNSAFE, None), True, True, "Found 2 problems."),
    ],
)  # fmt: skip
def test_the_closing_sentence(safeties, unsafe, fixing, sentence):
    assert summary.closing(offering(*safeties), unsafe=unsafe, fixing=fixing) == f"{sentence}\n"


FIXED = Report(
    files=3,
    fixed={"/w/b.py": {"TL301": 1}, "/w/a.py": {"TL101": 2}},
    changes={"/w/a.py": ("", "x"), "/w/b.py": ("", "x")},
)


def test_what_was_fixed_is_counted():
    assert summary.closing(FIXED, unsafe=False, fixing=True) == "Found 3 problems: 3 fixed, none left.\n"
    left = Report(offering(Safety.UNSAFE).diagnostics, fixed=FIXED.fixed)
    assert (
        summary.closing(left, unsafe=False, fixing=True)
        == "Found 4 problems: 3 fixed, 1 left (1 fixable with --unsafe-fixes).\n"
    )
    assert summary.would_fix(FIXED) == "Would fix 3 problems in 2 files.\n"
    assert summary.would_fix(Report()) == "Nothing to fix.\n"
    assert summary.fixes(FIXED, PLAIN) == "a.py:\n  2 x TL101\nb.py:\n  1 x TL301\n"


def test_findings_point_to_their_pages():
    place = region("/w/a.py", "x\n", "x")
    found = [finding(place, code=code, url=url) for code, url in [("TL102", "u"), ("TL999", ""), ("TL101", "u")]]
    assert summary.pointer(Report(tuple(found))) == "`toollint rule TL101` says more (also TL102).\n"
    assert summary.pointer(Report((found[0], found[0]))) == "`toollint rule TL102` says more.\n"
    assert summary.pointer(Report((found[1],))) == ""


def test_findings_point_to_their_probes():
    place = region("/w/a.py", "x\n", "x")
    found = [finding(place, code=code, url="u") for code in ("TL301", "TL101", "TL202", "TL301")]
    assert summary.pointer(Report(tuple(found))) == (
        "`toollint rule TL101` says more (also TL202, TL301).\n"
        "`toollint rule TL202 --probe` prints a script that counts what stays (also TL301).\n"
    )


def test_statistics_count_by_code():
    place = region("/w/a.py", "x\n", "x")
    many = offering(*[Safety.SAFE] * 3, *[None] * 8).diagnostics
    report = Report((finding(place, code="TL301", name="n"), *many), statistics={"joined states": 2})
    assert summary.counts(report) == [
        {"code": "TL101", "name": "tool-owns-unreleased-resource", "count": 11, "fixable_count": 3},
        {"code": "TL301", "name": "n", "count": 1, "fixable_count": 0},
    ]
    assert summary.statistics(report, PLAIN) == (
        "11  TL101  tool-owns-unreleased-resource  (3 fixable)\n 1  TL301  n\njoined states: 2\n"
    )


# --- the page of a rule ----------------------------------------------------------------------------------------------

PAGE = """\
A dict keeps graphs alive.

## Why

It grows.

## Bad

```python
# no heading
x = {}

y = "# 1"
```

- a list
"""
RULE = Rule(
    "TL301",
    "strong-reference-keyed-by-graph",
    str,
    Severity.WARNING,
    Default.ON,
    Safety.UNSAFE,
    lambda: iter(()),
    PAGE,
    "tl301_strong_reference_keyed_by_graph",
)


def test_the_page_of_a_rule():
    assert (
        pages.page(RULE, PLAIN)
        == f"""\
TL301 strong-reference-keyed-by-graph
warning, on by default, fix: unsafe

A dict keeps graphs alive.

Why

It grows.

Bad

    # no heading
    x = {{}}

    y = "# 1"

- a list

Probe
A script for your own program: it counts the live objects before and after twenty calls, and who keeps them.

    toollint rule TL301 --probe > probe.py

{RULE.url}
"""
    )
    assert "\x1b[1mWhy\x1b[0m" in pages.page(RULE, COLOUR)


def test_the_page_of_a_rule_as_data():
    page = pages.data(RULE)
    assert page.pop("page").startswith("A dict keeps graphs alive.\n\n## Why")
    assert page == {
        "code": "TL301",
        "name": "strong-reference-keyed-by-graph",
        "severity": "warning",
        "default": "on",
        "fix": "unsafe",
        "summary": "A dict keeps graphs alive.",
        "url": RULE.url,
    }
