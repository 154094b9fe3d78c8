"""The definition of what toollint sees: libcst -> the little language, whatever the running interpreter's grammar.

libcst keeps every blank but no positions. Its code generation is run once over the tree with a state that only
compares each token with the text and notes where it stands (`_Recorder`); a node's span is then its first and last
token. Form feeds, a final carriage return and a leading backslash, which libcst drops, thus do no harm.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from contextlib import contextmanager
from itertools import chain as concatenated
from typing import TYPE_CHECKING, Any

import libcst as cst
from libcst._nodes.internal import CodegenState

from toollint.frontends import Refused, refuse_null, unquote
from toollint.frontends.guard import too_deep
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
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_BLANKS = " \t\f\r\n\\"
_BLANK_RUN = re.compile(rb"[ \t\f\r\n\\]*")
_PLACE = re.compile(r"error at (\d+):(\d+)")
_OPERATORS: dict[type[cst.CSTNode], str] = {
    cst.Add: "+",
    cst.Subtract: "-",
    cst.Multiply: "*",
    cst.Divide: "/",
    cst.FloorDivide: "//",
    cst.Modulo: "%",
    cst.Power: "**",
    cst.MatrixMultiply: "@",
    cst.LeftShift: "<<",
    cst.RightShift: ">>",
    cst.BitAnd: "&",
    cst.BitOr: "|",
    cst.BitXor: "^",
    cst.And: "and",
    cst.Or: "or",
    cst.Equal: "==",
    cst.NotEqual: "!=",
    cst.LessThan: "<",
    cst.LessThanEqual: "<=",
    cst.GreaterThan: ">",
    cst.GreaterThanEqual: ">=",
    cst.Is: "is",
    cst.IsNot: "is not",
    cst.In: "in",
    cst.NotIn: "not in",
    cst.AddAssign: "+=",
    cst.SubtractAssign: "-=",
    cst.MultiplyAssign: "*=",
    cst.DivideAssign: "/=",
    cst.FloorDivideAssign: "//=",
    cst.ModuloAssign: "%=",
    cst.PowerAssign: "**=",
    cst.MatrixMultiplyAssign: "@=",
    cst.LeftShiftAssign: "<<=",
    cst.RightShiftAssign: ">>=",
    cst.BitAndAssign: "&=",
    cst.BitOrAssign: "|=",
    cst.BitXorAssign: "^=",
}


def parse(text: str, utf8: bytes, line_starts: Sequence[int]) -> Module:
    """Parse a file: ``text`` without byte order mark, the same as UTF-8, and the byte offset of each line in that.

    Raises:
        Refused: libcst does not take it, would overflow its stack, or it is Python 2. libcst's own places are coarse;
            for the message that CPython gives ask `toollint.frontends.fast.parse`.
    """
    refuse_null(utf8, line_starts)
    deep = too_deep(text)
    if deep is not None:
        raise Refused.at("too deeply nested", utf8, line_starts, len(text[:deep].encode()))
    tree = _guarded(cst.parse_module, text)
    recorder = _Recorder(utf8, tree)
    _guarded(tree._codegen, recorder)  # noqa: SLF001 - the one way to positions without metadata providers
    if recorder.mismatch is not None:
        raise Refused.at("libcst does not reproduce this file", utf8, line_starts, recorder.mismatch)
    for handler in recorder.handlers:
        if _is_python2(handler):
            raise Refused.at("Python 2 code is not supported", utf8, line_starts, recorder.span(handler)[0])
    return Module(tree, recorder)


def _guarded(function: Any, argument: Any) -> Any:
    """Call into libcst, all of whose exceptions are refusals (TypeError and UnicodeError are among those seen)."""
    try:
        return function(argument)
    except cst.ParserSyntaxError as error:
        place = _PLACE.search(error.message)
        row, column = map(int, place.groups()) if place else (error.raw_line, error.raw_column + 1)
        raise Refused("invalid syntax", max(row, 1), max(column, 1)) from None
    except (RecursionError, MemoryError):
        raise Refused("too deeply nested") from None
    except Exception as error:  # noqa: BLE001 - see the docstring
        raise Refused(f"libcst cannot parse this file: {error}") from None


def _is_python2(handler: cst.ExceptHandler) -> bool:
    """Whether ``except A, b:`` is the old spelling of ``except A as b:``.

    Since PEP 758 it may be a tuple of two types; a lower-case second name is no type in nearly all code.
    """
    kinds = handler.type
    if not isinstance(kinds, cst.Tuple) or kinds.lpar or len(kinds.elements) != 2 or handler.name is not None:
        return False
    second = kinds.elements[1].value
    return isinstance(second, cst.Name) and second.value.islower()


class _Recorder(CodegenState):
    """Notes the place of every token that libcst generates, and for nodes which tokens are theirs.

    libcst announces by `record_syntactic_position` where a node begins and ends without its parentheses.
    """

    def __init__(self, utf8: bytes, tree: cst.Module) -> None:
        super().__init__(tree.default_indent, tree.default_newline)
        self.handlers: list[cst.ExceptHandler] = []
        self.mismatch: int | None = None
        self._utf8 = utf8
        self._at = 0
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._tokens_of: dict[cst.CSTNode, tuple[int, int]] = {}

    def add_indent_tokens(self) -> None:
        """Blanks are skipped when the next token is sought."""

    def add_token(self, value: str) -> None:
        if not value.strip(_BLANKS):
            return
        token = value.encode()
        if not self._utf8.startswith(token, self._at):
            self._at = _BLANK_RUN.match(self._utf8, self._at).end()  # type: ignore[union-attr]
            if not self._utf8.startswith(token, self._at) and self.mismatch is None:
                self.mismatch = self._at
        if value[0] != "#":  # a comment belongs to no node's span
            self._starts.append(self._at)
            self._ends.append(self._at + len(token))
        self._at += len(token)

    def pop_trailing_newline(self) -> None:
        """There is nothing to pop: newlines are not kept."""

    @contextmanager
    def record_syntactic_position(
        self,
        node: cst.CSTNode,
        *,
        start_node: cst.CSTNode | None = None,  # noqa: ARG002 - tokens tell more exactly
        end_node: cst.CSTNode | None = None,  # noqa: ARG002
    ) -> Iterator[None]:
        first = len(self._starts)
        yield
        self._tokens_of[node] = first, len(self._ends) - 1
        if type(node) is cst.ExceptHandler:
            self.handlers.append(node)

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """The byte span of a node that libcst announced."""
        first, last = self._tokens_of[node]
        if first > last:  # no token: the empty tuple, whose span is the parentheses around it
            first, last = last, first
        return self._starts[first], self._ends[last]


class Module:
    """A `toollint.frontends.Tree`."""

    def __init__(self, tree: cst.Module, recorder: _Recorder) -> None:
        self._body = _flat(tree.body)
        self._recorder = recorder
        self.spans: list[tuple[int, int]] = []
        for node in self._body:
            start, end = recorder.span(node)
            decorators = getattr(node, "decorators", ())
            self.spans.append((recorder.span(decorators[0])[0] if decorators else start, end))

    def translate(self, index: int) -> Item:
        """Translate one top-level statement."""
        start, end = self.spans[index]
        try:
            with warnings.catch_warnings():  # evaluating a string warns of unknown escapes
                warnings.simplefilter("ignore")
                return Item(start, end, _Translator(self._recorder, start).stmt(self._body[index], 1))
        except RecursionError:
            raise Refused("too deeply nested") from None


def _flat(body: Sequence[Any]) -> list[Any]:
    """The statements of a block, those that share a line included."""
    return list(
        concatenated.from_iterable(line.body if type(line) is cst.SimpleStatementLine else (line,) for line in body)
    )


def _identifier(value: str) -> str:
    return value if value.isascii() else unicodedata.normalize("NFKC", value)


class _Translator:
    """Translates the nodes of one item, which starts at byte ``base``."""

    def __init__(self, recorder: _Recorder, base: int) -> None:
        self._recorder = recorder
        self._base = base

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        start, end = self._recorder.span(node)
        return start - self._base, end - self._base

    def pinned(self, start: int, end: int) -> _Translator:
        """A translator for nodes inside a literal, all of which carry the literal's span."""
        return _Pinned(start, end)

    def expr(self, node: Any, depth: int) -> Expr:
        if depth > MAX_DEPTH:
            return Other((), self.span(_outermost(node, 0))[0], self.span(_outermost(node, -1))[1])
        translated: Expr = _EXPRESSIONS[type(node)](self, node, *self.span(node), depth + 1)
        return translated

    def exprs(self, nodes: Iterable[Any], depth: int) -> tuple[Expr, ...]:
        return tuple([self.expr(node, depth) for node in nodes])

    def maybe(self, node: cst.CSTNode | None, depth: int) -> Expr | None:
        return None if node is None else self.expr(node, depth)

    def elements(self, elements: Sequence[cst.BaseElement], depth: int) -> tuple[Expr, ...]:
        return self.exprs(map(_content, elements), depth)

    def stmt(self, node: Any, depth: int) -> Stmt:
        start, end = self.span(node)
        if depth > MAX_DEPTH:
            return OtherStmt((), start, end)
        translated: Stmt = _STATEMENTS[type(node)](self, node, start, end, depth + 1)
        return translated

    def block(self, owner: Any, depth: int) -> Block:
        """The statements of a suite, an ``else`` or a ``finally``; of None: nothing."""
        if owner is None:
            return ()
        suite = owner.body if isinstance(owner, (cst.Else, cst.Finally)) else owner
        return tuple([self.stmt(node, depth) for node in _flat(suite.body)])

    def annotation(self, node: cst.Annotation | None, depth: int) -> Expr | None:
        return None if node is None else unquote(self.expr(node.annotation, depth), self._parse_string, depth)

    def _parse_string(self, string: Const, depth: int) -> Expr | None:
        text = str(string.value).strip()
        if too_deep(text) is not None:
            return None
        try:
            node = _guarded(cst.parse_expression, text)
        except Refused:
            return None
        return self.pinned(string.start, string.end).expr(node, depth) if _is_evaluable(node) else None

    def args(self, args: Iterable[cst.Arg], depth: int) -> tuple[Arg, ...]:
        return tuple([self._arg(arg, depth) for arg in args])

    def _arg(self, arg: cst.Arg, depth: int) -> Arg:
        keyword = None if arg.keyword is None else _identifier(arg.keyword.value)
        return Arg(self.expr(arg.value, depth), keyword, len(arg.star))

    def params(self, node: cst.Parameters, depth: int) -> tuple[Param, ...]:
        groups = (
            ("positional", node.posonly_params),
            ("plain", node.params),
            ("var", (node.star_arg,)),
            ("keyword", node.kwonly_params),
            ("kwvar", (node.star_kwarg,)),
        )
        return tuple(
            [
                Param(
                    _identifier(param.name.value),
                    self.annotation(param.annotation, depth),
                    self.maybe(param.default, depth),
                    kind,
                )
                for kind, group in groups
                for param in group
                if isinstance(param, cst.Param)  # a bare star is none
            ]
        )

    def key(self, elements: Sequence[cst.SubscriptElement], depth: int) -> Expr:
        """What stands between the brackets of a subscript: a tuple when there is a comma or a star."""
        first, last = elements[0], elements[-1]
        if len(elements) == 1 and not isinstance(first.comma, cst.Comma) and not _is_starred(first):
            return self._key_part(first, depth)
        if depth > MAX_DEPTH:
            start, end = self._key_part(first, depth).start, self._key_part(last, depth).end
            return Other((), start, end)
        items = tuple([self._key_part(element, depth + 1) for element in elements])
        return Collection("tuple", items, items[0].start, items[-1].end)

    def _key_part(self, element: cst.SubscriptElement, depth: int) -> Expr:
        part = element.slice
        if isinstance(part, cst.Index) and not part.star:
            return self.expr(part.value, depth)
        start, end = self.span(element)
        if depth > MAX_DEPTH:
            return Other((), start, end)
        if isinstance(part, cst.Index):
            return Star(self.expr(part.value, depth + 1), start, end)
        bounds = [bound for bound in (part.lower, part.upper, part.step) if bound is not None]  # type: ignore[attr-defined]
        return Other(self.exprs(bounds, depth + 1), start, end)


class _Pinned(_Translator):
    """Translates what stands inside a literal: every node has the literal's span."""

    def __init__(self, start: int, end: int) -> None:
        self._span = start, end

    def span(self, node: cst.CSTNode) -> tuple[int, int]:  # noqa: ARG002
        return self._span

    def pinned(self, start: int, end: int) -> _Translator:  # noqa: ARG002 - the outermost literal counts
        return self


def _content(element: Any) -> Any:
    return element if isinstance(element, cst.StarredElement) else element.value


def _is_starred(element: cst.SubscriptElement) -> bool:
    return isinstance(element.slice, cst.Index) and bool(element.slice.star)


def _is_evaluable(node: cst.BaseExpression) -> bool:
    """Whether `eval` takes an expression that libcst takes: not a bare ``*a``, ``yield`` or ``a := b``."""
    if isinstance(node, cst.Tuple) and not node.lpar:
        return not any(isinstance(element, cst.StarredElement) for element in node.elements)
    return bool(node.lpar) or not isinstance(node, (cst.StarredElement, cst.Yield, cst.NamedExpr))


def _outermost(node: Any, side: int) -> Any:
    """The node that gives a tuple or generator its start (side 0) or end (side -1): those are measured by content."""
    while True:
        if isinstance(node, cst.Tuple) and node.elements:
            node = _content(node.elements[side])
        elif isinstance(node, cst.GeneratorExp):
            node = node.elt if side == 0 else _last_of(list(_clauses(node.for_in))[-1])
        else:
            return node


def _clauses(clause: cst.CompFor | None) -> Iterator[cst.CompFor]:
    while clause is not None:
        yield clause
        clause = clause.inner_for_in


def _last_of(clause: cst.CompFor) -> cst.BaseExpression:
    return clause.ifs[-1].test if clause.ifs else clause.iter


def _table(by_name: dict[str, Any]) -> dict[type[cst.CSTNode], Any]:
    """What stands for the name of a class, by class; this version of libcst may lack some."""
    return {getattr(cst, name): value for name, value in by_name.items() if hasattr(cst, name)}


# --- expressions: each function gets the translator, the node, its span and the depth of its children --------------


def _name(_t: _Translator, node: cst.Name, start: int, end: int, _depth: int) -> Expr:
    if node.value in _KEYWORDS:
        return Const(_KEYWORDS[node.value], start, end)
    return Name(_identifier(node.value), start, end)


_KEYWORDS: Mapping[str, bool | None] = {"None": None, "True": True, "False": False}


def _ellipsis(_t: _Translator, _node: cst.Ellipsis, start: int, end: int, _depth: int) -> Expr:
    return Dots(start, end)


def _number(_t: _Translator, node: Any, start: int, end: int, _depth: int) -> Expr:
    digits = node.value.replace("_", "")
    try:
        if isinstance(node, cst.Integer):
            return Const(int(digits, 0), start, end)
        if isinstance(node, cst.Float):
            return Const(float(digits), start, end)
        return Const(complex(0, float(digits[:-1])), start, end)
    except ValueError:  # more digits than the interpreter converts, or a number of Python 2
        return Other((), start, end)


def _string(t: _Translator, node: Any, start: int, end: int, depth: int) -> Expr:
    pieces = list(_pieces(node))
    if not all(isinstance(piece, cst.SimpleString) for piece in pieces):
        inside = t.pinned(start, end)
        return FString(inside.exprs(concatenated.from_iterable(map(_replacements, pieces)), depth), start, end)
    values = [_evaluated(piece) for piece in pieces]
    if all(isinstance(value, str) for value in values):
        return Const("".join(values), start, end)
    if all(isinstance(value, bytes) for value in values):
        return Const(b"".join(values), start, end)
    return Other((), start, end)


def _pieces(node: Any) -> Iterator[Any]:
    while isinstance(node, cst.ConcatenatedString):
        yield node.left
        node = node.right
    yield node


def _evaluated(string: cst.SimpleString) -> Any:
    """The value of one literal; None where it has none (an unknown character name, a prefix of Python 2)."""
    if "\\" not in string.value and string.prefix in {"", "r", "u"}:
        return string.raw_value.replace("\r\n", "\n").replace("\r", "\n")
    try:
        return string.evaluated_value
    except (SyntaxError, ValueError):
        return None


def _replacements(string: Any) -> Iterator[cst.BaseExpression]:
    """The expressions in an f-string, those in format specifications included."""
    for part in string.parts if hasattr(string, "parts") else ():
        yield from _replacement(part)


def _replacement(part: Any) -> Iterator[cst.BaseExpression]:
    if hasattr(part, "expression"):
        yield part.expression
        for nested in part.format_spec or ():
            yield from _replacement(nested)


def _chain(t: _Translator, node: Any, start: int, end: int, depth: int) -> Expr:
    links: list[Link] = []
    while True:
        stop = t.span(node)[1]
        if isinstance(node, cst.Attribute):
            links.append(Attr(_identifier(node.attr.value), stop))
            base = node.value
        elif isinstance(node, cst.Call):
            links.append(Call(t.args(node.args, depth), stop))
            base = node.func
        else:
            links.append(Index(t.key(node.slice, depth), stop))
            base = node.value
        if not isinstance(base, (cst.Attribute, cst.Call, cst.Subscript)) or base.lpar:
            break
        node = base
    links.reverse()
    return Chain(t.expr(base, depth), tuple(links), start, end)


def _binary(t: _Translator, node: Any, start: int, end: int, depth: int) -> Expr:
    operands, ops = [], []
    while True:
        operands.append(t.expr(node.right, depth))
        ops.append(_OPERATORS[type(node.operator)])
        left = node.left
        if not isinstance(left, cst.BinaryOperation) or left.lpar:
            break
        node = left
    operands.append(t.expr(left, depth))
    return Binary(tuple(operands[::-1]), tuple(ops[::-1]), start, end)


def _bool(t: _Translator, node: Any, start: int, end: int, depth: int) -> Expr:
    op = type(node.operator)
    operands = []
    while True:
        operands.append(t.expr(node.right, depth))
        left = node.left
        if not isinstance(left, cst.BooleanOperation) or left.lpar or type(left.operator) is not op:
            break
        node = left
    operands.append(t.expr(left, depth))
    return Bool(_OPERATORS[op], tuple(operands[::-1]), start, end)


def _tuple(t: _Translator, node: cst.Tuple, start: int, end: int, depth: int) -> Expr:
    items = t.elements(node.elements, depth)
    if items:
        start, end = items[0].start, items[-1].end
    return Collection("tuple", items, start, end)


def _list(t: _Translator, node: cst.List, start: int, end: int, depth: int) -> Expr:
    return Collection("list", t.elements(node.elements, depth), start, end)


def _set(t: _Translator, node: cst.Set, start: int, end: int, depth: int) -> Expr:
    return Collection("set", t.elements(node.elements, depth), start, end)


def _dict(t: _Translator, node: cst.Dict, start: int, end: int, depth: int) -> Expr:
    pairs = [(getattr(element, "key", None), element.value) for element in node.elements]
    return Dict(tuple([(t.maybe(key, depth), t.expr(value, depth)) for key, value in pairs]), start, end)


def _starred(t: _Translator, node: cst.StarredElement, start: int, end: int, depth: int) -> Expr:
    return Star(t.expr(node.value, depth), start, end)


def _unary(t: _Translator, node: Any, start: int, end: int, depth: int) -> Expr:
    if isinstance(node.operator, cst.Not):
        return Not(t.expr(node.expression, depth), start, end)
    while isinstance(node, cst.UnaryOperation) and not isinstance(node.operator, cst.Not):
        node = node.expression
    return Other((t.expr(node, depth),), start, end)


def _compare(t: _Translator, node: cst.Comparison, start: int, end: int, depth: int) -> Expr:
    operands = t.exprs([node.left, *[each.comparator for each in node.comparisons]], depth)
    return Compare(operands, tuple([_OPERATORS[type(each.operator)] for each in node.comparisons]), start, end)


def _ifexp(t: _Translator, node: cst.IfExp, start: int, end: int, depth: int) -> Expr:
    return IfExp(t.expr(node.test, depth), t.expr(node.body, depth), t.expr(node.orelse, depth), start, end)


def _lambda(t: _Translator, node: cst.Lambda, start: int, end: int, depth: int) -> Expr:
    return Lambda(t.params(node.params, depth), t.expr(node.body, depth), start, end)


def _comprehension(t: _Translator, node: Any, start: int, end: int, depth: int) -> Expr:
    kind = _COMPREHENSIONS[type(node)]
    elements = t.exprs([getattr(node, part) for part in ("elt", "key", "value") if hasattr(node, part)], depth)
    clauses = tuple(
        [
            Clause(
                t.expr(each.target, depth),
                t.expr(each.iter, depth),
                t.exprs([condition.test for condition in each.ifs], depth),
                each.asynchronous is not None,
            )
            for each in _clauses(node.for_in)
        ]
    )
    if kind == "generator":
        start, end = elements[0].start, (clauses[-1].iter, *clauses[-1].ifs)[-1].end
    return Comprehension(kind, elements, clauses, start, end)


_COMPREHENSIONS = _table(
    {"ListComp": "list", "SetComp": "set", "DictComp": "dict", "StarredDictComp": "dict", "GeneratorExp": "generator"}
)


def _await(t: _Translator, node: cst.Await, start: int, end: int, depth: int) -> Expr:
    return Await(t.expr(node.expression, depth), start, end)


def _yield(t: _Translator, node: cst.Yield, start: int, end: int, depth: int) -> Expr:
    if isinstance(node.value, cst.From):
        return Yield(t.expr(node.value.item, depth), True, start, end)
    return Yield(t.maybe(node.value, depth), False, start, end)


def _walrus(t: _Translator, node: cst.NamedExpr, start: int, end: int, depth: int) -> Expr:
    return Walrus(t.expr(node.target, depth), t.expr(node.value, depth), start, end)


_EXPRESSIONS = _table(
    {
        "Name": _name,
        "Ellipsis": _ellipsis,
        "Integer": _number,
        "Float": _number,
        "Imaginary": _number,
        "SimpleString": _string,
        "FormattedString": _string,
        "TemplatedString": _string,
        "ConcatenatedString": _string,
        "Attribute": _chain,
        "Call": _chain,
        "Subscript": _chain,
        "BinaryOperation": _binary,
        "BooleanOperation": _bool,
        "Tuple": _tuple,
        "List": _list,
        "Set": _set,
        "Dict": _dict,
        "StarredElement": _starred,
        "UnaryOperation": _unary,
        "Comparison": _compare,
        "IfExp": _ifexp,
        "Lambda": _lambda,
        "ListComp": _comprehension,
        "SetComp": _comprehension,
        "DictComp": _comprehension,
        "StarredDictComp": _comprehension,
        "GeneratorExp": _comprehension,
        "Await": _await,
        "Yield": _yield,
        "NamedExpr": _walrus,
    }
)


# --- statements --------------------------------------------------------------------------------------------------


def _evaluate(t: _Translator, node: cst.Expr, start: int, end: int, depth: int) -> Stmt:
    return Evaluate(t.expr(node.value, depth), start, end)


def _assign(t: _Translator, node: cst.Assign, start: int, end: int, depth: int) -> Stmt:
    targets = t.exprs([each.target for each in node.targets], depth)
    return Bind(targets, t.expr(node.value, depth), None, "", start, end)


def _annotated(t: _Translator, node: cst.AnnAssign, start: int, end: int, depth: int) -> Stmt:
    target, annotation = t.expr(node.target, depth), t.annotation(node.annotation, depth)
    return Bind((target,), t.maybe(node.value, depth), annotation, "", start, end)


def _augmented(t: _Translator, node: cst.AugAssign, start: int, end: int, depth: int) -> Stmt:
    op = _OPERATORS[type(node.operator)]
    return Bind((t.expr(node.target, depth),), t.expr(node.value, depth), None, op, start, end)


def _return(t: _Translator, node: cst.Return, start: int, end: int, depth: int) -> Stmt:
    return Return(t.maybe(node.value, depth), start, end)


def _raise(t: _Translator, node: cst.Raise, start: int, end: int, depth: int) -> Stmt:
    cause = None if node.cause is None else node.cause.item
    return Raise(t.maybe(node.exc, depth), t.maybe(cause, depth), start, end)


def _delete(t: _Translator, node: cst.Del, start: int, end: int, depth: int) -> Stmt:
    target = node.target
    if isinstance(target, cst.Tuple) and not target.lpar:
        return Delete(t.elements(target.elements, depth), start, end)
    return Delete((t.expr(target, depth),), start, end)


def _word(_t: _Translator, node: cst.CSTNode, start: int, end: int, _depth: int) -> Stmt:
    return Simple(type(node).__name__.lower(), start, end)


def _scope(_t: _Translator, node: Any, start: int, end: int, _depth: int) -> Stmt:
    names = tuple([_identifier(item.name.value) for item in node.names])
    return Scope(type(node).__name__.lower(), names, start, end)


def _import(_t: _Translator, node: Any, start: int, end: int, _depth: int) -> Stmt:
    return Import(_aliases(node.names), start, end)


def _import_from(_t: _Translator, node: Any, start: int, end: int, _depth: int) -> Stmt:
    names = (("*", None),) if isinstance(node.names, cst.ImportStar) else _aliases(node.names)
    return ImportFrom(_dotted(node.module), names, len(node.relative), start, end)


def _aliases(aliases: Iterable[cst.ImportAlias]) -> tuple[tuple[str, str | None], ...]:
    return tuple([(_dotted(alias.name), _bound(alias.asname)) for alias in aliases])


def _bound(asname: cst.AsName | None) -> str | None:
    return None if asname is None else _dotted(asname.name)


def _dotted(node: Any) -> str:
    parts = []
    while isinstance(node, cst.Attribute):
        parts.append(_identifier(node.attr.value))
        node = node.value
    if node is not None:
        parts.append(_identifier(node.value))
    return ".".join(reversed(parts))


def _if(t: _Translator, node: cst.If, start: int, end: int, depth: int) -> Stmt:
    branches = []
    while True:
        branches.append((t.expr(node.test, depth), t.block(node.body, depth)))
        if not isinstance(node.orelse, cst.If):
            return If(tuple(branches), t.block(node.orelse, depth), start, end)
        node = node.orelse


def _for(t: _Translator, node: cst.For, start: int, end: int, depth: int) -> Stmt:
    target, values = t.expr(node.target, depth), t.expr(node.iter, depth)
    body, orelse = t.block(node.body, depth), t.block(node.orelse, depth)
    return For(target, values, body, orelse, node.asynchronous is not None, start, end)


def _while(t: _Translator, node: cst.While, start: int, end: int, depth: int) -> Stmt:
    return While(t.expr(node.test, depth), t.block(node.body, depth), t.block(node.orelse, depth), start, end)


def _try(t: _Translator, node: Any, start: int, end: int, depth: int) -> Stmt:
    handlers = tuple(
        [
            Handler(t.maybe(each.type, depth), _bound(each.name), t.block(each.body, depth), *t.span(each))
            for each in node.handlers
        ]
    )
    body, orelse, final = (t.block(part, depth) for part in (node.body, node.orelse, node.finalbody))
    return Try(body, handlers, orelse, final, start, end)


def _with(t: _Translator, node: cst.With, start: int, end: int, depth: int) -> Stmt:
    items = tuple([(t.expr(each.item, depth), t.maybe(each.asname and each.asname.name, depth)) for each in node.items])
    return With(items, t.block(node.body, depth), node.asynchronous is not None, start, end)


def _match(t: _Translator, node: cst.Match, start: int, end: int, depth: int) -> Stmt:
    cases = tuple(
        [Case(_captures(case.pattern), t.maybe(case.guard, depth), t.block(case.body, depth)) for case in node.cases]
    )
    return Match(t.expr(node.subject, depth), cases, start, end)


def _captures(pattern: cst.MatchPattern) -> tuple[str, ...]:
    """The names that a pattern binds, each once (alternatives bind the same ones), in source order."""
    found: dict[str, None] = {}
    stack: list[Any] = [pattern]
    while stack:
        node = stack.pop()
        if isinstance(node, cst.Name):
            found[_identifier(node.value)] = None
        elif isinstance(node, cst.MatchAs):
            stack += [part for part in (node.name, node.pattern) if part is not None]
        elif isinstance(node, cst.MatchStar):
            stack += [node.name] if node.name else []
        elif isinstance(node, cst.MatchMapping):
            stack += [*([node.rest] if node.rest else []), *[each.pattern for each in reversed(node.elements)]]
        elif isinstance(node, cst.MatchClass):
            stack += [each.pattern for each in reversed(node.kwds)] + [each.value for each in reversed(node.patterns)]
        elif isinstance(node, cst.MatchSequence):
            stack += [_pattern_of(each) for each in reversed(node.patterns)]
        elif isinstance(node, cst.MatchOr):
            stack += [each.pattern for each in reversed(node.patterns)]
    return tuple(found)


def _pattern_of(element: Any) -> cst.CSTNode:
    return element if isinstance(element, cst.MatchStar) else element.value


def _def(t: _Translator, node: cst.FunctionDef, start: int, end: int, depth: int) -> Stmt:
    return Def(
        _identifier(node.name.value),
        t.params(node.params, depth),
        t.annotation(node.returns, depth),
        t.exprs([each.decorator for each in node.decorators], depth),
        t.block(node.body, depth),
        node.asynchronous is not None,
        *t.span(node.name),
        start,
        end,
    )


def _class(t: _Translator, node: cst.ClassDef, start: int, end: int, depth: int) -> Stmt:
    return Class(
        _identifier(node.name.value),
        t.args([*node.bases, *node.keywords], depth),
        t.exprs([each.decorator for each in node.decorators], depth),
        t.block(node.body, depth),
        *t.span(node.name),
        start,
        end,
    )


def _assert(t: _Translator, node: cst.Assert, start: int, end: int, depth: int) -> Stmt:
    return OtherStmt(t.exprs([node.test, *([node.msg] if node.msg else [])], depth), start, end)


def _type_alias(t: _Translator, node: cst.TypeAlias, start: int, end: int, depth: int) -> Stmt:
    return OtherStmt(t.exprs([node.name, node.value], depth), start, end)


_STATEMENTS = _table(
    {
        "Expr": _evaluate,
        "Assign": _assign,
        "AnnAssign": _annotated,
        "AugAssign": _augmented,
        "Return": _return,
        "Raise": _raise,
        "Del": _delete,
        "Pass": _word,
        "Break": _word,
        "Continue": _word,
        "Global": _scope,
        "Nonlocal": _scope,
        "Import": _import,
        "ImportFrom": _import_from,
        "LazyImport": _import,
        "LazyImportFrom": _import_from,
        "If": _if,
        "For": _for,
        "While": _while,
        "Try": _try,
        "TryStar": _try,
        "With": _with,
        "Match": _match,
        "FunctionDef": _def,
        "ClassDef": _class,
        "Assert": _assert,
        "TypeAlias": _type_alias,
    }
)
