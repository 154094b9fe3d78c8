"""The two front ends: equal to each other, right about spans, and never the death of the process."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import libcst as cst
import pytest

from toollint.frontends import Refused, fast, reference
from toollint.frontends.guard import too_deep
from toollint.syntax import (
    MAX_DEPTH,
    Arg,
    Attr,
    Bind,
    Call,
    Chain,
    Class,
    Collection,
    Const,
    Def,
    Evaluate,
    FString,
    If,
    Index,
    Item,
    Match,
    Name,
    Node,
    Other,
    Try,
)

ROOT = Path(__file__).parents[1]

EXPRESSIONS = r"""
a
None, True, False
...
1, 1.5, 1_000, 0x_ff, 0b1, 0o17, 00, 1e3, 1_0.0_1, .5, 5., 1e999, 3j, 1_0e1_0J, 0777j, 10**30
'a'
'a' "b" '''c'''
b'a\x00' rb'\d'
r'\d' u'\u00e9' '\N{BULLET}' '\x41\101'
f''
f'a' 'b'
'a' f'{b}' "c" rf'\{d}'
f'{a!r:>{w}.{p}} {b}'
f'{a=} {b = !s}'
f'{f"{a.b(c)}"}'
f'{(lambda x: x)(1)} {{}} {a["k"]:{b}}'
f'{(a, b)} {*c, d} {(yield)}'
a.b
a.b.c(d)[e](f, g=h)
(a.b).c
((a.b).c).d
((a).b)
(a).b.c
(a + b).c
(a, b).c
(a for a in b).c
(await a).b
"a".join(b)
1 .real
f()
f(a, b, c=d)
f(*a, b, *c, d=e, *f, **g, h=i, **j)
f(a for a in b)
f((a for a in b))
f((a for a in b), c)
f(a := 1, (b := 2))
f((a), (b),)
f(a)(b)(c)
f(lambda: 0)
a[b]
a[b, c]
a[(b, c)]
a[b,]
a[()]
a[b:c]
a[:]
a[ : : ]
a[b : ]
a[(b):(c):(d)]
a[b:c, ..., d::e]
a[b:=1]
a[(b:=1):2]
a[  b  ][c]
(a[b])[c]
()
(  )
(())
(a,)
((a),)
(a), (b)
(a, b), c
a,
*a, b
(*a, *b)
((a, b), (c, d))
((a, (b)), (c))
[]
[a, *b, (c), (d, e)]
{a, *b}
{}
{a: b, **c, (d): (e)}
{**a}
a and b and c
(a and b) and c
a and (b and c)
a or b and c or d
not a
not not a
not (a and b)
a < b
a < b <= c != d == e > f >= g
a is b is not c in d not in e
(a < b) < c
a not   in b
a + b - c * d / e // f % g @ h
(a + b) + c
a + (b + c)
((a + b))
((a) + b) + c
a ** b ** c
(a ** b) ** c
a << b >> c & d | e ^ f
-a
- - a
-(-a)
~+-a
-a ** -b
not -a
-(not a)
(-a).b
- (a + b)
a if b else c
a if b else c if d else e
(a if b else c) if d else e
lambda: a
lambda a, /, b, *c, d=1, **e: a
lambda *, a: a
lambda *a: (yield)
lambda a=b: lambda c: d
[a for b in c]
[a for b in c if d if e for f in g]
{a for b, in c}
{a: b for c, d in e}
(a for b in c)
((a) for b in (c))
((a, b) for b in c)
(a for b in c if (d))
(a for b in c if d and (e))
[(a for b in c) for d in e]
[a for b in c for d in e for f in g if h]
(a := b)
((a := b), c)
[a := 1, b]
(yield)
(yield a)
(yield a, b)
(yield from a)
(yield a).b
µ.ﬁ
"é😀", a, "ü" f"{b}"
a  .  b  [  c  ]  (  d  )
"""

STATEMENTS = [
    "",
    "\n\n# only a comment\n",
    "a; b; c",
    "a; b;\nc",
    "a = b",
    "a = b = c, d",
    "a, b = c",
    "(a, b) = [c, d] = e",
    "*a, b = c",
    "(a) = (b)",
    "a.b[c] = d",
    "a: int",
    "a: int = 1",
    "a.b: c[d] = e",
    "x: tuple = 1, *a",
    "x: int = yield",
    "\n".join(f"a {op}= b" for op in ("+", "-", "*", "/", "//", "%", "**", "@", "<<", ">>", "&", "|", "^")),
    "a += b, c",
    "pass",
    "while a: break",
    "while a:\n    continue\nelse:\n    b",
    "for a in b: c",
    "for a, b in c, d:\n    e\nelse:\n    f",
    "for *a, b in c: pass",
    "for x in *a, b: pass",
    "if a: b; c;",
    "if a: b\nelif c: d\nelif e: f\nelse: g",
    "if a:\n    b\nelse:\n    if c:\n        d",
    "if a:\n    b\nelse:\n    if c:\n        d\n    elif e:\n        f",
    "if a:\n    pass\n    # trailing comment\n# another\n\nb",
    "if (a): (b)",
    "with a: b",
    "with a as b, c as (d, e): f",
    "with (a): b",
    "with (a, b): c",
    "with (a as b, c as d,): e",
    "with (a) as b, (c): d",
    "with (a, b) as c: d",
    "with (yield): d",
    "with a.b(c) as d.e, f as g[h]: pass",
    "try: a\nfinally: b",
    "try:\n    a\nexcept:\n    b",
    "try:\n    a\nexcept A:\n    b\nexcept (B, C) as e:\n    c\nelse:\n    d\nfinally:\n    e",
    "raise",
    "raise a",
    "raise a(b) from c",
    "del a",
    "del a, b[c], d.e",
    "del (a, b)",
    "del (a), [b, c]",
    "del a,",
    "assert a",
    "assert a, b",
    "import a",
    "import a.b as c, d.e",
    "import a . b",
    "from a import b",
    "from a.b import (c as d, e,)",
    "from . import a",
    "from ...a import b",
    "from .... import b",
    "from a import *",
    "def f(): pass",
    "def f(): return",
    "def f():\n    return *a, *b",
    "def f():\n    return (a, b)",
    "def f():\n    global a, b\n    x = 1\ndef g():\n    def h():\n        nonlocal c",
    "def f(a, /, b: int, c: str = d, *e: f, g, h: i = j, **k: l) -> m: pass",
    "def f(a=1, /, *, b): pass",
    "def f(*, a=1): pass",
    "def f(a, b=1, *args): yield",
    "def  f (a) :\n  yield from a",
    "def \\\n f(): pass",
    "async def f():\n    async with a as b: pass\n    async for c in d: pass",
    "async def f():\n    await e\n    return [x async for x in y if await z]",
    "async  def f(): await a.b(c).d",
    "@a\ndef f(): pass",
    "@a.b(c)\n@(d)\n@ e\nasync def f(): pass",
    "a\n# @ comment\n@b\nclass C: pass",
    "a;\n@(  # @ inside\n b)\ndef f(): pass",
    "@a\n# between\n\n@b\n\ndef f():\n    @c\n    def g(): pass",
    "class A: pass",
    "class A(): pass",
    "class A(B, C, metaclass=D, **E): x = 1",
    "class A(*B, x=1, **C): pass",
    "class A(B[C], f(d)):\n    '''doc'''\n    a: 'B' = 1\n    def m(self): return self",
    "match a:\n    case b: pass",
    "match a, b:\n    case [c, *d] | (c, d): pass\n    case {'k': e, **f} if g: pass\n    case _: pass",
    "match a:\n    case P(b, c=d, e=Q() as h) as i: pass\n    case []: pass",
    "match a:\n    case None | True | 'x' | -1+2j | m.n: pass",
    "match *a, b:\n    case (c): pass\n    case (c,): pass\n    case {**rest}: pass\n    case [*_]: pass",
    "match = 1; case = 2; type = 3\nmatch(x)\nmatch[x]\ntype(x)\nprint(match, case)",
    "match (a):\n    case C(ﬁ): pass",
    "def f(a: 'A', b: \"Optional['B']\" = None, *c: 'C.D', **d: list['E']) -> 'F | None': pass",
    "x: Literal['a', 'b'] | 'C'",
    "x: t.Annotated['A', 'not a type']",
    "x: Annotated['A']",
    "x: Callable[['A', B], 'C']['D']",
    "x: 'not valid syntax here'",
    "x: ''",
    "x: ' A[\\n B] '",
    "x: 'yield a'\ny: '*a'\nz: 'a := b'\nw: 'a, b'\nv: '*a, b'\nu: '(yield)'",
    "x: f('A')\ny: {'A': 'B'}\nz: 'A' 'B'\nw: b'A'\nv: f'{a}'\nu: \"'A'\"",
    'x: \'f("A", f"{b}")\'',
    "ﬁ = µ\nclass ﬁ: pass\ndef µ(ﬁ, *, µ=1): ﬁ.ﬁ(ﬁ=1)\nimport ﬁ.ﬁ as µ\nfrom ﬁ import ﬁ\nglobal ﬁ",
    "ª名 = '日本' ; b = 名.前('語')",
    "if a:\n\tx\n\tif b:\n\t\ty",
    "if a:\n      x\nelse:\n y",
    "a\r\nif b:\r\n    c(\r\n  d)\r\ne",
    "a\rif b:\r    c\r",
    "a\r\nb\nc\rd\re",
    "x = '''a\r\nb\nc\rd'''\r\ny = 1\r\n",
    "x = r'''a\rb'''\ny = b'''c\r\nd'''\nz = f'''\r\n{a}\r'''",
    "x = 1 + \\\r\n  2\r\n",
    "x = 1\n\x0c\ny = 2\n",
    "if a:\n\x0c    x = 1\n    y = 2\n",
    "if a:\n  \x0c  x = 1\n",
    "\x0cdef f():\n    pass\n",
    "x = 1\x0c\n",
    "\\\nx = 1\n",
    "x = 1",
    "if a:\n    x\n    # c",
    "if a:\n    x\n  # c",
    "x = 'a\u2028b\x85'\ny = 1  # \u2028\nz",
    "# -*- coding: latin-1 -*-\nx = 'é'; y",
    "x = '\x0c'; y",
    "# type: ignore\nx = []  # type: list[int]\n",
    "x = '\\d'; y = b'\\d'",
    "\n\n\na\n\n\nb\n\n\n",
]

NEWER = [
    "try:\n    a\nexcept* A as e:\n    b",
    "a[*b]",
    "a[*b, c]",
    "def f(*args: *Ts): pass",
    "type X[T: int, *Ts, **P] = list[T]",
    "def f[T](x: T) -> T: ...\nclass A[T: (int, str)](B): ...",
    "class A[T = int]: ...",
    """x = f"{a["b"]}" """,
    'x = f"{\n  a  # c\n}"',
    "x = f\"{'\\n'.join(a)}\" f'{f'{b}'}'",
    "x = f'{a:{b:{c}}}'",
    "x = t'{a!r:>{b}} {c.d}'",
    "try:\n    a\nexcept A, B:\n    b",
]
"""Syntax that libcst takes and that some interpreter we run on does not."""


def lines_of(utf8):
    return [0, *(found.end() for found in re.finditer(rb"\r\n?|\n", utf8))]


def tree_of(frontend, text):
    utf8 = text.encode()
    return frontend.parse(text, utf8, lines_of(utf8))


def translate(frontend, text):
    tree = tree_of(frontend, text)
    items = [tree.translate(index) for index in range(len(tree.spans))]
    assert [(item.start, item.end) for item in items] == list(tree.spans)
    return items


def dump(value):
    """Everything that a value holds, the types included (1 is not True here, and -0.0 is not 0)."""
    if isinstance(value, (tuple, list, Node)):
        return f"{type(value).__name__}({', '.join(map(dump, value))})"
    return f"{type(value).__name__}:{value!r}"


def assert_equal(text):
    expected, found = translate(reference, text), translate(fast, text)
    for one, other in zip(found, expected, strict=True):
        assert dump(one) == dump(other)
    return expected


def statement(text):
    return assert_equal(text)[0].stmt


def expression(text):
    found = statement(text)
    assert isinstance(found, Evaluate)
    return found.value


def source_of(text, node):
    return text.encode()[node.start : node.end].decode()


SNIPPETS = [
    *EXPRESSIONS.strip().splitlines(),
    "('a'\n 'b')",
    "'a\\\nb'",
    "f'''{\na.b(\nc)}'''",
    "(  # comment\n a\n .b\n )   .  c  (  )",
    "a\\\n.b",
    "a not \\\n in b",
]


@pytest.mark.parametrize("text", SNIPPETS)
def test_expressions_are_equal(text):
    assert_equal(f"def f(): x = ({text}\n)")
    assert_equal(f"if a:\n    async def f():\n        return [({text}), b]")
    if not text.startswith(("(yield", "a[b:=", "f(a :=")):
        assert_equal(text)


def test_the_table_is_large():
    assert len(SNIPPETS) + len(STATEMENTS) >= 220


@pytest.mark.parametrize("text", STATEMENTS)
def test_statements_are_equal(text):
    assert_equal(text)
    assert_equal(text.replace("\n", "\r\n").replace("\r\r\n", "\r\n"))


@pytest.mark.parametrize("text", NEWER)
def test_newer_syntax_is_taken_by_the_reference_and_equal_where_both_take_it(text):
    expected = translate(reference, text)
    assert expected
    try:
        found = translate(fast, text)
    except Refused:
        return
    assert dump(found) == dump(expected)


def corpus():
    own = [path for folder in ("toollint", "tests", "fixtures") for path in sorted((ROOT / folder).rglob("*.py"))]
    library = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    small = [path for path in library if path.stat().st_size < 60_000]
    return own + small[:: max(1, len(small) // 60)][:60]


@pytest.mark.parametrize("path", corpus(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_real_files_are_equal(path):
    text = path.read_bytes().decode(errors="replace").removeprefix("\ufeff")
    try:
        tree_of(fast, text)
    except Refused:  # a fixture that is broken on purpose
        return
    assert_equal(text)


# --- spans and shapes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("(a.b).c(d)", "(a.b).c(d)"),
        ("((a))", "a"),
        ("((a), (b))", "a), (b"),
        ("( )", "( )"),
        ("(x for x in (y))", "x for x in (y"),
        ("(é.b  # c\n  .d)", "é.b  # c\n  .d"),
        ("('a'\n 'b' )", "'a'\n 'b'"),
        ("(not  a)", "not  a"),
        ("(- - a)", "- - a"),
        ("(lambda: (a))", "lambda: (a)"),
        ("([a, ])", "[a, ]"),
        ("(await_ (b))", "await_ (b)"),
        ("(a if b else (c))", "a if b else (c)"),
    ],
)
def test_the_span_of_an_expression(text, wanted):
    assert source_of(text, expression(text)) == wanted


def test_every_link_closes_its_prefix():
    text = "( a ) . b ( 'é' ) [ c ] . d"
    chain = expression(text)
    assert [text.encode()[: link.end].decode() for link in chain.links] == [
        "( a ) . b",
        "( a ) . b ( 'é' )",
        "( a ) . b ( 'é' ) [ c ]",
        text,
    ]
    assert [type(link) for link in chain.links] == [Attr, Call, Index, Attr]


def test_a_slice_spans_its_colons():
    text = "a[ b : , *c ]" if sys.version_info >= (3, 11) else "a[ b : , c ]"
    key = expression(text).links[0].key
    assert source_of(text, key.items[0]) == "b :"
    assert source_of(text, key.items[1]) == text[9:-2]


def test_an_item_starts_at_its_first_decorator_and_its_nodes_are_relative_to_it():
    text = "x = 'é'\n\n# @no\n@ (a)\n# c\n@b\nasync def  f(): pass\n"
    item = assert_equal(text)[1]
    code = text.encode()[item.start : item.end]
    assert code.startswith(b"@ (a)")
    assert code.endswith(b": pass")
    definition = item.stmt
    assert isinstance(definition, Def)
    assert code[definition.start : definition.end] == b"async def  f(): pass"
    assert code[definition.name_start : definition.name_end] == b"f"
    assert [code[each.start : each.end] for each in definition.decorators] == [b"a", b"b"]


def test_small_statements_on_one_line_are_items_of_their_own():
    text = "é = 1; b ; c;\nd"
    assert [source_of(text, item) for item in assert_equal(text)] == ["é = 1", "b", "c", "d"]


def test_a_handler_has_a_span():
    text = "try: a\nexcept A: b; c\nfinally: d"
    handler = statement(text).handlers[0]
    assert source_of(text, handler) == "except A: b; c"


def test_what_an_fstring_holds_carries_its_span():
    text = "(f'{a.b}' f\"{c:{d}}\")"
    string = expression(text)
    assert isinstance(string, FString)
    assert source_of(text, string) == text[1:-1]
    assert {(part.start, part.end) for part in string.parts} == {(1, len(text) - 1)}
    assert [type(part) for part in string.parts] == [Chain, Name, Name]


def test_a_string_annotation_is_parsed_and_carries_the_span_of_the_literal():
    text = "x: Optional['a.B'] = 'a.B'"
    bind = statement(text)
    assert isinstance(bind, Bind)
    key = bind.annotation.links[0].key
    assert key == Chain(Name("a", 12, 17), (Attr("B", 17),), 12, 17)
    assert bind.value == Const("a.B", 21, 26)


@pytest.mark.parametrize(
    ("annotation", "strings"),
    [
        ("Literal['A']", 1),
        ("t.Literal['A', 'B']", 2),
        ("Annotated['A', 'B', 'C']", 2),
        ("f('A')", 1),
        ("'a b'", 1),
        ("'A' | list['B'] | None", 0),
        ("Callable[['A'], 'B']", 0),
        ("'Literal[\"A\"]'", 1),
        ("\"list['A']\"", 0),
    ],
)
def test_which_strings_of_an_annotation_stay(annotation, strings):
    assert dump(statement(f"x: {annotation}")).count("Const(str:") == strings


def test_elif_is_flat_and_else_if_is_not():
    flat = statement("if a: b\nelif c: d\nelse: e")
    nested = statement("if a:\n  b\nelse:\n  if c: d\n  else: e")
    assert isinstance(flat, If)
    assert (len(flat.branches), len(flat.orelse)) == (2, 1)
    assert isinstance(nested.orelse[0], If)


def test_arguments_keep_the_order_of_the_source():
    call = expression("f(a=1, *b, **c)").links[0]
    assert [(arg.keyword, arg.stars) for arg in call.args] == [("a", 0), (None, 1), (None, 2)]
    base = translate(fast, "class A(x=1, *b): pass")[0].stmt  # libcst refuses it
    assert isinstance(base, Class)
    assert [(arg.keyword, arg.stars) for arg in base.args] == [("x", 0), (None, 1)]
    assert isinstance(base.args[0], Arg)


def test_captures_come_in_source_order_and_once():
    match = statement("match x:\n    case [A(b, c=d) as e, *f, {'k': g, **h}] | [b]: pass")
    assert isinstance(match, Match)
    assert match.cases[0].binds == ("b", "d", "e", "f", "g", "h")


def test_a_number_too_long_to_convert_is_opaque():
    item = translate(reference, "x = " + "9" * 20_000)[0]
    assert item.stmt.value == Other((), 4, 20_004)


def test_string_values_have_their_newlines_normalised():
    assert statement("x = 'a' '''\r\n\r\\\r\nb'''").value.value == "a\n\nb"


# --- depth --------------------------------------------------------------------------------------------------------


def depth_of(value):
    """Levels of expressions and statements; the links, arguments and clauses between them count for nothing."""
    levels = [depth_of(each) for each in value] if isinstance(value, (tuple, Node)) else [0]
    own = isinstance(value, Node) and hasattr(value, "end") and not isinstance(value, (Attr, Call, Index, Item))
    return max(levels, default=0) + own


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 60 + "a" + "]" * 60,
        "x = " + "not " * 120 + "(a, b)",
        "x = " + "not " * (MAX_DEPTH - 3) + "((a), [b], (c for c in (d)))",
        "x = " + "lambda: " * 95 + "((a, b), (c for d in (e)), f[g, h:i], j[k:l])",
        "x = " + "lambda: " * 97 + "((a, b), (c for d in (e)), f[g, h:i], j[k:l])",
        "x = " + "lambda: " * 98 + "((((a), b), c), d)",
        "x = " + "lambda: " * 98 + "(((a), b) for c in (d) if ((e), (f)))",
        "x = " + "lambda: " * 98 + "f'{a.b}'",
        "x = " + "lambda: " * 97 + "a[b, c:d]",
        "x = " + "lambda: " * 98 + "a[b, c:d]",
        "x = " + "lambda: " * 97 + "a[b:c]",
        "x = " + "lambda: " * 98 + "()",
    ],
)
def test_what_lies_deeper_than_the_limit_is_opaque_in_both(text):
    items = assert_equal(text)
    assert depth_of(items[0].stmt) <= MAX_DEPTH + 1


def test_left_nested_operators_cost_one_level():
    text = "x = " + "a.b(c)[d] + " * 60 + "e"
    assert depth_of(statement(text)) == 4


def test_long_chains_that_only_ast_takes_are_flat():
    item = translate(fast, "x = a" + ".b" * 1000)[0]
    assert len(item.stmt.value.links) == 1000
    branches = translate(fast, "if a: b\n" + "elif c: d\n" * 1000)[0].stmt.branches
    assert len(branches) == 1001


DEEP = {
    "brackets": lambda n: "x = " + "(" * n + "1" + ")" * n,
    "lists": lambda n: "x = " + "[" * n + "]" * n,
    "open": lambda n: "(" * n,
    "calls nested": lambda n: "x = " + "f(" * n + ")" * n,
    "lambdas in brackets": lambda n: "x = " + "(lambda a, b: " * n + "1" + ")" * n,
    "unary": lambda n: "x = " + "-" * n + "1",
    "not": lambda n: "x = " + "not " * n + "1",
    "plus": lambda n: "x = " + "1 + " * n + "1",
    "power": lambda n: "x = " + "1 ** " * n + "1",
    "and": lambda n: "x = " + "a and " * n + "1",
    "attributes": lambda n: "x = a" + ".b" * n,
    "calls": lambda n: "x = f" + "()" * n,
    "calls with commas": lambda n: "x = f" + "(a, b)" * n,
    "subscripts": lambda n: "x = f" + "[0]" * n,
    "elif": lambda n: "if a:\n    pass\n" + "elif a:\n    pass\n" * n,
    "elif apart": lambda n: "if a:\n    pass\n" + "\n# c\nelif a:\n    b\n\n" * n,
    "lambda": lambda n: "x = " + "lambda: " * n + "1",
    "lambda with parameters": lambda n: "x = " + "lambda a, b: " * n + "1",
    "ternary": lambda n: "x = " + "1 if a else " * n + "1",
    "strings": lambda n: "x = (" + "'a' " * n + ")",
    "comprehension": lambda n: "x = [a " + "for a in b " * n + "]",
    "await": lambda n: "async def f():\n    " + "await " * n + "a",
    "blocks": lambda n: "".join(" " * i + "if a:\n" for i in range(n)) + " " * n + "pass",
    "template": lambda n: "x = " + "f'{" * n + "1" + "}'" * n,
    "inside a template": lambda n: "x = f'{" + "(" * n + ")" * n + "}'",
    "inside a raw template": lambda n: "x = rf'\\{" + "(" * n + ")" * n + "}'",
    "inside a specification": lambda n: "x = f'{a:{" + "(" * n + ")" * n + "}}'",
    "between quotes of a template": lambda n: 'x = f"{\'a\' + "b" + ' + "(" * n + ")" * n + ' + "c"}"',
    "in an annotation": lambda n: "x: '" + "(" * n + ")" * n + "'",
    "after an odd quote": lambda n: "x = '\\''; y = " + "(" * n + ")" * n,
    "patterns": lambda n: "match a:\n    case " + "[" * n + "]" * n + ": pass",
    "class patterns": lambda n: "match a:\n    case " + "A(b=" * n + "c" + ")" * n + ": pass",
    "mapping patterns": lambda n: "match a:\n    case " + "{1: " * n + "c" + "}" * n + ": pass",
    "group patterns": lambda n: "match a:\n    case " + "(" * n + "c" + ")" * n + ": pass",
    "mixed": lambda n: "x = " + ("a" + ".b" * 50 + "(") * n + ")" * n,
}

SURVIVOR = """
import sys, threading
sys.path.insert(0, {root!r})
sys.path.insert(0, {tests!r})
from test_frontends import DEEP, Refused, fast, reference, translate

def attempt():
    for name, make in DEEP.items():
        for size in (8, 45, 90, 150, 400, 1500):
            if name == "blocks" and size > 400:
                continue
            for frontend in (reference, fast):
                print(name, size, frontend.__name__, flush=True)
                try:
                    translate(frontend, make(size))
                except Refused:
                    pass
    print("survived")

def below(frames):
    attempt() if frames == 0 else below(frames - 1)

threading.stack_size({stack} * 1024)
thread = threading.Thread(target=below, args=(300,))
thread.start()
thread.join()
"""


def test_deep_input_gives_a_tree_or_a_refusal_but_never_a_signal():
    """In a thread with 1 MiB of stack (what other systems give) and under a caller's three hundred frames."""
    program = SURVIVOR.format(root=str(ROOT), tests=str(Path(__file__).parent), stack=1024)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-200:]
    assert done.stdout.splitlines()[-1] == "survived", done.stdout[-200:] + done.stderr[-2000:]


@pytest.mark.parametrize("name", sorted(DEEP))
def test_the_guard_refuses_what_is_far_too_deep(name):
    if name == "in an annotation":
        pytest.skip("guarded when the string is parsed")
    assert too_deep(DEEP[name](2000 if name != "blocks" else 200)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "x = [" + "lambda a, b: a + b, " * 1000 + "]",
        "x = {" + "'k': f('a', b.c(d)[e]), " * 1000 + "}",
        "x = 1 + 2 * f(3)\n" * 1000,
        "a + b; " * 1000,
        "if a: b\nelif c: d\n" * 500,
        "if a:\n    if b:\n        c\n    elif d:\n        e\n" * 500,
        "x = f'{a:{b}} ( ( ( [ # {{ {c}'\n" * 500,
        "x = '(((((((('\n# ((((((((((((\n" * 500,
        "x = '''\n((((((((''' # '\n" * 500,
        "x = f'''{a:>{w}}\n((((''' + f'{d[\"k\"]!r:>10}'\n" * 500,
        "def f():\n    # c\n\n    return (a,\n  b)\n" * 500,
        "x = f'unterminated {\n" * 3,
    ],
)
def test_the_guard_lets_ordinary_code_pass(text):
    assert too_deep(text) is None


def test_the_guard_lets_the_corpus_pass():
    for path in corpus():
        assert too_deep(path.read_bytes().decode(errors="replace")) is None, path


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "row", "column"),
    [
        ("x = 'é'; y = = 1", 1, 14),
        ("x = '😀'; (", 1, 10),
        ("a\r\nb = (", 2, 5),
        ("a\rb = 1 +", 2, 8),
        ("if a:\nb", 2, 1),
        ("x = 'é'\0", 1, 8),
        ("a\n#\0", 2, 2),
    ],
)
def test_the_fast_front_end_gives_the_place_of_a_syntax_error(text, row, column):
    with pytest.raises(Refused) as caught:
        tree_of(fast, text)
    assert (caught.value.row, caught.value.column) == (row, column)
    assert caught.value.message == str(caught.value)
    with pytest.raises(Refused):
        tree_of(reference, text)


@pytest.mark.parametrize(
    ("text", "row", "column"),
    [
        ("é; x = = 1", 1, 9),
        ("try:\n    a\nexcept A, e:\n    b", 3, 1),
        ("def f():\n  try: a\n  except a.B, exc: b", 3, 3),
        ("'é'; x = " + "(" * 200 + ")" * 200, 1, 90),
    ],
)
def test_the_reference_front_end_gives_a_place(text, row, column):
    with pytest.raises(Refused) as caught:
        tree_of(reference, text)
    assert (caught.value.row, caught.value.column) == (row, column)


@pytest.mark.parametrize("clause", ["except A, B:", "except (A, e):", "except A as e:", "except A, b.c:"])
def test_what_is_no_python_2(clause):
    item = translate(reference, f"try:\n    a\n{clause}\n    b")[0]
    assert isinstance(item.stmt, Try)


@pytest.mark.parametrize(
    "text",
    ["a if b else(lambda: 0)", "(a): int", "class A(x=1, *b): pass", "print 'a'", "x = t'a' t'{b}'", "x = ur'a'"],
)
def test_whatever_libcst_raises_is_a_refusal(text):
    with pytest.raises(Refused):
        tree_of(reference, text)


# --- what we lean on ----------------------------------------------------------------------------------------------


def leaves(base):
    """The names of the concrete classes below (libcst has most classes twice, to give them slots)."""
    found = set()
    for each in base.__subclasses__():
        found |= leaves(each) or {each.__name__}
    return found


def test_every_class_of_ast_has_a_translation():
    part_of_strings = {ast.FormattedValue, getattr(ast, "Interpolation", ast.FormattedValue)}
    expressions = {each for each in ast.expr.__subclasses__() if each.__module__ == "ast"} - part_of_strings
    assert expressions <= fast._EXPRESSIONS.keys()
    assert set(ast.stmt.__subclasses__()) <= fast._STATEMENTS.keys()


def test_every_class_of_libcst_has_a_translation():
    expressions = {each.__name__ for each in reference._EXPRESSIONS}
    assert {name for name in leaves(cst.BaseExpression) if hasattr(cst, name)} <= expressions
    statements = {each.__name__ for each in reference._STATEMENTS}
    assert leaves(cst.BaseSmallStatement) | leaves(cst.BaseCompoundStatement) <= statements


def test_libcst_still_announces_positions_the_way_that_the_recorder_needs():
    text = "( a.b ) + f( c )"
    recorder = reference._Recorder(text.encode(), tree := cst.parse_module(text))
    tree._codegen(recorder)
    sum_ = tree.body[0].body[0].value
    assert recorder.mismatch is None
    assert recorder.span(sum_) == (0, 16)
    assert recorder.span(sum_.left) == (2, 5)
    assert recorder.span(sum_.right.args[0].value) == (13, 14)


def test_a_tree_translates_any_item_in_any_order():
    text = "a = 1; b = 2\ndef f(): pass\nc = (3, 4)\n"
    for frontend in (fast, reference):
        tree = tree_of(frontend, text)
        backwards = [tree.translate(index) for index in reversed(range(4))]
        assert dump(backwards[::-1]) == dump(translate(frontend, text))
        assert isinstance(backwards[0].stmt.value, Collection)
