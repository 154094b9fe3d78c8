"""The accelerator: `ast` -> the little language.

It knows only the grammar of the interpreter that it runs on, and it must say exactly what `reference` says.
"""

from __future__ import annotations

import ast
import re
import warnings
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from toollint.frontends import Refused, refuse_null, unquote
from toollint.syntax import (
    MAX_DEPTH,
    Arg,
    Attr,
    Await,
    Binary,
    Bind,
    Block,
    Bool,
    Call,
    Case,
    Chain,
    Class,
    Clause,
    Collection,
    Compare,
    Comprehension,
    Const,
    Def,
    Delete,
    Dict,
    Dots,
    Evaluate,
    Expr,
    For,
    FString,
    Handler,
    If,
    IfExp,
    Import,
    ImportFrom,
    Index,
    Item,
    Lambda,
    Link,
    Match,
    Name,
    Not,
    Other,
    OtherStmt,
    Param,
    Raise,
    Return,
    Scope,
    Simple,
    Star,
    Stmt,
    Try,
    Walrus,
    While,
    With,
    Yield,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_NAME_OF_DEFINITION = re.compile(rb"(?:async[\s\\]+)?(?:def|class)[\s\\]+([\w\x80-\xff]+)")
_TO_DECORATOR = re.compile(rb"(?:[\s\\;]|#[^\r\n]*)*")
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.MatMult: "@",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.And: "and",
    ast.Or: "or",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}


def parse(text: str, utf8: bytes, line_starts: Sequence[int]) -> Module:
    """Parse a file: ``text`` without byte order mark, the same as UTF-8, and the byte offset of each line in that.

    Raises:
        Refused: the running interpreter does not take it; message and place are the interpreter's.
    """
    refuse_null(utf8, line_starts)
    try:
        tree = _parse(text, "exec")
    except SyntaxError as error:
        raise Refused(error.msg, max(error.lineno or 1, 1), max(error.offset or 1, 1)) from None
    except ValueError as error:
        raise Refused(str(error)) from None
    except (RecursionError, MemoryError):
        raise Refused("too deeply nested for the parser") from None
    return Module(tree.body, utf8, line_starts)


def _parse(text: str, mode: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode=mode)


class Module:
    """A `toollint.frontends.Tree`."""

    def __init__(self, body: Sequence[ast.stmt], utf8: bytes, line_starts: Sequence[int]) -> None:
        self._body = body
        self._utf8 = utf8
        self._line_starts = line_starts
        self.spans: list[tuple[int, int]] = []
        end = 0
        for node in body:
            start = line_starts[node.lineno - 1] + node.col_offset
            if getattr(node, "decorator_list", None):
                # ast has no place for "@"; only blanks and comments stand between it and the statement before.
                start = _TO_DECORATOR.match(utf8, end).end()  # type: ignore[union-attr]
            end = line_starts[_end_line(node) - 1] + _end_column(node)
            self.spans.append((start, end))

    def translate(self, index: int) -> Item:
        """Translate one top-level statement."""
        node = self._body[index]
        start, end = self.spans[index]
        decorators = getattr(node, "decorator_list", ())
        first = min(node.lineno, *[decorator.lineno for decorator in decorators]) if decorators else node.lineno
        lines = {row: self._line_starts[row - 1] - start for row in range(first, _end_line(node) + 1)}
        try:
            return Item(start, end, _Translator(lines, self._utf8[start:end]).stmt(node, 1))
        except RecursionError:
            raise Refused("too deeply nested", node.lineno) from None


_end_line: Any = attrgetter("end_lineno")
_end_column: Any = attrgetter("end_col_offset")


class _Translator:
    """Translates the nodes of one item; ``lines`` maps its rows to byte offsets relative to the item's start."""

    __slots__ = ("_lines", "utf8")

    def __init__(self, lines: Mapping[int, int], utf8: bytes) -> None:
        self._lines = lines
        self.utf8 = utf8

    def start(self, node: Any) -> int:
        return self._lines[node.lineno] + int(node.col_offset)

    def end(self, node: Any) -> int:
        return self._lines[node.end_lineno] + int(node.end_col_offset)

    def pinned(self, start: int, end: int) -> _Translator:
        """A translator for nodes inside a literal, all of which carry the literal's span."""
        return _Pinned(start, end)

    def expr(self, node: Any, depth: int) -> Expr:
        if depth > MAX_DEPTH:
            return Other((), self.start(_outermost(node, 0)), self.end(_outermost(node, -1)))
        lines = self._lines
        translated: Expr = _EXPRESSIONS[type(node)](
            self,
            node,
            lines[node.lineno] + node.col_offset,
            lines[node.end_lineno] + node.end_col_offset,
            depth + 1,
        )
        return translated

    def exprs(self, nodes: Sequence[ast.expr], depth: int) -> tuple[Expr, ...]:
        return tuple([self.expr(node, depth) for node in nodes])

    def maybe(self, node: ast.expr | None, depth: int) -> Expr | None:
        return None if node is None else self.expr(node, depth)

    def stmt(self, node: Any, depth: int) -> Stmt:
        start, end = self.start(node), self.end(node)
        if depth > MAX_DEPTH:
            return OtherStmt((), start, end)
        translated: Stmt = _STATEMENTS[type(node)](self, node, start, end, depth + 1)
        return translated

    def block(self, nodes: Sequence[ast.stmt], depth: int) -> Block:
        return tuple([self.stmt(node, depth) for node in nodes])

    def annotation(self, node: ast.expr | None, depth: int) -> Expr | None:
        return None if node is None else unquote(self.expr(node, depth), self._parse_string, depth)

    def _parse_string(self, string: Const, depth: int) -> Expr | None:
        try:
            tree = _parse(str(string.value).strip(), "eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        return self.pinned(string.start, string.end).expr(tree.body, depth)

    def args(self, values: Sequence[ast.expr], keywords: Sequence[ast.keyword], depth: int) -> tuple[Arg, ...]:
        """Positional arguments and keywords in source order."""
        if not keywords:
            return tuple([self._arg(value, depth) for value in values])
        nodes: list[Any] = [*values, *keywords]
        if any(type(value) is ast.Starred for value in values):  # all that may stand after a keyword
            nodes.sort(key=attrgetter("lineno", "col_offset"))
        return tuple([self._arg(node, depth) for node in nodes])

    def _arg(self, node: Any, depth: int) -> Arg:
        kind = type(node)
        if kind is ast.keyword:
            return Arg(self.expr(node.value, depth), node.arg, 0 if node.arg else 2)
        if kind is ast.Starred:
            return Arg(self.expr(node.value, depth), None, 1)
        return Arg(self.expr(node, depth))

    def params(self, node: ast.arguments, depth: int) -> tuple[Param, ...]:
        plain = [*node.posonlyargs, *node.args]
        defaults = [None] * (len(plain) - len(node.defaults)) + node.defaults
        found = [
            self._param(arg, default, "positional" if place < len(node.posonlyargs) else "plain", depth)
            for place, (arg, default) in enumerate(zip(plain, defaults, strict=True))
        ]
        if node.vararg:
            found.append(self._param(node.vararg, None, "var", depth))
        for arg, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            found.append(self._param(arg, default, "keyword", depth))
        if node.kwarg:
            found.append(self._param(node.kwarg, None, "kwvar", depth))
        return tuple(found)

    def _param(self, arg: ast.arg, default: ast.expr | None, kind: str, depth: int) -> Param:
        return Param(arg.arg, self.annotation(arg.annotation, depth), self.maybe(default, depth), kind)


class _Pinned(_Translator):
    """Translates what stands inside a literal: every node has the literal's span."""

    __slots__ = ("_span",)

    def __init__(self, start: int, end: int) -> None:
        self._span = start, end

    def start(self, node: Any) -> int:  # noqa: ARG002
        return self._span[0]

    def end(self, node: Any) -> int:  # noqa: ARG002
        return self._span[1]

    def pinned(self, start: int, end: int) -> _Translator:  # noqa: ARG002 - the outermost literal counts
        return self

    def expr(self, node: Any, depth: int) -> Expr:
        start, end = self._span
        if depth > MAX_DEPTH:
            return Other((), start, end)
        translated: Expr = _EXPRESSIONS[type(node)](self, node, start, end, depth + 1)
        return translated


def _outermost(node: Any, side: int) -> Any:
    """The node that gives a tuple or generator its start (side 0) or end (side -1): those are measured by content."""
    while True:
        if isinstance(node, ast.Tuple) and node.elts:
            node = node.elts[side]
        elif isinstance(node, ast.GeneratorExp):
            last = node.generators[-1]
            node = node.elt if side == 0 else [last.iter, *last.ifs][-1]
        else:
            return node


def _table(by_name: dict[str, Any]) -> dict[type[ast.AST], Any]:
    """What stands for the name of a class, by class; this version of the interpreter may lack some."""
    return {getattr(ast, name): value for name, value in by_name.items() if hasattr(ast, name)}


# --- expressions: each function gets the translator, the node, its span and the depth of its children --------------


def _name(_t: _Translator, node: ast.Name, start: int, end: int, _depth: int) -> Expr:
    return Name(node.id, start, end)


def _constant(_t: _Translator, node: ast.Constant, start: int, end: int, _depth: int) -> Expr:
    return Dots(start, end) if node.value is ... else Const(node.value, start, end)


def _chain(t: _Translator, node: Any, start: int, end: int, depth: int) -> Expr:
    row, column = node.lineno, node.col_offset
    links: list[Link] = []
    while True:
        kind = type(node)
        if kind is ast.Attribute:
            links.append(Attr(node.attr, t.end(node)))
            base = node.value
        elif kind is ast.Call:
            links.append(Call(t.args(node.args, node.keywords, depth), t.end(node)))
            base = node.func
        else:
            links.append(Index(t.expr(node.slice, depth), t.end(node)))
            base = node.value
        # A base that starts further right stands in parentheses: a chain of its own.
        if type(base) not in _LINKS or base.col_offset != column or base.lineno != row:
            break
        node = base
    links.reverse()
    return Chain(t.expr(base, depth), tuple(links), start, end)


_LINKS = {ast.Attribute, ast.Call, ast.Subscript}


def _binary(t: _Translator, node: Any, start: int, end: int, depth: int) -> Expr:
    row, column = node.lineno, node.col_offset
    operands, ops = [], []
    while True:
        operands.append(t.expr(node.right, depth))
        ops.append(_OPERATORS[type(node.op)])
        left = node.left
        if type(left) is not ast.BinOp or left.col_offset != column or left.lineno != row:
            break
        node = left
    operands.append(t.expr(left, depth))
    return Binary(tuple(operands[::-1]), tuple(ops[::-1]), start, end)


def _tuple(t: _Translator, node: ast.Tuple, start: int, end: int, depth: int) -> Expr:
    items = t.exprs(node.elts, depth)
    if items:
        start, end = items[0].start, items[-1].end
    return Collection("tuple", items, start, end)


def _list(t: _Translator, node: ast.List, start: int, end: int, depth: int) -> Expr:
    return Collection("list", t.exprs(node.elts, depth), start, end)


def _set(t: _Translator, node: ast.Set, start: int, end: int, depth: int) -> Expr:
    return Collection("set", t.exprs(node.elts, depth), start, end)


def _dict(t: _Translator, node: ast.Dict, start: int, end: int, depth: int) -> Expr:
    pairs = zip(node.keys, node.values, strict=True)
    return Dict(tuple([(t.maybe(key, depth), t.expr(value, depth)) for key, value in pairs]), start, end)


def _starred(t: _Translator, node: ast.Starred, start: int, end: int, depth: int) -> Expr:
    return Star(t.expr(node.value, depth), start, end)


def _bool(t: _Translator, node: ast.BoolOp, start: int, end: int, depth: int) -> Expr:
    return Bool(_OPERATORS[type(node.op)], t.exprs(node.values, depth), start, end)


def _unary(t: _Translator, node: Any, start: int, end: int, depth: int) -> Expr:
    if isinstance(node.op, ast.Not):
        return Not(t.expr(node.operand, depth), start, end)
    while type(node) is ast.UnaryOp and not isinstance(node.op, ast.Not):
        node = node.operand
    return Other((t.expr(node, depth),), start, end)


def _compare(t: _Translator, node: ast.Compare, start: int, end: int, depth: int) -> Expr:
    ops = tuple([_OPERATORS[type(op)] for op in node.ops])
    return Compare((t.expr(node.left, depth), *t.exprs(node.comparators, depth)), ops, start, end)


def _ifexp(t: _Translator, node: ast.IfExp, start: int, end: int, depth: int) -> Expr:
    return IfExp(t.expr(node.test, depth), t.expr(node.body, depth), t.expr(node.orelse, depth), start, end)


def _lambda(t: _Translator, node: ast.Lambda, start: int, end: int, depth: int) -> Expr:
    return Lambda(t.params(node.args, depth), t.expr(node.body, depth), start, end)


def _comprehension(t: _Translator, node: Any, start: int, end: int, depth: int) -> Expr:
    kind = _COMPREHENSIONS[type(node)]
    elements = t.exprs((node.key, node.value) if kind == "dict" else (node.elt,), depth)
    clauses = tuple(
        [
            Clause(t.expr(each.target, depth), t.expr(each.iter, depth), t.exprs(each.ifs, depth), bool(each.is_async))
            for each in node.generators
        ]
    )
    if kind == "generator":
        start, end = elements[0].start, (clauses[-1].iter, *clauses[-1].ifs)[-1].end
    return Comprehension(kind, elements, clauses, start, end)


_COMPREHENSIONS = _table({"ListComp": "list", "SetComp": "set", "DictComp": "dict", "GeneratorExp": "generator"})


def _await(t: _Translator, node: ast.Await, start: int, end: int, depth: int) -> Expr:
    return Await(t.expr(node.value, depth), start, end)


def _yield(t: _Translator, node: ast.Yield, start: int, end: int, depth: int) -> Expr:
    return Yield(t.maybe(node.value, depth), False, start, end)


def _yield_from(t: _Translator, node: ast.YieldFrom, start: int, end: int, depth: int) -> Expr:
    return Yield(t.expr(node.value, depth), True, start, end)


def _walrus(t: _Translator, node: ast.NamedExpr, start: int, end: int, depth: int) -> Expr:
    return Walrus(t.expr(node.target, depth), t.expr(node.value, depth), start, end)


def _slice(t: _Translator, node: ast.Slice, start: int, end: int, depth: int) -> Expr:
    bounds = [bound for bound in (node.lower, node.upper, node.step) if bound is not None]
    return Other(t.exprs(bounds, depth), start, end)


def _fstring(t: _Translator, node: Any, start: int, end: int, depth: int) -> Expr:
    return FString(t.pinned(start, end).exprs(list(_replacements(node)), depth), start, end)


def _replacements(string: Any) -> Iterator[ast.expr]:
    for part in string.values:
        if type(part) is not ast.Constant:
            yield part.value
            if part.format_spec is not None:
                yield from _replacements(part.format_spec)


_EXPRESSIONS = _table(
    {
        "Name": _name,
        "Constant": _constant,
        "Attribute": _chain,
        "Call": _chain,
        "Subscript": _chain,
        "BinOp": _binary,
        "Tuple": _tuple,
        "List": _list,
        "Set": _set,
        "Dict": _dict,
        "Starred": _starred,
        "BoolOp": _bool,
        "UnaryOp": _unary,
        "Compare": _compare,
        "IfExp": _ifexp,
        "Lambda": _lambda,
        "ListComp": _comprehension,
        "SetComp": _comprehension,
        "DictComp": _comprehension,
        "GeneratorExp": _comprehension,
        "Await": _await,
        "Yield": _yield,
        "YieldFrom": _yield_from,
        "NamedExpr": _walrus,
        "Slice": _slice,
        "JoinedStr": _fstring,
        "TemplateStr": _fstring,
    }
)


# --- statements --------------------------------------------------------------------------------------------------


def _evaluate(t: _Translator, node: ast.Expr, start: int, end: int, depth: int) -> Stmt:
    return Evaluate(t.expr(node.value, depth), start, end)


def _assign(t: _Translator, node: ast.Assign, start: int, end: int, depth: int) -> Stmt:
    return Bind(t.exprs(node.targets, depth), t.expr(node.value, depth), None, "", start, end)


def _annotated(t: _Translator, node: ast.AnnAssign, start: int, end: int, depth: int) -> Stmt:
    target, annotation = t.expr(node.target, depth), t.annotation(node.annotation, depth)
    return Bind((target,), t.maybe(node.value, depth), annotation, "", start, end)


def _augmented(t: _Translator, node: ast.AugAssign, start: int, end: int, depth: int) -> Stmt:
    op = _OPERATORS[type(node.op)] + "="
    return Bind((t.expr(node.target, depth),), t.expr(node.value, depth), None, op, start, end)


def _return(t: _Translator, node: ast.Return, start: int, end: int, depth: int) -> Stmt:
    return Return(t.maybe(node.value, depth), start, end)


def _raise(t: _Translator, node: ast.Raise, start: int, end: int, depth: int) -> Stmt:
    return Raise(t.maybe(node.exc, depth), t.maybe(node.cause, depth), start, end)


def _delete(t: _Translator, node: ast.Delete, start: int, end: int, depth: int) -> Stmt:
    return Delete(t.exprs(node.targets, depth), start, end)


def _word(_t: _Translator, node: ast.stmt, start: int, end: int, _depth: int) -> Stmt:
    return Simple(type(node).__name__.lower(), start, end)


def _scope(_t: _Translator, node: Any, start: int, end: int, _depth: int) -> Stmt:
    return Scope(type(node).__name__.lower(), tuple(node.names), start, end)


def _import(_t: _Translator, node: ast.Import, start: int, end: int, _depth: int) -> Stmt:
    return Import(tuple([(alias.name, alias.asname) for alias in node.names]), start, end)


def _import_from(_t: _Translator, node: ast.ImportFrom, start: int, end: int, _depth: int) -> Stmt:
    names = tuple([(alias.name, alias.asname) for alias in node.names])
    return ImportFrom(node.module or "", names, node.level, start, end)


def _if(t: _Translator, node: ast.If, start: int, end: int, depth: int) -> Stmt:
    branches = []
    while True:
        branches.append((t.expr(node.test, depth), t.block(node.body, depth)))
        orelse = node.orelse
        if len(orelse) != 1 or not isinstance(orelse[0], ast.If) or not t.utf8.startswith(b"elif", t.start(orelse[0])):
            return If(tuple(branches), t.block(orelse, depth), start, end)
        node = orelse[0]


def _for(t: _Translator, node: ast.For | ast.AsyncFor, start: int, end: int, depth: int) -> Stmt:
    target, values = t.expr(node.target, depth), t.expr(node.iter, depth)
    is_async = isinstance(node, ast.AsyncFor)
    return For(target, values, t.block(node.body, depth), t.block(node.orelse, depth), is_async, start, end)


def _while(t: _Translator, node: ast.While, start: int, end: int, depth: int) -> Stmt:
    return While(t.expr(node.test, depth), t.block(node.body, depth), t.block(node.orelse, depth), start, end)


def _try(t: _Translator, node: ast.Try, start: int, end: int, depth: int) -> Stmt:
    handlers = tuple(
        [
            Handler(t.maybe(each.type, depth), each.name, t.block(each.body, depth), t.start(each), t.end(each))
            for each in node.handlers
        ]
    )
    body, orelse, final = (t.block(part, depth) for part in (node.body, node.orelse, node.finalbody))
    return Try(body, handlers, orelse, final, start, end)


def _with(t: _Translator, node: ast.With | ast.AsyncWith, start: int, end: int, depth: int) -> Stmt:
    items = tuple([(t.expr(each.context_expr, depth), t.maybe(each.optional_vars, depth)) for each in node.items])
    return With(items, t.block(node.body, depth), isinstance(node, ast.AsyncWith), start, end)


def _match(t: _Translator, node: ast.Match, start: int, end: int, depth: int) -> Stmt:
    cases = tuple(
        [Case(_captures(case.pattern), t.maybe(case.guard, depth), t.block(case.body, depth)) for case in node.cases]
    )
    return Match(t.expr(node.subject, depth), cases, start, end)


def _captures(pattern: ast.pattern) -> tuple[str, ...]:
    """The names that a pattern binds, each once (alternatives bind the same ones), in source order."""
    found: dict[str, None] = {}
    stack: list[Any] = [pattern]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            found[node] = None
        elif isinstance(node, ast.MatchAs):
            stack += [part for part in (node.name, node.pattern) if part is not None]
        elif isinstance(node, ast.MatchStar):
            stack += [node.name] if node.name else []
        elif isinstance(node, ast.MatchMapping):
            stack += [*([node.rest] if node.rest else []), *reversed(node.patterns)]
        elif isinstance(node, ast.MatchClass):
            stack += reversed([*node.patterns, *node.kwd_patterns])
        elif isinstance(node, (ast.MatchSequence, ast.MatchOr)):
            stack += reversed(node.patterns)
    return tuple(found)


def _def(t: _Translator, node: Any, start: int, end: int, depth: int) -> Stmt:
    return Def(
        node.name,
        t.params(node.args, depth),
        t.annotation(node.returns, depth),
        t.exprs(node.decorator_list, depth),
        t.block(node.body, depth),
        isinstance(node, ast.AsyncFunctionDef),
        *_name_span(t, start),
        start,
        end,
    )


def _class(t: _Translator, node: ast.ClassDef, start: int, end: int, depth: int) -> Stmt:
    args = t.args(node.bases, node.keywords, depth)
    decorators, body = t.exprs(node.decorator_list, depth), t.block(node.body, depth)
    return Class(node.name, args, decorators, body, *_name_span(t, start), start, end)


def _name_span(t: _Translator, start: int) -> tuple[int, int]:
    return _NAME_OF_DEFINITION.match(t.utf8, start).span(1)  # type: ignore[union-attr]


def _assert(t: _Translator, node: ast.Assert, start: int, end: int, depth: int) -> Stmt:
    return OtherStmt(t.exprs([node.test, *([node.msg] if node.msg else [])], depth), start, end)


def _type_alias(t: _Translator, node: Any, start: int, end: int, depth: int) -> Stmt:
    return OtherStmt(t.exprs([node.name, node.value], depth), start, end)


_STATEMENTS = _table(
    {
        "Expr": _evaluate,
        "Assign": _assign,
        "AnnAssign": _annotated,
        "AugAssign": _augmented,
        "Return": _return,
        "Raise": _raise,
        "Delete": _delete,
        "Pass": _word,
        "Break": _word,
        "Continue": _word,
        "Global": _scope,
        "Nonlocal": _scope,
        "Import": _import,
        "ImportFrom": _import_from,
        "If": _if,
        "For": _for,
        "AsyncFor": _for,
        "While": _while,
        "Try": _try,
        "TryStar": _try,
        "With": _with,
        "AsyncWith": _with,
        "Match": _match,
        "FunctionDef": _def,
        "AsyncFunctionDef": _def,
        "ClassDef": _class,
        "Assert": _assert,
        "TypeAlias": _type_alias,
    }
)
