"""Steps that put, replace and surround whole lines: what is indented, what stays to the byte, and what is refused."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fix import PATH, fixed, replace_step

from toollint import lexer
from toollint.fixes import CannotFix, edits_by_path, realise, select
from toollint.model import (
    AddImport,
    AddMethods,
    Diagnostic,
    Fix,
    InsertLines,
    Place,
    Repair,
    ReplaceLines,
    Safety,
    Severity,
    Span,
    Step,
    Surround,
)
from toollint.source import decode

TRY = ("try:",)
FINALLY = ("finally:", "    c.close()")


def place(text: str, first: str, last: str = "") -> Place:
    """From the first ``first`` to the end of the next ``last``."""
    utf8 = text.encode()
    start = utf8.index(first.encode())
    return Place(PATH, Span(start, utf8.index((last or first).encode(), start) + len((last or first).encode())))


def above(text: str, first: str, last: str = "", lines: tuple[str, ...] = ("new()",)) -> InsertLines:
    return InsertLines(place(text, first, last), lines, below=False)


def under(text: str, first: str, last: str = "", lines: tuple[str, ...] = ("new()",)) -> InsertLines:
    return InsertLines(place(text, first, last), lines, below=True)


def instead(text: str, first: str, last: str = "", lines: tuple[str, ...] = ("new()",)) -> ReplaceLines:
    return ReplaceLines(place(text, first, last), lines)


def around(text: str, first: str, last: str = "", after: tuple[str, ...] = FINALLY) -> Surround:
    return Surround(place(text, first, last), TRY, after)


# --- lines above and below ---------------------------------------------------------------------------------------


INSERTED = [
    pytest.param("a()\n", above, "a()", "new()\na()\n", id="above, first line"),
    pytest.param("a()", under, "a()", "a()\nnew()\n", id="below, no final newline"),
    pytest.param("if x:\n\ta()", above, "a()", "if x:\n\tnew()\n\ta()", id="above, tab, no final newline"),
    pytest.param("if x:\r\n  a()\r\n", under, "a()", "if x:\r\n  a()\r\n  new()\r\n", id="below, CRLF"),
    pytest.param("if x:\r  a()\rb()", under, "a()", "if x:\r  a()\r  new()\rb()", id="below, CR"),
    pytest.param("a()  # why\nb()\n", under, "a()", "a()  # why\nnew()\nb()\n", id="a comment stays with it"),
    pytest.param("a();  # why\nb()\n", under, "a()", "a();  # why\nnew()\nb()\n", id="semicolon"),
    pytest.param("# why\na()\n", above, "a()", "# why\nnew()\na()\n", id="comment above"),
    pytest.param("a() \\\n\nb()\n", under, "a()", "a() \\\n\nnew()\nb()\n", id="continued into nothing"),
    pytest.param("a(); b()\n", above, "a(); b()", "new()\na(); b()\n", id="all that is in a line"),
    pytest.param("if x: a()\n", under, "if x: a()", "if x: a()\nnew()\n", id="a block in one line"),
    pytest.param("é = 'é'\né = ('ü',\n1)\n", under, "é = ('ü',\n1)", "é = 'é'\né = ('ü',\n1)\nnew()\n", id="not ASCII"),
    pytest.param("\f\nb()\n\fc()\n", above, "b()", "\f\nnew()\nb()\n\fc()\n", id="form feeds in other lines"),
    pytest.param("\f\nb()\n\fc()\n", under, "b()", "\f\nb()\nnew()\n\fc()\n", id="a form feed in the next line"),
]


@pytest.mark.parametrize(("text", "step", "at", "expected"), INSERTED)
def test_lines_are_put_above_and_below(text: str, step, at: str, expected: str) -> None:
    assert fixed(text, step(text, at)) == expected


def test_comments_that_are_deeper_belong_to_what_is_above_them() -> None:
    text = "if x:\n    a()\n  # of it\n\n    # too\n# not\nb()\n"
    expected = "if x:\n    a()\n  # of it\n\n    # too\nnew()\n# not\nb()\n"
    assert fixed(text, under(text, "if x", "a()")) == expected


def test_decorators_belong_to_a_definition() -> None:
    text = "class C:\n  @a\n  # why\n  @b(\n1)\n\n  async def f(self):\n    pass\n\n  x = 1\n"
    before = "class C:\n  new()\n  @a\n  # why\n  @b(\n1)\n\n  async def f(self):\n    pass\n\n  x = 1\n"
    behind = "class C:\n  @a\n  # why\n  @b(\n1)\n\n  async def f(self):\n    pass\n  new()\n\n  x = 1\n"
    for start in ("@a", "@b", "async def"):
        assert fixed(text, above(text, start, "pass")) == before
        assert fixed(text, under(text, start, "pass")) == behind


def test_levels_are_the_indentation_of_the_file() -> None:
    lines = ("if new:", "    f(1,", "      2)", "", "    pass")
    expected = "  if new:\n    f(1,\n      2)\n\n    pass\n"
    assert fixed("if x:\n  a()\n", under("if x:\n  a()\n", "a()", lines=lines)) == f"if x:\n  a()\n{expected}"
    text = "a()\nif x:\n\tb()\n"
    tabs = "if new:\n\tf(1,\n\t  2)\n\n\tpass\n"
    assert fixed(text, above(text, "a()", lines=lines)) == tabs + text
    assert fixed("a()\n", above("a()\n", "a()", lines=lines)) == "if new:\n    f(1,\n      2)\n\n    pass\na()\n"


def test_no_lines_are_no_edits() -> None:
    assert fixed("a()", under("a()", "a()", lines=())) == "a()"


# --- lines instead of statements ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at", "lines", "expected"),
    [
        pytest.param("a()", ("a()",), ("b()",), "b()", id="one line"),
        pytest.param(
            "if x:\n\ta(1,\n2)\n\tb()\n", ("a(", "2)"), ("c()",), "if x:\n\tc()\n\tb()\n", id="several by one"
        ),
        pytest.param(
            "if x:\r\n  a()\r\n\r\n  b();\r\nc()\r\n",
            ("a()", "b()"),
            ("try:", "    c()", "finally:", "    d()"),
            "if x:\r\n  try:\r\n    c()\r\n  finally:\r\n    d()\r\nc()\r\n",
            id="two by more, with the blank line and the semicolon",
        ),
        pytest.param("@d\ndef f():\n  a()\nb()\n", ("def f", "a()"), ("c()",), "c()\nb()\n", id="decorated"),
        pytest.param("# why\na() \\\n\n# b\n", ("a()",), ("b()",), "# why\nb()\n# b\n", id="comments around"),
        pytest.param("a()\nb()\nc()\n", ("b()",), (), "a()\nc()\n", id="deleted"),
        pytest.param("a()  # why\r\nb()\r\nc()", ("b()",), (), "a()  # why\r\nc()", id="deleted below a comment"),
        pytest.param("if x:\n    a()\n    b()", ("b()",), (), "if x:\n    a()", id="deleted at the end"),
        pytest.param("a()\nb()\n", ("a()",), (), "b()\n", id="deleted at the start"),
        pytest.param("a()\n\nb()\nc()\n", ("b()",), (), "a()\n\nc()\n", id="deleted below a blank line"),
        pytest.param("a()\n\n \nb()\n\nc()\n", ("b()",), (), "a()\n\nc()\n", id="deleted between blank lines"),
        pytest.param("if x:\n    a()\n\n    b()\n", ("b()",), (), "if x:\n    a()\n", id="deleted with a blank line"),
    ],
)
def test_statements_are_replaced(text: str, at: tuple[str, ...], lines: tuple[str, ...], expected: str) -> None:
    assert fixed(text, instead(text, *at, lines=lines)) == expected


@pytest.mark.parametrize(
    ("text", "at"),
    [
        pytest.param("a()  # why\n", ("a()",), id="trailing"),
        pytest.param("a()\n# why\nb()\n", ("a()", "b()"), id="between"),
        pytest.param("a(  # why\n1)\n", ("a(", "1)"), id="within"),
        pytest.param("@d\n# why\ndef f(): a()\n", ("def f", "a()"), id="below a decorator"),
        pytest.param("if x:\n    a()\n\n    # why\nb()\n", ("if x", "a()"), id="at the end of the block"),
    ],
)
def test_no_comment_is_lost(text: str, at: tuple[str, ...]) -> None:
    with pytest.raises(CannotFix, match="a comment would be lost"):
        fixed(text, instead(text, *at))


@pytest.mark.parametrize("text", ["if x:\n    a()\n    b()\nc()\n", "c()\nif x:\n    a()\n    b()", "a()\nb()\n"])
def test_a_block_is_not_emptied(text: str) -> None:
    assert fixed(text, instead(text, "a()", lines=())).count("a()") == 0
    with pytest.raises(CannotFix, match="nothing would be left in the block"):
        fixed(text, instead(text, "a()", "b()", lines=()))


# --- statements surrounded ---------------------------------------------------------------------------------------


SURROUNDED = [
    pytest.param(
        "a()\nb()\nc()\n",
        ("a()", "b()"),
        "try:\n    a()\n    b()\nfinally:\n    c.close()\nc()\n",
        id="top level",
    ),
    pytest.param("a()", ("a()",), "try:\n    a()\nfinally:\n    c.close()\n", id="no final newline"),
    pytest.param(
        "def f():\r\n  a()\r\n\r\n  b()\r\n",
        ("a()", "b()"),
        "def f():\r\n  try:\r\n    a()\r\n\r\n    b()\r\n  finally:\r\n    c.close()\r\n",
        id="two spaces, blank line, CRLF",
    ),
    pytest.param(
        "def f():\r\ta()\r\t\r\tb()",
        ("a()", "b()"),
        "def f():\r\ttry:\r\t\ta()\r\t\r\t\tb()\r\tfinally:\r\t\tc.close()\r",
        id="tabs, line of white space, CR",
    ),
    pytest.param(
        """\
def f():
    # of a
    a()  # why
    # of b

# less
    b(  # first
        1,

  # less
1)  # last
    # of nothing
""",
        ("a()", "1)"),
        """\
def f():
    # of a
    try:
        a()  # why
        # of b

# less
        b(  # first
            1,

  # less
    1)  # last
    finally:
        c.close()
    # of nothing
""",
        id="comments",
    ),
    pytest.param(
        """\
def f():
    if x:
        a()
        # of a

      # of if
    # of nothing
    b()
""",
        ("if x", "a()"),
        """\
def f():
    try:
        if x:
            a()
            # of a

          # of if
    finally:
        c.close()
    # of nothing
    b()
""",
        id="comments at the end of a block",
    ),
    pytest.param(
        '''\
def f():
    a = """
    é
# no comment

    """ + "x\\
    y" + r\'\'\'
    \\\'\'\'\' + \\
        b"""
  """ + f"""
    { x
    } {{ {y:{
    z}}
    """ + c
    b()
''',
        ("a =", "b()"),
        '''\
def f():
    try:
        a = """
    é
# no comment

    """ + "x\\
    y" + r\'\'\'
    \\\'\'\'\' + \\
            b"""
  """ + f"""
    { x
    } {{ {y:{
    z}}
    """ + c
        b()
    finally:
        c.close()
''',
        id="strings",
    ),
    pytest.param(
        'if y:\n\tb()\na(\n"""\n""")\nif x:\n  b()\n',
        ("a(", "x:\n  b()"),
        'if y:\n\tb()\ntry:\n  a(\n  """\n""")\n  if x:\n    b()\nfinally:\n  c.close()\n',
        id="the nearest unit; a string starts a line",
    ),
    pytest.param(
        '''\
"""Words."""
def f(
):
    """
    More."""
    @d
    def g(): return f"""
    """
''',
        ("def f", 'f"""\n    """'),
        '''\
"""Words."""
try:
    def f(
    ):
        """
    More."""
        @d
        def g(): return f"""
    """
finally:
    c.close()
''',
        id="a function at top level",
    ),
    pytest.param(
        'def f():\n    @d\n    def g(): ...\n    """\n    words"""\n',
        ("def g", 'words"""'),
        'def f():\n    try:\n        @d\n        def g(): ...\n        """\n    words"""\n'
        "    finally:\n        c.close()\n",
        id="decorator, string as a statement",
    ),
    pytest.param(
        "if x:\n  a()\n  # b\nelse:\n  c()\ntry: d()\nexcept E: e()\n",
        ("if x", "e()"),
        "try:\n  if x:\n    a()\n    # b\n  else:\n    c()\n  try: d()\n  except E: e()\nfinally:\n  c.close()\n",
        id="clauses",
    ),
    pytest.param(
        "if x:\n\ta(\n    1)\n\t\f\n\tb \\\n= 1\n",
        ("a(", "= 1"),
        "if x:\n\ttry:\n\t\ta(\n\t    1)\n\t\f\n\t\tb \\\n\t= 1\n\tfinally:\n\t\tc.close()\n",
        id="spaces and form feeds where they mean nothing",
    ),
    pytest.param(
        "if x:\n    a()\n    \\\n  b()\n    c()\n",
        ("a()", "c()"),
        "if x:\n    try:\n        a()\n        \\\n      b()\n        c()\n    finally:\n        c.close()\n",
        id="continued indentation",
    ),
]


@pytest.mark.parametrize(("text", "at", "expected"), SURROUNDED)
def test_statements_are_surrounded(text: str, at: tuple[str, ...], expected: str) -> None:
    assert fixed(text, around(text, *at)) == expected
    ast.parse(expected)


@pytest.mark.parametrize(
    "newer",
    [
        "print(f'{x['\\\n']}')",
        'print(f"""{d["""\n"""]}\n""")',
        "def g[T: (int,\nstr) = int](): pass",
        'print(t"""\n""")',
        "type X[*T] = (\nint)",
    ],
)
def test_text_that_some_interpreters_refuse_is_surrounded(newer: str) -> None:
    text = f"try:\n    a()\nexcept A, B:\n    {newer}\n    b()\n"
    step = around(text, newer, "b()")
    result = decode(PATH, text.encode()).splice(realise(Repair("mend", Safety.SAFE, (step,)), sources(text)).edits)
    head = "try:\n    a()\nexcept A, B:\n    try:\n        "
    inner = newer.replace("\nstr", "\n    str").replace("\nint", "\n    int")
    assert result.decode() == f"{head}{inner}\n        b()\n    finally:\n        c.close()\n"


def sources(text: str):
    return {PATH: decode(PATH, text.encode())}


def test_strings_are_found_whole() -> None:
    text = b"""a = rb'\\'' f'{x!r:{"}"}>{1}}{b"}"}' '''\n''' # '\n"" 'open\nf"{'a' if b else f'{"c"}'}" u"d" """
    found = [text[slice(*span)].decode() for span in lexer.strings(text)]
    assert found == [
        "rb'\\''",
        'f\'{x!r:{"}"}>{1}}{b"}"}\'',
        "'''\n'''",
        '""',
        "'open",
        "f\"{'a' if b else f'{\"c\"}'}\"",
        'u"d"',
    ]


# --- what is refused ---------------------------------------------------------------------------------------------


REFUSED = [
    pytest.param("if x: a()\nb()\n", ("a()",), "the statement does not start its line", id="after a colon"),
    pytest.param("if x: \\\n  a()\n", ("a()",), "the statement does not start its line", id="continued line"),
    pytest.param("a(); b()\n", ("b()",), "the statement does not start its line", id="after a semicolon"),
    pytest.param("f(\na()\n)\nb()\n", ("a()",), "the statement does not start its line", id="in brackets"),
    pytest.param("'''\na()\n'''\nb()\n", ("a()",), "the statement does not start its line", id="in a string"),
    pytest.param("(a())\n", ("a()",), "the statement does not start its line", id="without its brackets"),
    pytest.param(
        "a(); b()\n", ("a()",), "other code stands in the last line of the statement", id="before a semicolon"
    ),
    pytest.param("a(\n)\n", ("a(",), "other code stands in the last line of the statement", id="an end too soon"),
    pytest.param("if x:\n    a()\n", ("if x:",), "the statement is not whole", id="only the header"),
    pytest.param(
        "if x:\n    if y:\n        a()\n        b()\n", ("if y", "a()"), "the statement is not whole", id="a part of it"
    ),
    pytest.param("if x:\n    a()\nelse:\n    b()\n", ("if x", "a()"), "the statement is not whole", id="a clause less"),
    pytest.param("try: a()\nfinally: b()\n", ("try", "a()"), "the statement is not whole", id="one-line clause less"),
    pytest.param("if x:\n    a()\nelse:\n    b()\n", ("else", "b()"), "the statement is not whole", id="a clause"),
    pytest.param("if x:\n    a()\nb()\n", ("a()", "b()"), "the statements are not in one block", id="two blocks"),
    pytest.param("if x:\n\f    a()\n", ("a()",), "a form feed stands in the indentation", id="form feed"),
    pytest.param("a()\n\fb()\n", ("a()", "b()"), "a form feed stands in the indentation", id="form feed at top level"),
]


@pytest.mark.parametrize(("text", "at", "why"), REFUSED)
@pytest.mark.parametrize("step", [above, under, instead, around])
def test_statements_that_do_not_have_their_lines_are_refused(text: str, at: tuple[str, ...], why: str, step) -> None:
    with pytest.raises(CannotFix, match=why):
        fixed(text, step(text, *at))


def test_mixed_indentation_is_not_made_deeper() -> None:
    text = "if x:\n    if y:\n    \ta()\n"
    assert fixed(text, under(text, "a()")) == text + "    \tnew()\n"
    with pytest.raises(CannotFix, match="tabs and spaces are mixed in the indentation"):
        fixed(text, around(text, "a()"))


def test_an_encoding_that_cannot_be_edited_is_refused() -> None:
    text = "# coding: utf-7\na()\n"
    with pytest.raises(CannotFix, match="utf-7"):
        fixed(text, around(text, "a()"))


# --- several steps in one repair ---------------------------------------------------------------------------------


TEXT = """\
import os
c = open()
for x in c:
    use(x,
        1)
    c.close()
done()
"""

TOGETHER = [
    pytest.param(
        [around(TEXT, "for x", "close()"), AddImport(PATH, "weakref")],
        "import os\nimport weakref\nc = open()\ntry:\n    for x in c:\n        use(x,\n            1)\n"
        "        c.close()\nfinally:\n    c.close()\ndone()\n",
        id="an import",
    ),
    pytest.param(
        [around(TEXT, "c = open()"), AddImport(PATH, "weakref")],
        "import os\nimport weakref\ntry:\n    c = open()\nfinally:\n    c.close()\n" + TEXT[21:],
        id="an import at the same point",
    ),
    pytest.param(
        [around(TEXT, "for x", "close()"), replace_step(TEXT, "use(x,\n        1)", "use(x)")],
        "import os\nc = open()\ntry:\n    for x in c:\n        use(x)\n        c.close()\n"
        "finally:\n    c.close()\ndone()\n",
        id="a replacement of several lines inside",
    ),
    pytest.param(
        [around(TEXT, "for x", "close()"), instead(TEXT, "c.close()", lines=())],
        "import os\nc = open()\ntry:\n    for x in c:\n        use(x,\n            1)\n"
        "finally:\n    c.close()\ndone()\n",
        id="the last line deleted",
    ),
    pytest.param(
        [around(TEXT, "use(", "close()"), instead(TEXT, "use(", "1)", lines=())],
        "import os\nc = open()\nfor x in c:\n    try:\n        c.close()\n    finally:\n        c.close()\ndone()\n",
        id="the first statement deleted",
    ),
    pytest.param(
        [around(TEXT, "c = open()", "done()"), instead(TEXT, "use(", "1)", lines=("if x:", "    use()", "pass"))],
        "import os\ntry:\n    c = open()\n    for x in c:\n        if x:\n            use()\n        pass\n"
        "        c.close()\n    done()\nfinally:\n    c.close()\n",
        id="lines instead of a statement inside",
    ),
    pytest.param(
        [around(TEXT, "for x", "close()"), above(TEXT, "for x", "close()"), under(TEXT, "c.close()")],
        "import os\nc = open()\ntry:\n    new()\n    for x in c:\n        use(x,\n            1)\n        c.close()\n"
        "        new()\nfinally:\n    c.close()\ndone()\n",
        id="lines at both ends inside",
    ),
    pytest.param(
        [around(TEXT, "for x", "close()"), under(TEXT, "c = open()"), above(TEXT, "done()", lines=("newer()",))],
        "import os\nc = open()\nnew()\ntry:\n    for x in c:\n        use(x,\n            1)\n        c.close()\n"
        "finally:\n    c.close()\nnewer()\ndone()\n",
        id="lines at both ends outside",
    ),
    pytest.param(
        [around(TEXT, "done()"), under(TEXT, "done()"), above(TEXT, "done()")],
        TEXT.replace("done()", "try:\n    new()\n    done()\n    new()\nfinally:\n    c.close()"),
        id="lines at both ends of all inside",
    ),
    pytest.param(
        [around(TEXT, "done()"), around(TEXT, "done()")],
        TEXT.replace("done()", "try:\n    done()\nfinally:\n    c.close()"),
        id="the same twice",
    ),
    pytest.param(
        [around(TEXT, "use(", "close()"), under(TEXT, "for x", "close()")],
        "import os\nc = open()\nfor x in c:\n    try:\n        use(x,\n            1)\n        c.close()\n"
        "    finally:\n        c.close()\nnew()\ndone()\n",
        id="lines below a statement whose end is surrounded",
    ),
    pytest.param(
        [around(TEXT, "c = open()"), around(TEXT, "for x", "close()")],
        "import os\ntry:\n    c = open()\nfinally:\n    c.close()\n"
        "try:\n    for x in c:\n        use(x,\n            1)\n        c.close()\nfinally:\n    c.close()\ndone()\n",
        id="neighbours surrounded",
    ),
    pytest.param(
        [
            instead(TEXT, "c = open()", lines=("with open() as c:",)),
            Surround(place(TEXT, "for x", "close()"), (), ()),
            instead(TEXT, "c.close()", lines=()),
        ],
        "import os\nwith open() as c:\n    for x in c:\n        use(x,\n            1)\ndone()\n",
        id="with instead of close",
    ),
]


@pytest.mark.parametrize(("steps", "expected"), TOGETHER)
def test_steps_of_one_repair_get_on_in_any_order(steps: list[Step], expected: str) -> None:
    assert fixed(TEXT, *steps) == fixed(TEXT, *steps[::-1]) == expected


@pytest.mark.parametrize("step", [above, under, instead, around])
def test_an_import_stands_above_lines_that_use_it(step) -> None:
    text = "a()\n\nimport weakref\n"
    use = step(text, "a()")
    assert fixed(text, use, AddImport(PATH, "weakref")) == "import weakref\n\n" + fixed(text, use)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("a()\n", "", "try:\n    b()\n    c()\nfinally:\n    c.close()\nd()\n", id="first line"),
        pytest.param("b()\n", "", "try:\n    a()\n    c()\nfinally:\n    c.close()\nd()\n", id="inner line"),
        pytest.param("c()\n", "", "try:\n    a()\n    b()\nfinally:\n    c.close()\nd()\n", id="last line"),
        pytest.param(
            "b()\n", "x()\n", "try:\n    a()\n    x()\n    c()\nfinally:\n    c.close()\nd()\n", id="by a line"
        ),
        pytest.param("b()\n", "x; ", "try:\n    a()\n    x; c()\nfinally:\n    c.close()\nd()\n", id="joined, next"),
        pytest.param("\nb()\n", "; ", "try:\n    a(); c()\nfinally:\n    c.close()\nd()\n", id="joined, last"),
        pytest.param("b()", "x", "try:\n    a()\n    x\n    c()\nfinally:\n    c.close()\nd()\n", id="in the line"),
    ],
)
def test_what_is_left_of_lines_is_indented_once(old: str, new: str, expected: str) -> None:
    text = "a()\nb()\nc()\nd()\n"
    assert fixed(text, around(text, "a()", "c()"), replace_step(text, old, new)) == expected


@pytest.mark.parametrize(
    "other",
    [
        around(TEXT, "done()"),
        around(TEXT, "use(", "1)"),
        above(TEXT, "for x", "done()"),
        instead(TEXT, "c = open()", "close()"),
        instead(TEXT, "for x", "done()"),
        replace_step(TEXT, "open()\nfor", "x\nfor"),
        replace_step(TEXT, "close()\ndone", "x"),
        AddMethods(place(TEXT, "for x", "close()"), ("x = 1",), ("x",)),
    ],
)
def test_steps_that_overlap_what_is_surrounded_are_refused(other: Step) -> None:
    step = around(TEXT, "c = open()", "done()") if isinstance(other, Surround) else around(TEXT, "for x", "close()")
    for steps in ((step, other), (other, step)):
        with pytest.raises(CannotFix, match="overlap"):
            fixed(TEXT, *steps)


def test_what_stands_below_its_head_is_indented_with_its_comments() -> None:
    text = "if x:\n    a()  # a\n\n    # b\n\n    b()\n    # c\n    c()\n"
    head = place(text, "a()")
    steps = (replace_step(text, "a()", "with a():"), Surround(place(text, "b()", "c()"), (), (), head))
    expected = "if x:\n    with a():  # a\n        # b\n\n        b()\n        # c\n        c()\n"
    assert fixed(text, *steps) == expected
    lines = Surround(place(text, "b()", "c()"), TRY, FINALLY, head)
    expected = (
        "if x:\n    a()  # a\n    try:\n        # b\n\n        b()\n        # c\n        c()\n"
        "    finally:\n        c.close()\n"
    )
    assert fixed(text, lines) == expected


def test_a_head_is_right_above_what_is_surrounded() -> None:
    text = "a()\nb()\nif x:\n    c()\n"
    with pytest.raises(CannotFix, match="right above"):
        fixed(text, Surround(place(text, "if x:", "c()"), (), (), place(text, "a()")))
    with pytest.raises(CannotFix, match="right above"):
        fixed(text, Surround(place(text, "c()"), (), (), place(text, "b()")))


def test_what_is_surrounded_is_not_emptied() -> None:
    with pytest.raises(CannotFix, match="nothing would be left"):
        fixed(TEXT, around(TEXT, "done()"), instead(TEXT, "done()", lines=()))


def test_a_method_is_added_below_what_is_surrounded_at_the_end_of_a_class() -> None:
    text = "class A:\n    def f(self):\n        a()\nb()\n"
    methods = AddMethods(place(text, "class A", "a()"), ("def g(self): ...",), ("g",))
    assert fixed(text, methods, around(text, "a()")) == (
        "class A:\n    def f(self):\n        try:\n            a()\n        finally:\n            c.close()\n\n"
        "    def g(self): ...\nb()\n"
    )


# --- fixes of several findings -----------------------------------------------------------------------------------


def both(text: str, *steps: Step) -> str | None:
    """The text with each step as a fix of its own, None if they are not applied together."""
    source = decode(PATH, text.encode())
    pairs = []
    for step in steps:
        fix = realise(Repair("mend", Safety.SAFE, (step,)), {PATH: source})
        region = source.region(step.place.span)
        pairs.append((Diagnostic("TL201", "name", Severity.ERROR, "message", region), fix))
    chosen: list[tuple[Diagnostic, Fix]] = select(pairs)
    together = source.splice(edits_by_path(fix for _, fix in chosen)[PATH]).decode()
    return together if len(chosen) == len(steps) else None


@pytest.mark.parametrize(
    "other",
    [
        above(TEXT, "use(", "1)"),
        under(TEXT, "use(", "1)"),
        instead(TEXT, "c.close()", lines=()),
        instead(TEXT, "c.close()", lines=("a()", "b()")),
        instead(TEXT, "use(", "1)"),
        around(TEXT, "use(", "1)"),
        around(TEXT, "for x", "close()", ("finally:", "    x.close()")),
        around(TEXT, "c = open()", "close()"),
        around(TEXT, "for x", "done()"),
    ],
)
def test_fixes_that_need_other_indentation_wait_for_the_next_round(other: Step) -> None:
    assert both(TEXT, around(TEXT, "for x", "close()"), other) is None


def test_fixes_that_do_not_need_it_are_applied_together() -> None:
    outer = around(TEXT, "for x", "close()")
    once = fixed(TEXT, outer)
    assert both(TEXT, outer, outer) == once
    assert both(TEXT, outer, instead(TEXT, "c.close()")) == once.replace("c.close()", "new()", 1)
    assert both(TEXT, outer, above(TEXT, "c = open()")) == once.replace("c = open()", "new()\nc = open()")
    assert both(TEXT, around(TEXT, "c = open()"), instead(TEXT, "done()", lines=("a()", "b()"))) == (
        fixed(TEXT, around(TEXT, "c = open()")).replace("done()", "a()\nb()")
    )


# --- any function ------------------------------------------------------------------------------------------------


STATEMENTS = [
    "a()",
    "é = 'é'  # ü",
    "{i}# comment",
    "# less",
    "",
    "{i}",
    'b = """\n  words\n{i}# {{}} words\n"""',
    "b = f'''{{\n x\n}} {{y:\n>3}}\n'''  # why",
    "b = 'x\\\n y' + r'\\\\' + b'''\n'''",
    "call(  # why\n1,\n\n{i}{u}'''\n''',\n)",
    "d = \\\n 1",
    "if x:\n{i}{u}a()\n{i}{u}# of a\n\n{i}elif y: b()\n{i}else:\n{i}{u}'''\n{u}'''\n{i}{u}{u}# deep",
    "@d\n{i}# of f\n{i}@e(\n1)\n{i}async def f(\n):\n{i}{u}'''\n  Words.'''\n{i}{u}return 1",
    "class C: x = '''\n'''; y = 1;",
    "try:\n{i}{u}\\\n  a()\n{i}finally: b()",
]


@st.composite
def files(draw) -> str:
    """A text with a block between ``a()`` and ``z()``, at top level or in a function."""
    unit = draw(st.sampled_from([" ", "  ", "    ", "\t"]))
    depth = draw(st.integers(0, 2))
    indent = unit * depth
    heads = [f"{unit * level}{'def f():' if level == depth - 1 else 'if x:'}\n" for level in range(depth)]
    body = draw(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=6))
    lines = [f"{indent}a()", *(each.format(i=indent, u=unit) for each in body), f"{indent}z()"]
    lines[1:-1] = [line if line.lstrip(" \t")[:1] in ("", "#") else indent + line for line in lines[1:-1]]
    tail = draw(st.sampled_from(["", "\n", "\n# end", f"\n{indent}# end\n", f"\n{indent}{unit}# deep", "\nlast()\n"]))
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    return ("".join(heads) + "\n".join(lines) + tail).replace("\n", newline)


def body_of(tree: ast.Module) -> list[ast.stmt]:
    """The block in which the statement ``z()`` stands."""
    blocks = [getattr(node, name, None) for node in ast.walk(tree) for name in ("body", "orelse", "finalbody")]
    return next(block for block in blocks if isinstance(block, list) and "z()" in map(ast.unparse, block))


@settings(max_examples=300, deadline=None)
@given(text=files(), data=st.data())
def test_what_is_surrounded_means_the_same(text: str, data) -> None:
    source = decode(PATH, text.encode())
    old = ast.parse(text)
    block = body_of(old)
    first = data.draw(st.integers(0, len(block) - 1))
    last = data.draw(st.integers(first, len(block) - 1))
    start = source.line_starts[block[first].lineno - 1] + block[first].col_offset
    end = source.line_starts[block[last].end_lineno - 1] + block[last].end_col_offset
    result = fixed(text, Surround(Place(PATH, Span(start, end)), TRY, ("finally:", "    pass")))
    statement = ast.parse("try:\n    pass\nfinally:\n    pass").body[0]
    statement.body = block[first : last + 1]
    block[first : last + 1] = [statement]
    assert ast.dump(ast.parse(result)) == ast.dump(old)
    comments = [
        [each.utf8[slice(*span)] for span in lexer.scan(each.utf8)[1]]
        for each in (source, decode(PATH, result.encode()))
    ]
    assert comments[0] == comments[1]


def test_libcst_is_not_imported() -> None:
    code = (
        "import sys; from toollint.fixes import realise; from toollint.model import *\n"
        "from toollint.source import decode\n"
        "step = Surround(Place('a', Span(0, 3)), ('try:',), ('finally:', '    pass'))\n"
        "assert realise(Repair('t', Safety.SAFE, (step,)), {'a': decode('a', b'a()\\nprint 1\\n')}).edits\n"
        "assert 'libcst' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
