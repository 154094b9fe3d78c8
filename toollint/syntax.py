"""The little language: Python without its sugar, as frozen values with byte spans.

Both front ends translate into these nodes and everything above them reads nothing else. The shapes follow
three conventions.

* **Spans.** ``start`` and ``end`` are half-open byte offsets in the decoded text encoded as UTF-8, byte order mark
  removed, newlines untouched, relative to the start of the top-level item. Enclosing parentheses are excluded.
  A definition starts at ``async``, ``def`` or ``class``; its decorators are children that stand before it. Every node
  inside an f-string or a string annotation carries the span of the whole literal: what the interpreter tells about
  places inside strings differs from version to version.
* **Flat chains.** ``a.b(c)[d]``, ``a + b - c``, ``a and b`` and ``elif`` are one node however long they are, so a walker
  needs no more stack than the source has brackets. A parenthesised left part starts a node of its own.
* **Depth.** Nodes nested deeper than `MAX_DEPTH` are ``Other(())``: opaque, never an error.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

MAX_DEPTH = 100
"""Levels of expressions and statements that are translated; what lies deeper is opaque."""


# --- expressions -------------------------------------------------------------------------------------------------


class Name(NamedTuple):
    """A bare identifier, NFKC-normalised."""

    id: str
    start: int
    end: int


class Const(NamedTuple):
    """A literal; implicit concatenations are one node from the first piece to the last, newlines are ``\\n``."""

    value: str | bytes | int | float | complex | bool | None
    start: int
    end: int


class Ellipsis_(NamedTuple):
    """The literal ``...``."""

    start: int
    end: int


class FString(NamedTuple):
    """An f-string or t-string (or a concatenation with one): its replacement expressions, in source order."""

    parts: tuple[Expr, ...]
    start: int
    end: int


class Attr(NamedTuple):
    """The link ``.name`` of a chain; ``end`` closes the prefix that it completes."""

    name: str
    end: int


class Arg(NamedTuple):
    """One argument of a call or a class statement; ``stars`` is 1 for ``*x``, 2 for ``**x``."""

    value: Expr
    keyword: str | None = None
    stars: int = 0


class Call(NamedTuple):
    """The link ``(args)`` of a chain."""

    args: tuple[Arg, ...]
    end: int


class Index(NamedTuple):
    """The link ``[key]`` of a chain."""

    key: Expr
    end: int


class Chain(NamedTuple):
    """``base`` followed by at least one link: attribute accesses, calls and subscripts, in source order.

    The prefix up to and including ``links[i]`` spans ``[start, links[i].end)``.
    """

    base: Expr
    links: tuple[Link, ...]
    start: int
    end: int


class Collection(NamedTuple):
    """A ``tuple``, ``list`` or ``set`` display. A non-empty tuple spans its elements, without parentheses."""

    kind: str
    items: tuple[Expr, ...]
    start: int
    end: int


class Dict(NamedTuple):
    """A dict display; a key of None stands for ``**value``."""

    items: tuple[tuple[Expr | None, Expr], ...]
    start: int
    end: int


class Star(NamedTuple):
    """``*value`` in a display, a subscript or a target."""

    value: Expr
    start: int
    end: int


class Bool(NamedTuple):
    """``a and b and c`` or ``a or b or c``; ``op`` is ``and`` or ``or``."""

    op: str
    operands: tuple[Expr, ...]
    start: int
    end: int


class Not(NamedTuple):
    """``not operand``."""

    operand: Expr
    start: int
    end: int


class Compare(NamedTuple):
    """``a < b is not c``: one operator fewer than operands; operators are spelled as in Python (``is not``)."""

    operands: tuple[Expr, ...]
    ops: tuple[str, ...]
    start: int
    end: int


class Binary(NamedTuple):
    """Left-nested binary operators ``a + b - c``, flat: one operator fewer than operands."""

    operands: tuple[Expr, ...]
    ops: tuple[str, ...]
    start: int
    end: int


class IfExp(NamedTuple):
    """``then if test else orelse``."""

    test: Expr
    then: Expr
    orelse: Expr
    start: int
    end: int


class Lambda(NamedTuple):
    """``lambda params: body``."""

    params: tuple[Param, ...]
    body: Expr
    start: int
    end: int


class Clause(NamedTuple):
    """One ``[async] for target in iter [if ...]`` of a comprehension."""

    target: Expr
    iter: Expr
    ifs: tuple[Expr, ...]
    is_async: bool


class Comprehension(NamedTuple):
    """``kind`` is ``list``, ``set``, ``dict`` or ``generator``; ``elements`` is ``(element,)`` or ``(key, value)``.

    A generator spans from its element to the end of its last clause, without parentheses.
    """

    kind: str
    elements: tuple[Expr, ...]
    clauses: tuple[Clause, ...]
    start: int
    end: int


class Await(NamedTuple):
    """``await value``."""

    value: Expr
    start: int
    end: int


class Yield(NamedTuple):
    """``yield value`` (``delegates`` is False) or ``yield from value``."""

    value: Expr | None
    delegates: bool
    start: int
    end: int


class Walrus(NamedTuple):
    """``target := value``."""

    target: Expr
    value: Expr
    start: int
    end: int


class Other(NamedTuple):
    """Whatever the language has no word for (unary minus, slices, types): its children in source order."""

    children: tuple[Expr, ...]
    start: int
    end: int


Link: TypeAlias = Attr | Call | Index
Expr: TypeAlias = (
    Name
    | Const
    | Ellipsis_
    | FString
    | Chain
    | Collection
    | Dict
    | Star
    | Bool
    | Not
    | Compare
    | Binary
    | IfExp
    | Lambda
    | Comprehension
    | Await
    | Yield
    | Walrus
    | Other
)

# --- statements --------------------------------------------------------------------------------------------------


class Param(NamedTuple):
    """A parameter; ``kind`` is ``positional`` (before ``/``), ``plain``, ``var``, ``keyword`` or ``kwvar``."""

    name: str
    annotation: Expr | None
    default: Expr | None
    kind: str


class Evaluate(NamedTuple):
    """An expression as a statement."""

    value: Expr
    start: int
    end: int


class Bind(NamedTuple):
    """``a = b = value``, ``a: annotation [= value]`` or ``a += value`` (``op`` is ``+=``, otherwise empty)."""

    targets: tuple[Expr, ...]
    value: Expr | None
    annotation: Expr | None
    op: str
    start: int
    end: int


class Return(NamedTuple):
    """``return [value]``."""

    value: Expr | None
    start: int
    end: int


class Raise(NamedTuple):
    """``raise [value] [from cause]``."""

    value: Expr | None
    cause: Expr | None
    start: int
    end: int


class Delete(NamedTuple):
    """``del a, b[c]``."""

    targets: tuple[Expr, ...]
    start: int
    end: int


class Simple(NamedTuple):
    """``pass``, ``break`` or ``continue``: ``word`` says which."""

    word: str
    start: int
    end: int


class Scope(NamedTuple):
    """``global names`` or ``nonlocal names``: ``word`` says which."""

    word: str
    names: tuple[str, ...]
    start: int
    end: int


class Import(NamedTuple):
    """``import a.b as c``: pairs of dotted module and name bound (None: the first part of the module)."""

    names: tuple[tuple[str, str | None], ...]
    start: int
    end: int


class ImportFrom(NamedTuple):
    """``from ..module import a as b``: ``level`` counts the dots; a star import has the one pair ``("*", None)``."""

    module: str
    names: tuple[tuple[str, str | None], ...]
    level: int
    start: int
    end: int


class If(NamedTuple):
    """``if`` with its ``elif`` as (test, body) branches, flat, and the ``else`` block."""

    branches: tuple[tuple[Expr, Block], ...]
    orelse: Block
    start: int
    end: int


class For(NamedTuple):
    """``[async] for target in iter: body [else: orelse]``."""

    target: Expr
    iter: Expr
    body: Block
    orelse: Block
    is_async: bool
    start: int
    end: int


class While(NamedTuple):
    """``while test: body [else: orelse]``."""

    test: Expr
    body: Block
    orelse: Block
    start: int
    end: int


class Handler(NamedTuple):
    """``except type as name: body``."""

    type: Expr | None
    name: str | None
    body: Block
    start: int
    end: int


class Try(NamedTuple):
    """``try`` with handlers (``except*`` too), ``else`` and ``finally``."""

    body: Block
    handlers: tuple[Handler, ...]
    orelse: Block
    final: Block
    start: int
    end: int


class With(NamedTuple):
    """``[async] with context as target, ...: body``."""

    items: tuple[tuple[Expr, Expr | None], ...]
    body: Block
    is_async: bool
    start: int
    end: int


class Case(NamedTuple):
    """One ``case`` of a match: the names that its pattern binds (in source order), its guard, its body."""

    binds: tuple[str, ...]
    guard: Expr | None
    body: Block


class Match(NamedTuple):
    """``match subject`` and its cases."""

    subject: Expr
    cases: tuple[Case, ...]
    start: int
    end: int


class Def(NamedTuple):
    """A function. ``name_start``/``name_end`` span its name; decorators are expressions that stand before ``start``."""

    name: str
    params: tuple[Param, ...]
    returns: Expr | None
    decorators: tuple[Expr, ...]
    body: Block
    is_async: bool
    name_start: int
    name_end: int
    start: int
    end: int


class Class(NamedTuple):
    """A class: ``args`` are its bases and keywords."""

    name: str
    args: tuple[Arg, ...]
    decorators: tuple[Expr, ...]
    body: Block
    name_start: int
    name_end: int
    start: int
    end: int


class OtherStmt(NamedTuple):
    """A statement that the language has no word for (``assert``, ``type X = ...``): its expressions in source order."""

    children: tuple[Expr, ...]
    start: int
    end: int


Stmt: TypeAlias = (
    Evaluate
    | Bind
    | Return
    | Raise
    | Delete
    | Simple
    | Scope
    | Import
    | ImportFrom
    | If
    | For
    | While
    | Try
    | With
    | Match
    | Def
    | Class
    | OtherStmt
)
Block: TypeAlias = tuple[Stmt, ...]

# --- a file ------------------------------------------------------------------------------------------------------


class Item(NamedTuple):
    """One top-level statement: ``start`` and ``end`` are absolute byte offsets (decorators included)."""

    start: int
    end: int
    stmt: Stmt
