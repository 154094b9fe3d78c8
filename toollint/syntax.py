"""The little language: Python without its sugar, as frozen values with byte spans.

Both front ends translate into these nodes and everything above them reads nothing else. The shapes follow
three conventions.

* **Spans.** ``start`` and ``end`` are half-open byte offsets in the decoded text encoded as UTF-8, byte order mark
  removed, newlines untouched, relative to the start of the top-level item. Enclosing parentheses are excluded.
  A definition starts at ``async``, ``def`` or ``class``; its decorators are children that stand before it. Every node
  inside an f-string or a string annotation carries the span of the whole literal: what the interpreter tells about
  places inside strings differs from version to version.
* **Flat chains.** ``a.b(c)[d]``, ``a + b - c``, ``a and b`` and ``elif`` are one node however long they are, so a
  walker needs no more stack than the source has brackets. A parenthesised left part starts a node of its own.
* **Depth.** Nodes nested deeper than `MAX_DEPTH` are ``Other(())``: opaque, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

MAX_DEPTH = 100
"""Levels of expressions and statements that are translated; what lies deeper is opaque."""


class Node:
    """A frozen value that iterates over its fields, as a tuple would."""

    __slots__: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Any]:
        """Give the fields in order."""
        return map(self.__getattribute__, self.__slots__)


# --- expressions -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A bare identifier, NFKC-normalised."""

    id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Const(Node):
    """A literal; implicit concatenations are one node from the first piece to the last, newlines are LF."""

    value: str | bytes | int | float | complex | bool | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Dots(Node):
    """The literal ``...``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class FString(Node):
    """An f-string or t-string (or a concatenation with one): its replacement expressions, in source order."""

    parts: tuple[Expr, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Attr(Node):
    """The link ``.name`` of a chain; ``end`` closes the prefix that it completes."""

    name: str
    end: int


@dataclass(frozen=True, slots=True)
class Arg(Node):
    """One argument of a call or a class statement; ``stars`` is 1 for ``*x``, 2 for ``**x``."""

    value: Expr
    keyword: str | None = None
    stars: int = 0


@dataclass(frozen=True, slots=True)
class Call(Node):
    """The link ``(args)`` of a chain."""

    args: tuple[Arg, ...]
    end: int


@dataclass(frozen=True, slots=True)
class Index(Node):
    """The link ``[key]`` of a chain."""

    key: Expr
    end: int


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """``base`` followed by at least one link: attribute accesses, calls and subscripts, in source order.

    The prefix up to and including ``links[i]`` spans ``[start, links[i].end)``.
    """

    base: Expr
    links: tuple[Link, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Collection(Node):
    """A ``tuple``, ``list`` or ``set`` display. A non-empty tuple spans its elements, without parentheses."""

    kind: str
    items: tuple[Expr, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Dict(Node):
    """A dict display; a key of None stands for ``**value``."""

    items: tuple[tuple[Expr | None, Expr], ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Star(Node):
    """``*value`` in a display, a subscript or a target."""

    value: Expr
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Bool(Node):
    """``a and b and c`` or ``a or b or c``; ``op`` is ``and`` or ``or``."""

    op: str
    operands: tuple[Expr, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Not(Node):
    """``not operand``."""

    operand: Expr
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """``a < b is not c``: one operator fewer than operands; operators are spelled as in Python (``is not``)."""

    operands: tuple[Expr, ...]
    ops: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Left-nested binary operators ``a + b - c``, flat: one operator fewer than operands."""

    operands: tuple[Expr, ...]
    ops: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class IfExp(Node):
    """``then if test else orelse``."""

    test: Expr
    then: Expr
    orelse: Expr
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    """``lambda params: body``."""

    params: tuple[Param, ...]
    body: Expr
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Clause(Node):
    """One ``[async] for target in iter [if ...]`` of a comprehension."""

    target: Expr
    iter: Expr
    ifs: tuple[Expr, ...]
    is_async: bool


@dataclass(frozen=True, slots=True)
class Comprehension(Node):
    """``kind`` is ``list``, ``set``, ``dict`` or ``generator``; ``elements`` is ``(element,)`` or ``(key, value)``.

    A generator spans from its element to the end of its last clause, without parentheses.
    """

    kind: str
    elements: tuple[Expr, ...]
    clauses: tuple[Clause, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Await(Node):
    """``await value``."""

    value: Expr
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Yield(Node):
    """``yield value`` (``delegates`` is False) or ``yield from value``."""

    value: Expr | None
    delegates: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Walrus(Node):
    """``target := value``."""

    target: Expr
    value: Expr
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Other(Node):
    """Whatever the language has no word for (unary minus, slices, types): its children in source order."""

    children: tuple[Expr, ...]
    start: int
    end: int


Link: TypeAlias = Attr | Call | Index
Expr: TypeAlias = (
    Name
    | Const
    | Dots
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


@dataclass(frozen=True, slots=True)
class Param(Node):
    """A parameter; ``kind`` is ``positional`` (before ``/``), ``plain``, ``var``, ``keyword`` or ``kwvar``."""

    name: str
    annotation: Expr | None
    default: Expr | None
    kind: str


@dataclass(frozen=True, slots=True)
class Evaluate(Node):
    """An expression as a statement."""

    value: Expr
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Bind(Node):
    """``a = b = value``, ``a: annotation [= value]`` or ``a += value`` (``op`` is ``+=``, otherwise empty)."""

    targets: tuple[Expr, ...]
    value: Expr | None
    annotation: Expr | None
    op: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Return(Node):
    """``return [value]``."""

    value: Expr | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Raise(Node):
    """``raise [value] [from cause]``."""

    value: Expr | None
    cause: Expr | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Delete(Node):
    """``del a, b[c]``."""

    targets: tuple[Expr, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Simple(Node):
    """``pass``, ``break`` or ``continue``: ``word`` says which."""

    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Scope(Node):
    """``global names`` or ``nonlocal names``: ``word`` says which."""

    word: str
    names: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Import(Node):
    """``import a.b as c``: pairs of dotted module and name bound (None: the first part of the module)."""

    names: tuple[tuple[str, str | None], ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ImportFrom(Node):
    """``from ..module import a as b``: ``level`` counts the dots; a star import has the one pair ``("*", None)``."""

    module: str
    names: tuple[tuple[str, str | None], ...]
    level: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class If(Node):
    """``if`` with its ``elif`` as (test, body) branches, flat, and the ``else`` block."""

    branches: tuple[tuple[Expr, Block], ...]
    orelse: Block
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class For(Node):
    """``[async] for target in iter: body [else: orelse]``."""

    target: Expr
    iter: Expr
    body: Block
    orelse: Block
    is_async: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class While(Node):
    """``while test: body [else: orelse]``."""

    test: Expr
    body: Block
    orelse: Block
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Handler(Node):
    """``except type as name: body``."""

    type: Expr | None
    name: str | None
    body: Block
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Try(Node):
    """``try`` with handlers (``except*`` too), ``else`` and ``finally``."""

    body: Block
    handlers: tuple[Handler, ...]
    orelse: Block
    final: Block
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class With(Node):
    """``[async] with context as target, ...: body``."""

    items: tuple[tuple[Expr, Expr | None], ...]
    body: Block
    is_async: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Case(Node):
    """One ``case`` of a match: the names that its pattern binds (in source order), its guard, its body."""

    binds: tuple[str, ...]
    guard: Expr | None
    body: Block


@dataclass(frozen=True, slots=True)
class Match(Node):
    """``match subject`` and its cases."""

    subject: Expr
    cases: tuple[Case, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Def(Node):
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


@dataclass(frozen=True, slots=True)
class Class(Node):
    """A class: ``args`` are its bases and keywords."""

    name: str
    args: tuple[Arg, ...]
    decorators: tuple[Expr, ...]
    body: Block
    name_start: int
    name_end: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class OtherStmt(Node):
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


@dataclass(frozen=True, slots=True)
class Item(Node):
    """One top-level statement: ``start`` and ``end`` are absolute byte offsets (decorators included)."""

    start: int
    end: int
    stmt: Stmt


# --- walking -----------------------------------------------------------------------------------------------------


def walk(*roots: Any, into: bool = True) -> Iterator[Any]:
    """Every node below and including ``roots`` (nodes, or tuples of them), in source order, without recursion.

    With ``into`` False the bodies of nested functions, lambdas and classes are left out; their decorators, defaults
    and bases are evaluated where they stand and belong to the walk.
    """
    stack: list[Any] = [*reversed(roots)]
    children = _CHILDREN
    while stack:
        node = stack.pop()
        kind = type(node)
        if kind is tuple:
            stack.extend(reversed(node))
        elif node is not None:
            yield node
            if not into and kind in _SCOPES:
                stack.extend(reversed(_evaluated_outside(node)))
            else:
                stack.extend([getattr(node, name) for name in children[kind]])


def _evaluated_outside(node: Def | Class | Lambda) -> list[Any]:
    if isinstance(node, Class):
        return [node.decorators, node.args]
    defaults = [param.default for param in node.params]
    return [node.decorators, *defaults] if isinstance(node, Def) else [*defaults]


_SCOPES = frozenset({Def, Class, Lambda})
_HOLDS_NODES = re.compile(r"Expr|Stmt|Block|Link|Arg|Param|Clause|Handler|Case")
_CHILDREN = {
    kind: tuple(name for name, held in reversed(kind.__annotations__.items()) if _HOLDS_NODES.search(held))
    for kind in Node.__subclasses__()
}
"""The fields of each kind of node that hold nodes, last first: `walk` is where the time goes."""


# --- small questions ---------------------------------------------------------------------------------------------


def is_none(expr: Expr | None) -> bool:
    """Whether it is the literal None."""
    return isinstance(expr, Const) and expr.value is None


def is_name(node: object, name: str | None) -> bool:
    """Whether it is that bare name."""
    return isinstance(node, Name) and node.id == name


def prefix(chain: Chain, count: int) -> Expr:
    """The expression made of the base and the first ``count`` links of a chain."""
    links = chain.links[:count]
    return Chain(chain.base, links, chain.start, links[-1].end) if links else chain.base


def callee(expr: Expr) -> Expr | None:
    """What a call calls, None where the expression is no call."""
    if isinstance(expr, Chain) and isinstance(expr.links[-1], Call):
        return prefix(expr, len(expr.links) - 1)
    return None


def last_call(expr: Expr | None) -> Call | None:
    """The call that an expression ends with; ``await`` is looked through."""
    if isinstance(expr, Await):
        expr = expr.value
    return expr.links[-1] if isinstance(expr, Chain) and isinstance(expr.links[-1], Call) else None


def attribute_of(expr: Expr, owner: str | None) -> str | None:
    """The ``name`` of ``owner.name``, None for any other expression."""
    if isinstance(expr, Chain) and isinstance(expr.base, Name) and expr.base.id == owner and len(expr.links) == 1:
        link = expr.links[0]
        return link.name if isinstance(link, Attr) else None
    return None


def fetched(expr: Expr | None) -> tuple[Expr, str] | None:
    """The object and the name of ``getattr(object, "name")``, with or without a default; None for anything else."""
    called, call = (callee(expr), last_call(expr)) if expr is not None else (None, None)
    if call is None or not is_name(called, "getattr") or len(call.args) < 2:
        return None
    owner, name = call.args[0].value, call.args[1].value
    return (owner, name.value) if isinstance(name, Const) and isinstance(name.value, str) else None


def subscripted(expr: Expr) -> tuple[Expr, tuple[Expr, ...]]:
    """``head[a, b]`` as the head and its arguments; no arguments for what is no subscript."""
    if isinstance(expr, Chain) and isinstance(expr.links[-1], Index):
        key = expr.links[-1].key
        head = prefix(expr, len(expr.links) - 1)
        return head, key.items if isinstance(key, Collection) and key.kind == "tuple" else (key,)
    return expr, ()


def argument(call: Call, keyword: str, position: int | None = None) -> Expr | None:
    """The argument given for a parameter, by keyword or by position; None where it is not given plainly."""
    for arg in call.args:
        if arg.keyword == keyword:
            return arg.value
    plain = [arg for arg in call.args if arg.keyword is None]
    if position is None or position >= len(plain) or any(arg.stars for arg in plain[: position + 1]):
        return None
    return plain[position].value


def last_name(expr: Expr) -> str:
    """The last identifier of a name or dotted name, called or not: ``field`` of ``dataclasses.field(...)``."""
    if isinstance(expr, Name):
        return expr.id
    if not isinstance(expr, Chain):
        return ""
    names = [link.name for link in expr.links if isinstance(link, Attr)]
    return names[-1] if names else last_name(expr.base)
