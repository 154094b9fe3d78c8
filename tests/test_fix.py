"""The fix engine: steps become edits that change nothing else, and are refused where the text does not allow them."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toollint.fixes import CannotFix, edits_by_path, realise, same_outside, select
from toollint.fixes.outline import outline_by_ast, outline_by_libcst
from toollint.model import (
    AddImport,
    AddMethods,
    Diagnostic,
    Edit,
    Fix,
    Place,
    Region,
    Repair,
    Replace,
    Safety,
    Severity,
    Span,
    Step,
)
from toollint.source import Source, decode

PATH = "agent.py"
CLOSE = ("def close(self) -> None:", "    if self.conn:", "        self.conn.close()")


def fixed(text: str | bytes, *steps: Step) -> str:
    """Apply steps to a text and hold the invariants of every fix."""
    before = decode(PATH, text.encode() if isinstance(text, str) else text)
    fix = realise(Repair("mend", Safety.SAFE, steps), {PATH: before})
    after = decode(PATH, before.splice(fix.edits))
    assert same_outside(before, after, fix.edits)
    return after.text


def class_step(text: str, start: str = "class A", end: str = "", lines: tuple[str, ...] = CLOSE) -> AddMethods:
    """The step for the class at ``start``, whose last statement ends with ``end`` (or is the last thing but blanks)."""
    utf8 = text.encode()
    first = utf8.index(start.encode())
    last = utf8.index(end.encode(), first) + len(end.encode()) if end else len(utf8.rstrip())
    return AddMethods(Place(PATH, Span(first, last)), lines, ("close",))


def replace_step(text: str, old: str, new: str) -> Replace:
    start = text.encode().index(old.encode())
    return Replace(Place(PATH, Span(start, start + len(old.encode()))), new)


METHODS = [
    pytest.param(
        "class A(B):\n    x = 1\n",
        "",
        """\
class A(B):
    x = 1

    def close(self) -> None:
        if self.conn:
            self.conn.close()
""",
        id="after an assignment",
    ),
    pytest.param(
        'class A(B):\n    """Only words."""\n\n\ny = 1\n',
        '"""Only words."""',
        '''\
class A(B):
    """Only words."""

    def close(self) -> None:
        if self.conn:
            self.conn.close()


y = 1
''',
        id="body of only a docstring",
    ),
    pytest.param(
        """\
@dataclass
class A(B):
    @property
    def f(self):
        if self:
            return 1
            # of the return
        # of the method

    # of the class

# of the module
y = 1
""",
        "return 1",
        """\
@dataclass
class A(B):
    @property
    def f(self):
        if self:
            return 1
            # of the return
        # of the method

    # of the class

    def close(self) -> None:
        if self.conn:
            self.conn.close()

# of the module
y = 1
""",
        id="comments by indentation",
    ),
    pytest.param(
        "class A(B):\n  x = 1  # why\n# no\n  # yes",
        "x = 1",
        """\
class A(B):
  x = 1  # why

  def close(self) -> None:
    if self.conn:
      self.conn.close()
# no
  # yes""",
        id="two spaces; a comment of less indentation ends the class",
    ),
    pytest.param(
        "class A(B):\n    x = 1  # why\n\n    # yes",
        "x = 1",
        """\
class A(B):
    x = 1  # why

    # yes

    def close(self) -> None:
        if self.conn:
            self.conn.close()
""",
        id="ends in a comment without newline",
    ),
    pytest.param(
        "class A(B):\n\tx = 1",
        "",
        "class A(B):\n\tx = 1\n\n\tdef close(self) -> None:\n\t\tif self.conn:\n\t\t\tself.conn.close()\n",
        id="tabs, no final newline",
    ),
    pytest.param(
        "class A(B):\r\n    x = 1\r\n\r\ny = 2\r\n",
        "x = 1",
        "class A(B):\r\n    x = 1\r\n\r\n    def close(self) -> None:\r\n        if self.conn:\r\n"
        "            self.conn.close()\r\n\r\ny = 2\r\n",
        id="CRLF",
    ),
    pytest.param(
        "class A(B):\r    x = 1\r",
        "",
        "class A(B):\r    x = 1\r\r    def close(self) -> None:\r        if self.conn:\r"
        "            self.conn.close()\r",
        id="CR only",
    ),
    pytest.param(
        """\
if x:
    def make():
        class A(B):  # here: why

            # first
            x = 1;  # last

        return A
""",
        "x = 1",
        """\
if x:
    def make():
        class A(B):  # here: why

            # first
            x = 1;  # last

            def close(self) -> None:
                if self.conn:
                    self.conn.close()

        return A
""",
        id="in a function, semicolon",
    ),
    pytest.param(
        """\
class Outer:
    class A(B):
        x = 1
        # of A
    # of Outer
    y = 2
""",
        "x = 1",
        """\
class Outer:
    class A(B):
        x = 1
        # of A

        def close(self) -> None:
            if self.conn:
                self.conn.close()
    # of Outer
    y = 2
""",
        id="nested class",
    ),
    pytest.param(
        "class A(B): pass\ny = 1\n",
        "pass",
        """\
class A(B):
    pass

    def close(self) -> None:
        if self.conn:
            self.conn.close()
y = 1
""",
        id="one line",
    ),
    pytest.param(
        "class A:x = 1; y = 2; # why",
        "y = 2",
        """\
class A:
    x = 1; y = 2; # why

    def close(self) -> None:
        if self.conn:
            self.conn.close()
""",
        id="one line, two statements",
    ),
    pytest.param(
        'if x:\n\tclass A(B): """é: 1"""\n\tz = 1\n',
        '"""é: 1"""',
        'if x:\n\tclass A(B):\n\t\t"""é: 1"""\n\n\t\tdef close(self) -> None:\n\t\t\tif self.conn:\n'
        "\t\t\t\tself.conn.close()\n\tz = 1\n",
        id="one line in an if, tabs, not ASCII",
    ),
    pytest.param(
        "class A(B): \\\n  ...\n",
        "...",
        """\
class A(B):
    ...

    def close(self) -> None:
        if self.conn:
            self.conn.close()
""",
        id="one line with a continuation",
    ),
    pytest.param(
        """\
class A(  # not the end: no
    B["x: y"],  # nor here ):
    key=lambda self: {1: "):"},
    other=f"{1:>{2}}",
    more='''
): pass
''',
):
    def f(self, x: int = 1):
        return '''
# text
        '''
""",
        "",
        """\
class A(  # not the end: no
    B["x: y"],  # nor here ):
    key=lambda self: {1: "):"},
    other=f"{1:>{2}}",
    more='''
): pass
''',
):
    def f(self, x: int = 1):
        return '''
# text
        '''

    def close(self) -> None:
        if self.conn:
            self.conn.close()
""",
        id="colons in the header",
    ),
    pytest.param(
        "class A[T: int]:\n    x: T\n",
        "",
        """\
class A[T: int]:
    x: T

    def close(self) -> None:
        if self.conn:
            self.conn.close()
""",
        id="newer than some interpreters",
    ),
    pytest.param(
        "class A:\n    x = 1 \\\n\n    # yes\n",
        "x = 1",
        """\
class A:
    x = 1 \\

    # yes

    def close(self) -> None:
        if self.conn:
            self.conn.close()
""",
        id="last line continued into nothing",
    ),
]


@pytest.mark.parametrize(("text", "end", "expected"), METHODS)
def test_methods_are_appended(text: str, end: str, expected: str) -> None:
    assert fixed(text, class_step(text, end=end)) == expected


def test_lines_of_methods_keep_blank_lines_and_odd_indentation() -> None:
    text = "class A:\n\tx = 1\n"
    lines = ("def f(self):", "    return (1,", "      2)", "", "async def g(self): ...")
    assert fixed(text, class_step(text, lines=lines)) == (
        "class A:\n\tx = 1\n\n\tdef f(self):\n\t\treturn (1,\n\t\t  2)\n\n\tasync def g(self): ...\n"
    )


def test_byte_order_mark_and_encoding_are_kept() -> None:
    text = "# coding: latin-1\nclass A:\n    x = 'é'\n"
    source = decode(PATH, text.encode("latin-1"))
    fix = realise(Repair("mend", Safety.SAFE, (class_step(text),)), {PATH: source})
    assert source.splice(fix.edits).startswith(text.encode("latin-1") + b"\n    def close")
    assert fixed(b"\xef\xbb\xbfclass A: pass\n", class_step("class A: pass\n")).startswith("class A:\n    pass\n")


IMPORTS = [
    pytest.param("", "import weakref\n", id="empty"),
    pytest.param("x = 1\n", "import weakref\n\nx = 1\n", id="only code"),
    pytest.param("\nx = 1\n", "import weakref\n\nx = 1\n", id="blank line first"),
    pytest.param("import os\nx = 1\n", "import os\nimport weakref\nx = 1\n", id="after an import"),
    pytest.param("import os  # why", "import os  # why\nimport weakref\n", id="no final newline"),
    pytest.param("import os\r\n\r\nx = 1", "import os\r\nimport weakref\r\n\r\nx = 1", id="CRLF"),
    pytest.param(
        "import os; import sys\nx = 1\n", "import os; import sys\nimport weakref\nx = 1\n", id="two imports in a line"
    ),
    pytest.param("import os; x = 1\n", "import weakref\n\nimport os; x = 1\n", id="an import shares its line"),
    pytest.param(
        "from a import (\n    b,\n    # c\n)\n\n# why\nimport os\nx = 1\nimport late\n",
        "from a import (\n    b,\n    # c\n)\n\n# why\nimport os\nimport weakref\nx = 1\nimport late\n",
        id="first block of imports",
    ),
    pytest.param(
        '"""Words."""\n\n__all__ = ()\n\nimport os\n\nx = 1\n',
        '"""Words."""\n\n__all__ = ()\n\nimport os\nimport weakref\n\nx = 1\n',
        id="imports after other code",
    ),
    pytest.param('"""Words."""\n', '"""Words."""\n\nimport weakref\n', id="after the docstring"),
    pytest.param('"""Words."""', '"""Words."""\n\nimport weakref\n', id="docstring without newline"),
    pytest.param('"""Words."""\nx = 1\n', '"""Words."""\n\nimport weakref\n\nx = 1\n', id="docstring, code at once"),
    pytest.param(
        '"""Words."""\nfrom __future__ import annotations\n\nx = 1\n',
        '"""Words."""\nfrom __future__ import annotations\n\nimport weakref\n\nx = 1\n',
        id="after the future",
    ),
    pytest.param(
        "from __future__ import annotations\n\nimport os\n\nx = 1\n",
        "from __future__ import annotations\n\nimport os\nimport weakref\n\nx = 1\n",
        id="future and imports",
    ),
    pytest.param(
        "#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\n# of x\nx = 1\n",
        "#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\n\nimport weakref\n\n# of x\nx = 1\n",
        id="what has to stay in the first two lines",
    ),
    pytest.param(
        "#!/usr/bin/env python3\n\n# Licence:\n# MIT\n\n# of x\nx = 1\n",
        "#!/usr/bin/env python3\n\n# Licence:\n# MIT\n\nimport weakref\n\n# of x\nx = 1\n",
        id="licence",
    ),
    pytest.param("#!/bin/python\nx = 1\n", "#!/bin/python\n\nimport weakref\n\nx = 1\n", id="shebang, code at once"),
    pytest.param("# of x\nx = 1\n", "import weakref\n\n# of x\nx = 1\n", id="a comment stays with its code"),
    pytest.param("x = 1\nimport weakref\n", None, id="imported"),
    pytest.param("import os, weakref\n", None, id="imported with another"),
    pytest.param("import weakref as weakref\n", None, id="imported by its own name"),
    pytest.param(
        "import weakref as w\nx = w\n", "import weakref as w\nimport weakref\nx = w\n", id="imported by another name"
    ),
    pytest.param(
        "def f():\n    import weakref\n",
        "import weakref\n\ndef f():\n    import weakref\n",
        id="imported in a function",
    ),
    pytest.param(
        "if TYPE_CHECKING:\n    import weakref\n",
        "import weakref\n\nif TYPE_CHECKING:\n    import weakref\n",
        id="imported for types only",
    ),
    pytest.param(
        '"""\nimport weakref\n"""\n', '"""\nimport weakref\n"""\n\nimport weakref\n', id="imported in a string"
    ),
    pytest.param("x.weakref = f(weakref=1)\n", "import weakref\n\nx.weakref = f(weakref=1)\n", id="no binding"),
]


@pytest.mark.parametrize(("text", "expected"), IMPORTS)
def test_imports_are_added_once(text: str, expected: str | None) -> None:
    step = AddImport(PATH, "weakref")
    once = fixed(text, step)
    assert once == (text if expected is None else expected)
    assert fixed(once, step) == once


@pytest.mark.parametrize(
    ("text", "step", "expected"),
    [
        ("import os\n", AddImport(PATH, "typing", "Any"), "import os\nfrom typing import Any\n"),
        ("from typing import Any, Text\n", AddImport(PATH, "typing", "Any"), None),
        ("import typing\n", AddImport(PATH, "typing", "Any"), "import typing\nfrom typing import Any\n"),
        ("from typing import Text\n", AddImport(PATH, "typing", "Any"), "from typing import Any, Text\n"),
        (
            "from typing import Any, cast  # x",
            AddImport(PATH, "typing", "Text"),
            "from typing import Any, Text, cast  # x",
        ),
        (
            "from typing import Any\n\nimport weird\n",
            AddImport(PATH, "typing", "cast"),
            "from typing import Any, cast\n\nimport weird\n",
        ),
        (
            "from typing import (\n    Any,\n)\n",
            AddImport(PATH, "typing", "Text"),
            "from typing import (\n    Any,\n)\nfrom typing import Text\n",
        ),
        (
            "import os\nfrom abc import ABC\nfrom typing import Any\n\nimport weird\n",
            AddImport(PATH, "contextlib", "closing"),
            "import os\nfrom abc import ABC\nfrom contextlib import closing\nfrom typing import Any\n\nimport weird\n",
        ),
        (
            "from typing import Any\n\nimport weird\n",
            AddImport(PATH, "contextlib", "closing"),
            "from contextlib import closing\nfrom typing import Any\n\nimport weird\n",
        ),
        (
            "from __future__ import annotations\n\nimport weird\n\nx = 1\n",
            AddImport(PATH, "contextlib", "closing"),
            "from __future__ import annotations\n\nfrom contextlib import closing\n\nimport weird\n\nx = 1\n",
        ),
        (
            "# of it\nimport weird\nx = 1\n",
            AddImport(PATH, "contextlib", "closing"),
            "# of it\nimport weird\nfrom contextlib import closing\nx = 1\n",
        ),
        (
            "import weird\n",
            AddImport(PATH, "strange", "one"),
            "import weird\nfrom strange import one\n",
        ),
        (
            "import concurrent\n",
            AddImport(PATH, "concurrent.futures"),
            "import concurrent\nimport concurrent.futures\n",
        ),
        ("import concurrent.futures\n", AddImport(PATH, "concurrent.futures"), None),
        (
            "import concurrent.futures\n",
            AddImport(PATH, "concurrent"),
            "import concurrent.futures\nimport concurrent\n",
        ),
    ],
)
def test_names_and_submodules_are_imported(text: str, step: AddImport, expected: str | None) -> None:
    assert fixed(text, step) == (text if expected is None else expected)


def test_an_import_stands_above_what_uses_it() -> None:
    text = '"""Words."""\n\ncache = {}\n\nimport weakref\n'
    use = replace_step(text, "{}", "weakref.WeakKeyDictionary()")
    assert fixed(text, use, AddImport(PATH, "weakref")) == (
        '"""Words."""\n\nimport weakref\n\ncache = weakref.WeakKeyDictionary()\n\nimport weakref\n'
    )


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the interpreter takes this itself")
def test_text_newer_than_the_interpreter_is_edited_by_libcst() -> None:
    newer = '# é\nimport os\n\ntry:\n    x = 1\nexcept A, B:\n    y = 1\n\nclass C: z = "é"\n'
    text = newer + "cache = {}\n"
    assert fixed(text, AddImport(PATH, "weakref"), class_step(text, "class C", 'z = "é"', ("def f(self): ...",))) == (
        "# é\nimport os\nimport weakref\n\ntry:\n    x = 1\nexcept A, B:\n    y = 1\n\n"
        'class C:\n    z = "é"\n\n    def f(self): ...\ncache = {}\n'
    )
    with pytest.raises(CannotFix, match="`weakref`"):
        fixed(newer.replace("y = 1", "weakref = 1"), AddImport(PATH, "weakref"))


@pytest.mark.parametrize(
    "binding",
    [
        "weakref = None\n",
        "import fake as weakref\n",
        "from . import weakref\n",
        "def weakref(): ...\n",
        "class weakref: ...\n",
        "def f(weakref): ...\n",
        "for weakref in (): ...\n",
        "try: ...\nexcept E as weakref: ...\n",
        "match x:\n    case [weakref]: ...\n",
        "match x:\n    case [*weakref]: ...\n",
        "match x:\n    case {**weakref}: ...\n",
        "try:\n    import weakref\nexcept ImportError:\n    weakref = None\n",
    ],
)
def test_a_name_with_another_meaning_is_refused(binding: str) -> None:
    with pytest.raises(CannotFix, match="`weakref`"):
        fixed(binding, AddImport(PATH, "weakref"))


@pytest.mark.parametrize(
    ("text", "step"),
    [
        pytest.param("class A(: pass\n", class_step("class A(: pass\n"), id="header is no Python"),
        pytest.param("class A: x = 1; y = 2\n", class_step("class A: x = 1; y = 2\n", end="x = 1"), id="end inside"),
        pytest.param("\\\nclass A: pass\n", class_step("\\\nclass A: pass\n"), id="continued line"),
        pytest.param("\fclass A: pass\n", class_step("\fclass A: pass\n"), id="form feed before the class"),
        pytest.param("class A:\n\f    x = 1\n", class_step("class A:\n\f    x = 1\n"), id="form feed before the body"),
        pytest.param('"""Words."""; x = 1\n', AddImport(PATH, "weakref"), id="docstring shares its line"),
        pytest.param("x = = 1\n", AddImport(PATH, "weakref"), id="no Python"),
        pytest.param("# coding: utf-7\nx = 1\n", AddImport(PATH, "weakref"), id="stateful encoding"),
    ],
)
def test_what_the_text_does_not_allow_is_refused(text: str, step: Step) -> None:
    with pytest.raises(CannotFix):
        fixed(text, step)


def test_steps_that_overlap_are_refused() -> None:
    text = "cache = {}\n"
    with pytest.raises(CannotFix, match="overlap"):
        fixed(text, replace_step(text, "cache = {}", "x"), replace_step(text, "{}", "y"))


def test_replacements_get_the_newlines_of_the_file() -> None:
    text = "x = 'é'\r\ny = {}\r\n"
    assert fixed(text, replace_step(text, "{}", "[\n    1,\n]")) == "x = 'é'\r\ny = [\r\n    1,\r\n]\r\n"


def test_steps_of_one_repair_are_edits_in_order_each_once() -> None:
    text = "import os\n\nd: dict[A, int] = {}\n"
    steps = (
        replace_step(text, "{}", "weakref.WeakKeyDictionary()"),
        AddImport(PATH, "weakref"),
        AddImport(PATH, "typing", "Any"),
        AddImport(PATH, "weakref"),
        replace_step(text, "dict", "weakref.WeakKeyDictionary"),
    )
    assert fixed(text, *steps) == (
        "import os\nimport weakref\nfrom typing import Any\n\n"
        "d: weakref.WeakKeyDictionary[A, int] = weakref.WeakKeyDictionary()\n"
    )


def test_a_recipe_has_no_edits() -> None:
    repair = Repair("by hand", Safety.DISPLAY, why="who closes it?", recipe="with x: ...")
    assert realise(repair, {}) == Fix("by hand", Safety.DISPLAY, (), "who closes it?", "with x: ...")


def finding(source: Source, *edits: tuple[int, int, str]) -> tuple[Diagnostic, Fix]:
    regions = [Edit(source.region(Span(start, end)), text) for start, end, text in edits]
    place = regions[-1].region if regions else source.region(Span(0, 0))
    return Diagnostic("TL101", "name", Severity.ERROR, "message", place), Fix("mend", Safety.SAFE, tuple(regions))


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        pytest.param([(0, 2, "x")], [(2, 4, "y")], True, id="side by side"),
        pytest.param([(0, 3, "x")], [(2, 4, "y")], False, id="overlap"),
        pytest.param([(1, 4, "x")], [(2, 2, "y")], False, id="insertion within"),
        pytest.param([(2, 2, "x")], [(2, 2, "y")], False, id="insertions at one point"),
        pytest.param([(0, 0, "i"), (2, 3, "x")], [(0, 0, "i"), (5, 6, "y")], True, id="shared import"),
        pytest.param([(0, 0, "i"), (2, 3, "x")], [(0, 0, "j"), (5, 6, "y")], False, id="whole fixes only"),
    ],
)
def test_fixes_that_get_on_are_selected_in_order_of_place(first, second, both: bool) -> None:
    source = decode(PATH, b"0123456789")
    one, other = finding(source, *first), finding(source, *second)
    expected = [one, other] if both else [one]
    assert select([other, one]) == select([one, other]) == expected


def test_shared_edits_are_applied_once() -> None:
    source = decode(PATH, b"0123456789")
    chosen = select([finding(source, (0, 0, "i"), (5, 6, "y")), finding(source, (0, 0, "i"), (2, 3, "x"))])
    assert source.splice(edits_by_path(fix for _, fix in chosen)[PATH]) == b"i01x34y6789"


def test_fixes_of_different_files_never_conflict_and_recipes_are_left_out() -> None:
    here, there = decode(PATH, b"0123"), decode("other.py", b"0123")
    chosen = select([finding(there, (0, 2, "x")), finding(here, (0, 2, "y")), finding(here)])
    assert list(edits_by_path(fix for _, fix in chosen)) == [PATH, "other.py"]


@pytest.mark.parametrize(
    ("before", "edit", "after", "same"),
    [
        pytest.param("a = 1\nb = 2\n", (4, 5, "3"), "a = 3\nb = 2\n", True, id="as said"),
        pytest.param("a = 1\nb = 2\n", (4, 5, "3"), "a = 3\nb = 4\n", False, id="other bytes"),
        pytest.param("a = 1\nb = 2\n", (4, 5, "3"), "a = 3\nb = 2\n\n", False, id="more bytes"),
        pytest.param("a = 1\nb = 2\n", (4, 5, "("), "a = (\nb = 2\n", False, id="no Python"),
        pytest.param("a = 1\n\nb = 2\n'''\n'''\n", (4, 5, "'''"), "a = '''\n\nb = 2\n'''\n'''\n", False, id="unclosed"),
        pytest.param("a = 1\n\nb = 2\n\n''''''\n", (4, 5, "'''"), "a = '''\n\nb = 2\n\n''''''\n", False, id="swallows"),
        pytest.param("a = 1\n\nb\n)\n", (4, 5, "("), "a = (\n\nb\n)\n", False, id="baseline is no Python"),
        pytest.param("é = 1\nb = 2\n", (5, 6, "'é'"), "é = 'é'\nb = 2\n", True, id="not ASCII"),
    ],
)
def test_same_outside(before: str, edit: tuple[int, int, str], after: str, same: bool) -> None:
    old, new = decode(PATH, before.encode()), decode(PATH, after.encode())
    start, end, text = edit
    assert same_outside(old, new, [Edit(Region(PATH, Span(start, end), *[old.position(start)] * 2), text)]) is same


BODIES = [
    "x = 1",
    "'''words'''",
    "def f(self):\n{i}{u}return 1",
    "class N: pass",
    "pass;",
    "async def g(self): ...  # c",
]
TAILS = ["", "\n\n\n", "{i}# of the class\n", "{o}# outside\n", "\n{i}# of the class\n\n{o}y = 2\n"]


@settings(max_examples=150, deadline=None)
@given(
    unit=st.sampled_from([" ", "  ", "    ", "\t"]),
    depth=st.integers(0, 2),
    body=st.lists(st.sampled_from(BODIES), min_size=1, max_size=3),
    tail=st.sampled_from(TAILS),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_methods_land_in_their_class_and_nowhere_else(unit, depth, body, tail, newline) -> None:
    outer, indent = unit * depth, unit * (depth + 1)
    head = "".join(f"{unit * level}if x{level}:\n" for level in range(depth))
    lines = "\n".join(indent + each.format(i=indent, u=unit) for each in body)
    text = (head + f"{outer}class A(B):\n{lines}\n" + tail.format(i=indent, o=outer)).replace("\n", newline)
    cls = next(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef))
    source = decode(PATH, text.encode())
    end = source.line_starts[cls.end_lineno - 1] + cls.end_col_offset
    start = source.line_starts[cls.lineno - 1] + cls.col_offset
    result = fixed(text, AddMethods(Place(PATH, Span(start, end)), CLOSE, ("close",)))
    cls.body.extend(ast.parse("\n".join(CLOSE)).body)
    tree = ast.parse(text)
    grown = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    grown.body = cls.body
    assert ast.dump(ast.parse(result)) == ast.dump(tree)


HEADS = ["#!/bin/sh", "# coding: utf-8", "# words", "", '"""Words."""', "from __future__ import annotations"]
CODE = [
    "import os",
    "from a import (\n    b,\n)",
    "x = 1; y = 2",
    "",
    "# c",
    "if x:\n    import weakref",
    "def f():\n    '''\nimport no'''",
]


@settings(max_examples=150, deadline=None)
@given(
    head=st.lists(st.booleans(), min_size=len(HEADS), max_size=len(HEADS)),
    code=st.lists(st.sampled_from(CODE), max_size=5),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    final=st.booleans(),
)
def test_an_import_is_one_more_statement_and_only_once(head, code, newline, final) -> None:
    lines = [line for line, wanted in zip(HEADS, head, strict=True) if wanted] + code
    text = newline.join(line.replace("\n", newline) for line in lines) + (newline if final else "")
    step = AddImport(PATH, "weakref")
    result = fixed(text, step)
    old, new = ast.parse(text), ast.parse(result)
    added = [index for index, each in enumerate(new.body) if ast.unparse(each) == "import weakref"]
    assert len(added) == 1
    assert ast.get_docstring(old) == ast.get_docstring(new)
    new.body.pop(added[0])
    assert ast.dump(old) == ast.dump(new)
    assert fixed(result, step) == result
    assert compile(result, PATH, "exec")


def test_both_parsers_outline_alike() -> None:
    text = '# é\n\nimport a; import b\n\n# why\n@d\ndef f():\n    pass\n    # end\n\n\nx = """é\n"""  # last'
    source = decode(PATH, text.encode())
    by_ast = [ast.dump(each) for piece in outline_by_ast(source) or () for each in piece.statements or ()]
    by_libcst = [ast.dump(each) for piece in outline_by_libcst(source) for each in piece.statements or ()]
    assert by_ast == by_libcst
    assert [source.utf8[slice(*piece.span)].decode() for piece in outline_by_libcst(source)] == [
        "import a; import b",
        "\n# why\n@d\ndef f():\n    pass\n    # end",
        '\n\nx = """é\n"""  # last',
    ]


def test_libcst_is_not_imported_for_what_the_interpreter_can_parse() -> None:
    code = (
        "import sys; from toollint.fixes import realise; from toollint.model import *\n"
        "from toollint.source import decode\n"
        "text = b'import os\\nclass A: pass\\n'\n"
        "steps = AddMethods(Place('a', Span(10, 23)), ('x = 1',), ('x',)), AddImport('a', 'weakref')\n"
        "assert realise(Repair('t', Safety.SAFE, steps), {'a': decode('a', text)}).edits\n"
        "assert 'libcst' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
