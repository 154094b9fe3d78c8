"""Bytes to text and back, and the comments that silence findings: against CPython's own tokenizer and codecs."""

from __future__ import annotations

import ast
import io
import sysconfig
import tokenize
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toollint.lexer import scan
from toollint.model import Edit, Position, Region, Span
from toollint.source import Source, Unreadable, decode

BOM = b"\xef\xbb\xbf"


def source(text: str) -> Source:
    return decode("a.py", text.encode())


def span_of(whole: Source, part: str, nth: int = 0) -> Span:
    start = -1
    for _ in range(nth + 1):
        start = whole.utf8.index(part.encode(), start + 1)
    return Span(start, start + len(part.encode()))


# --- decoding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"", "utf-8"),
        (b"x = 1\n", "utf-8"),
        ('x = "é"\n'.encode(), "utf-8"),
        (BOM + b"x = 1\n", "utf-8"),
        (BOM + b"# -*- coding: utf-8 -*-\nx = 1\n", "utf-8"),
        (BOM + b"# coding: UTF_8-anything\nx = 1\n", "utf-8"),
        ('# -*- coding: latin-1 -*-\nx = "é"\n'.encode("latin-1"), "iso-8859-1"),
        ('# coding=Latin_1-unix\nx = "é"\n'.encode("latin-1"), "iso-8859-1"),
        ('#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\nx = "€"\n'.encode("cp1252"), "cp1252"),
        ('\f\r# coding: cp1252\rx = "€"\r'.encode("cp1252"), "cp1252"),
        ('# -*- coding: shift_jis -*-\nx = "表示"\n'.encode("shift_jis"), "shift_jis"),
        ('# coding: gbk\nx = "中文"\n'.encode("gbk"), "gbk"),
        (b"# -*- coding: utf-7 -*-\nx = '+AGEAYgBj-'\n", "utf-7"),
        (b"# coding:\nx = 1\n", "utf-8"),
        (b"x = 1\n# coding: latin-1\n", "utf-8"),
        (b"\\\n# coding: latin-1\nx = 1", "utf-8"),
        (b'"""\n# coding: latin-1\n"""', "utf-8"),
    ],
)
def test_text_is_what_cpython_reads(data, encoding):
    got = decode("a.py", data)
    assert got.encoding == encoding
    assert got.utf8 == got.text.encode()
    assert ast.dump(ast.parse(got.text)) == ast.dump(ast.parse(data))


@pytest.mark.parametrize(
    ("data", "message", "place"),
    [
        (b"# -*- coding: nosuch -*-\nx = 1\n", "unknown encoding: nosuch", (1, 15)),
        (b"\n# coding: nosuch\n", "unknown encoding: nosuch", (2, 11)),
        (BOM + b"# coding: latin-1\nx = 1\n", "encoding problem: iso-8859-1 with BOM", (1, 11)),
        (BOM + b"# coding: utf8\nx = 1\n", "encoding problem: utf8 with BOM", (1, 11)),
        (b"# coding: rot13\nk = 1\n", "'rot13' is not a text encoding", (1, 11)),
        (b"# coding: hex\n41", "'hex' is not a text encoding", (1, 11)),
        (b"# coding: undefined\n", "undefined encoding", (1, 11)),
        (b"# coding: ascii\ny = 1\nx = '\xff'\n", "'ascii' codec can't decode byte 0xff", (3, 6)),
        ('# coding: shift_jis\nx = "表'.encode("shift_jis") + b'\x81\n"', "'shift_jis' codec can't decode", (2, 7)),
        (b"# coding: utf-7\nx = '+2AA-'\n", "surrogates not allowed", (1, 11)),
        (b"x = 1\r'\xc3\xa9 \xe9'\n", r"Non-UTF-8 code starting with '\xe9' on line 2, but no encoding", (2, 4)),
        ("x = 1\n".encode("utf-16"), r"Non-UTF-8 code starting with '\xff' on line 1", (1, 1)),
        (b'x = "\xc0\x80"\n', r"Non-UTF-8 code starting with '\xc0'", (1, 6)),
        (b"# coding: utf-8\n\xe9", "(unicode error) 'utf-8' codec can't decode byte 0xe9", (2, 1)),
        (b"# coding: idna\n" + b"x" * 70 + b".\xff\n", "codec", None),
    ],
)
def test_what_cpython_refuses_is_unreadable(data, message, place):
    with pytest.raises(SyntaxError):
        ast.parse(data)
    with pytest.raises(Unreadable) as caught:
        decode("a.py", data)
    assert message in caught.value.message
    assert place is None or (caught.value.row, caught.value.column) == place


# --- places ------------------------------------------------------------------------------------------------------

MIXED = 'a = "é😀"\r\nb\r\rc\x0c\x0b\x1c\u2028d\n'


def test_lines_end_at_newlines_only():
    text = source(MIXED)
    assert [text.line(row) for row in range(1, 6)] == ['a = "é😀"', "b", "", "c\x0c\x0b\x1c\u2028d", ""]
    assert len(text.line_starts) == 5
    assert text.newline == "\r\n"
    assert source("x").newline == "\n"
    with pytest.raises(IndexError):
        text.line(6)


@pytest.mark.parametrize("character", range(len(MIXED) + 1))
def test_positions_count_code_points_and_come_back(character):
    text = source(MIXED)
    offset = len(MIXED[:character].encode())
    lines = MIXED[:character].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    position = text.position(offset)
    if MIXED[character - 1 : character + 1] != "\r\n":
        assert position == (len(lines), len(lines[-1]) + 1)
        assert text.offset(position) == offset


def test_a_column_behind_the_line_means_its_end():
    text = source("ab\ncd\n")
    assert text.offset(Position(1, 99)) == 2
    assert text.region(Span(1, 4)) == Region("a.py", Span(1, 4), Position(1, 2), Position(2, 2))


def test_words_are_what_could_be_an_identifier():
    assert source("import os; x1 = a.b('c-d')  # \ufb01x").words == {
        *(b"import", b"os", b"x1", b"a", b"b", b"c", b"d", b"fix")
    }


# --- editing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "edits", "after"),
    [
        (b"abc", [((1, 2), "X")], b"aXc"),
        (b"abc", [((1, 1), "1"), ((0, 0), "0"), ((1, 1), "2")], b"0a12bc"),
        (b"abc", [((1, 2), "-"), ((1, 1), "+"), ((2, 3), "")], b"a+-"),
        (BOM + b"abc\r\n\x0c\r", [((3, 5), "\r")], BOM + b"abc\r\x0c\r"),
        (
            "# coding: cp1252\r\n# €x".encode("cp1252"),
            [((20, 24), "“y”")],
            "# coding: cp1252\r\n# “y”".encode("cp1252"),
        ),
        ("# coding: gbk\n'中文'".encode("gbk"), [((18, 21), "本")], "# coding: gbk\n'中本'".encode("gbk")),
        (b"# coding: utf8\n\xc3\xa9", [((15, 17), "è")], b"# coding: utf8\n\xc3\xa8"),
    ],
)
def test_an_edit_changes_nothing_else(data, edits, after):
    assert decode("a.py", data).splice([(Span(*span), text) for span, text in edits]) == after


def test_an_edit_may_come_with_its_region():
    text = source("abc")
    assert text.splice([Edit(text.region(Span(0, 1)), "X")]) == b"Xbc"


@pytest.mark.parametrize(
    ("data", "edits"),
    [
        (b"abc", [((0, 2), "x"), ((1, 3), "y")]),
        (b"abc", [((0, 1), "x"), ((0, 1), "x")]),
        (b"abc", [((2, 4), "x")]),
        (b"abc", [((2, 1), "x")]),
        ("é".encode(), [((1, 1), "x")]),
        ("# coding: latin-1\né".encode("latin-1"), [((0, 0), "€")]),
        ("# coding: shift_jis\n表".encode("shift_jis"), [((0, 0), "¥")]),
        ("# coding: euc_jis_2004\nか゚".encode("euc_jis_2004"), [((26, 26), "x")]),
        (b"# coding: utf-7\nabc", [((0, 0), "x")]),
    ],
)
def test_an_edit_that_cannot_be_made_is_an_error(data, edits):
    with pytest.raises(ValueError, match=r".+"):
        decode("a.py", data).splice([(Span(*span), text) for span, text in edits])


@pytest.mark.parametrize(
    ("data", "can_edit"),
    [
        (b"x", True),
        (b"# coding: cp1252\nx", True),
        (b"# coding: utf8\nx", True),
        (b"# coding: utf-7\nx", False),
        (b"# coding: iso2022_jp\nx", False),
        (b"# coding: hz\nx", False),
        (b"# coding: idna\nx", False),
        (b"# coding: unicode_escape\nx = 1\\ny = 2", False),
        (b"# coding: cp932\n\xfa\x54", False),  # two codes for one character: which one was it?
    ],
)
def test_which_encodings_can_be_edited(data, can_edit):
    assert decode("a.py", data).can_edit is can_edit


TEXT = st.text(st.sampled_from("ab\n\ré€ ß"), max_size=12)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    text=TEXT,
    cuts=st.lists(st.integers(0, 12), min_size=4, max_size=4),
    new=TEXT,
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "gb18030"]),
)
def test_splicing_is_slicing(text, cuts, new, encoding):
    cookie = "" if encoding.startswith("utf") else f"# coding: {encoding}\n"
    whole = cookie + text
    points = [len(cookie) + min(cut, len(text)) for cut in sorted(cuts)]
    a, b, c, d = (len(whole[:point].encode()) for point in points)
    got = decode("a.py", whole.encode(encoding)).splice([(Span(c, d), new), (Span(a, b), "")])
    i, j, k, m = points
    assert got == (whole[:i] + whole[j:k] + new + whole[m:]).encode(encoding)


# --- comments and logical lines ----------------------------------------------------------------------------------


def comments(text: str) -> list[str]:
    return [text.encode()[slice(*span)].decode() for span in scan(text.encode())[1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = '#' # 1", ["# 1"]),
        ("a = '\\'#' # 1", ["# 1"]),
        ("a = r'\\\\' # 1", ["# 1"]),
        ("a = '\\\n#' # 1", ["# 1"]),
        ("a = '\\\r\n#' # 1", ["# 1"]),
        ("a = '''\n'#''' # 1", ["# 1"]),
        ("a = ''''#''' # 1", ["# 1"]),
        ("a = '' # 1\rb # 2", ["# 1", "# 2"]),
        ('a = rb"\\"#" # 1', ["# 1"]),
        ("if'#': # 1", ["# 1"]),
        ("a = 'open\nb # 1", ["# 1"]),
        ("a = '''open\nb # 1", []),
        ('f"#{a}#" # 1', ["# 1"]),
        ('f"{a["#"]}#" # 1', ["# 1"]),
        ('f"{f"{f"{1}#"}#"}#" # 1', ["# 1"]),
        ('f"{{#}}" # 1', ["# 1"]),
        ('f"{a:#x}" # 1', ["# 1"]),
        ('f"{a:{b}#{c:#}}" # 1', ["# 1"]),
        ('f"{a:}}}#" # 1', ["# 1"]),
        ('f"{a!r:>#{w}}" # 1', ["# 1"]),
        ('f"{ {1: 2}[1]}#" # 1', ["# 1"]),
        ('f"{(lambda x: x)(1)}#" # 1', ["# 1"]),
        ('f"\\N{NUMBER SIGN}#" # 1', ["# 1"]),
        ('f"{a:\\N{NUMBER SIGN}#}" # 1', ["# 1"]),
        ('rf"\\N{a[\'"\']}#" # 1', ["# 1"]),
        ('f"\\{a["#"]}" # 1', ["# 1"]),
        ('f"\\\\{a["#"]}" # 1', ["# 1"]),
        ('f"""{\na # 1 }\n}#""" # 2', ["# 1 }", "# 2"]),
        ('f"{\na # 1\n}" # 2', ["# 1", "# 2"]),
        ('f"""{a:\n#}""" # 1', ["# 1"]),
        ('f"{a:#\nb # 1', ["# 1"]),
        ('f"{a:#" # 1', ["# 1"]),
        ('t"{a["#"]}" # 1', ["# 1"]),
        ("a)) # 1\nb]} # 2", ["# 1", "# 2"]),
        ("\\", []),
    ],
)
def test_comments_are_told_from_strings(text, expected):
    assert comments(text) == expected


def test_nesting_needs_no_stack():
    deep = 'f"{' * 3000 + "1" + '}"' * 3000
    assert comments(f"x = {deep} # 1") == ["# 1"]
    assert comments('f"{a:' + "{a:" * 3000 + "}" * 3001 + '#" # 1') == ["# 1"]


def tokenized(text: str) -> tuple[list[tuple[int, int]], list[tuple[int, int, int]]]:
    """Return the places of comments, and of logical lines with their last rows, as the interpreter sees them."""
    places: list[tuple[int, int]] = []
    lines: list[tuple[int, int, int]] = []
    first = None
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        place = (token.start[0], token.start[1] + 1)
        if token.type == tokenize.COMMENT:
            places.append(place)
        elif token.type == tokenize.NEWLINE and first:
            lines.append((*first, token.start[0]))
            first = None
        elif token.string.strip() and not first:
            first = place
    return places, lines


STDLIB = Path(sysconfig.get_paths()["stdlib"])


@pytest.mark.parametrize("path", [*sorted(STDLIB.glob("*.py"))[::5], Path(__file__)], ids=lambda path: path.name)
def test_comments_and_statements_are_those_of_the_interpreter(path):
    text = decode(str(path), path.read_bytes().replace(b"\r", b""))
    statements, found = scan(text.utf8)
    places, lines = tokenized(text.text)
    assert [text.position(comment.start) for comment in found] == places
    assert [(*text.position(line.start), text.position(line.end).row) for line in statements] == lines


# --- suppressions ------------------------------------------------------------------------------------------------


def silenced(text: str, part: str, code: str = "TL101", name: str = "tool-owns-unreleased-resource") -> bool:
    whole = source(text)
    return whole.suppressions.match(span_of(whole, part).start, code, name) is not None


@pytest.mark.parametrize(
    ("comment", "silences"),
    [
        ("# noqa", True),
        ("#noqa", True),
        ("## NoQA", True),
        ("# noqa because", True),
        ("# noqa: TL101", True),
        ("# noqa:tl101", True),
        ("# noqa : TL101", True),
        ("# noqa: E501, TL101", True),
        ("# noqa: E501 TL101,because", True),
        ("# noqa: TL101 because TL is right", True),
        ("# type: ignore # noqa: TL101", True),
        ("# noqa: E501 # noqa: TL101", True),
        ("# see below#noqa: TL101", True),
        ("# noqa: TL1", False),
        ("# noqa: TL1011", False),
        ("# noqa: because", False),
        ("# noqa: E501 because TL101", False),
        ("# noqa: tool-owns-unreleased-resource", False),
        ("# noqas", False),
        ("# ruff: noqa", False),
        ("# flake8: noqa: TL101", False),
        ("# toollint: ignore", True),
        ("#toollint:ignore", True),
        ("# toollint: ignore because", True),
        ("# toollint: ignore[TL101]", True),
        ("# toollint: ignore [tl101 , TL201] because", True),
        ("# toollint: ignore[tool-owns-unreleased-resource]", True),
        ("# toollint: ignore[TL201]", False),
        ("# toollint: ignore[]", False),
        ("# toollint: ignore[TL101", False),
        ("# toollint: ignored", False),
        ("# toollint: ignore: TL201", False),
        ("# mytoollint: ignore", False),
        ("# toollint: skip-file", False),
    ],
)
def test_the_grammar_of_suppressions(comment, silences):
    assert silenced(f"x = 1  {comment}\n", "x") is silences


@pytest.mark.parametrize(
    ("text", "silences"),
    [
        ("x = HERE(  # noqa\n    1\n)", True),
        ("x = HERE(\n    1  # noqa\n)", True),
        ("x = (\n    # noqa\n    1,\n    HERE,\n)", True),
        ("x = HERE(\n    1\n)  # noqa", True),
        ("x = '''\n''', HERE  # noqa", True),
        ("x = HERE + \\\n    1  # noqa", True),
        ("y; x = HERE  # noqa", True),
        ("x = HERE, '# noqa'", False),
        ("x = HERE, '''\n# noqa\n'''", False),
        ("x = HERE\ny = 1  # noqa", False),
        ("y = 1  # noqa\nx = HERE", False),
        ("# noqa\nx = HERE", True),
        ("# noqa\r\nx = HERE\r\n", True),
        ("if y:\n    # noqa\n    x = HERE", True),
        ("# noqa\n\nx = HERE", False),
        ("# noqa: TL101\n# why\n# toollint: ignore[TL2]\nx = HERE", True),
        ("# noqa\nx = (\n    HERE\n)", True),
        ("class HERE:  # noqa\n    pass", True),
        ("class HERE:\n    x = 1  # noqa", False),
        ("class C:  # noqa\n    x = HERE", False),
        ("class HERE(\n    A,  # noqa\n): pass", True),
        ("@d  # noqa\ndef HERE(): pass", True),
        ("@d(\n    1,  # noqa\n)\n@e\nasync def HERE(): pass", True),
        ("# noqa\n@d\n@e\nclass HERE: pass", True),
        ("@d\n# noqa\nclass HERE: pass", True),
        ("@HERE\ndef f(): pass  # noqa", True),
        ("@HERE  # noqa\n@e\ndef f(): pass", True),
        ("@d  # noqa\ndef f():\n    HERE", False),
        ("@d  # noqa\ndef f(): pass\nHERE", False),
        ("x = 1\n\n# HERE\n# noqa\n", False),
        ("x = 1\n\n# HERE noqa\n", False),
    ],
)
def test_what_a_suppression_covers(text, silences):
    assert silenced(text, "HERE") is silences


def test_a_suppression_that_lists_the_rule_comes_before_a_bare_one():
    text = source("# noqa\nx = 1  # noqa: TL101\n")
    assert text.suppressions.match(span_of(text, "x").start, "TL101", "n") == text.suppressions.by_row[2][0]
    assert text.suppressions.match(span_of(text, "x").start, "TL201", "n") == text.suppressions.by_row[1][0]


@pytest.mark.parametrize("text", ["x = 1", "x = 1  # noqa", "x = 1  # noqa: E501", "x = 'TL1 # noqa: TL101'"])
def test_what_does_not_speak_to_toollint_cannot_be_unused(text):
    assert source(text).suppressions.items == ()


@pytest.mark.parametrize(
    ("text", "skips"),
    [
        ("# toollint: skip-file", True),
        ("x = 1\n    # toollint: skip-file because\n", True),
        ("x = 1  # toollint: skip-file", False),
        ("'''\n# toollint: skip-file\n'''", False),
        ("# toollint: skip-files", False),
        ("x = 1", False),
    ],
)
def test_a_file_is_skipped_by_a_line_of_its_own(text, skips):
    assert source(text).suppressions.skip_file is skips


def test_spans_of_a_suppression():
    text = source("é = 1  # noqa: E501, tl101  why # toollint: ignore[a-name]\n")
    noqa, ignore = text.suppressions.items
    assert text.utf8[slice(*noqa.span)] == b"# noqa: E501, tl101  why"
    assert [(entry.text, text.utf8[slice(*entry.span)]) for entry in noqa.codes] == [
        ("E501", b"E501"),
        ("TL101", b"tl101"),
    ]
    assert [noqa.is_ours(entry) for entry in noqa.codes] == [False, True]
    assert (ignore.kind, [entry.text for entry in ignore.codes]) == ("ignore", ["a-name"])


@pytest.mark.parametrize(
    ("before", "unused", "after"),
    [
        ("x = 1  # noqa: TL101\n", {"TL101"}, "x = 1\n"),
        ("x = 1  # noqa: TL101 because", {"TL101"}, "x = 1"),
        ("x = 1  # noqa: TL101, TL201 because", {"TL101"}, "x = 1  # noqa: TL201 because"),
        ("x = 1  # noqa: TL101, TL201", {"TL201"}, "x = 1  # noqa: TL101"),
        ("x = 1  # noqa: TL101,TL201,TL301", {"TL201"}, "x = 1  # noqa: TL101,TL301"),
        ("x = 1  # noqa: TL1 TL2 TL3 TL4 TL5", {"TL1", "TL2", "TL4", "TL5"}, "x = 1  # noqa: TL3"),
        ("x = 1  # noqa: TL1 TL2 TL3 TL4", {"TL2", "TL3"}, "x = 1  # noqa: TL1 TL4"),
        ("x = 1  # noqa: E501, TL101", {"TL101", "E501"}, "x = 1  # noqa: E501"),
        ("x = 1  # noqa: E501", {"E501"}, "x = 1  # noqa: E501"),
        ("x = 1  # noqa", set(), "x = 1  # noqa"),
        ("x = 1  # toollint: ignore\n", set(), "x = 1\n"),
        ("x = 1  # toollint: ignore[]\n", set(), "x = 1\n"),
        ("x = 1  # toollint: ignore[TL101, a-name]\n", {"a-name"}, "x = 1  # toollint: ignore[TL101]\n"),
        ("x = 1  # type: ignore  # noqa: TL101\n", {"TL101"}, "x = 1  # type: ignore\n"),
        ("x = 1  # noqa: TL101 why #3  # type: ignore\n", {"TL101"}, "x = 1  # type: ignore\n"),
        ("if x:\r\n    # noqa: TL101 why\r\n    y\r\n", {"TL101"}, "if x:\r\n    y\r\n"),
        ("x\n# noqa: TL101", {"TL101"}, "x\n"),
        ("# é\n# noqa: TL101  # keep\nx", {"TL101"}, "# é\n# keep\nx"),
    ],
)
def test_what_is_unused_can_be_taken_out(before, unused, after):
    text = source(before)
    assert text.splice(next(iter(text.suppressions.by_row.values()))[0].edit_without(unused)) == after.encode()
