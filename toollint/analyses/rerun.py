"""Whether the statements of a method may run a second time, and their text for another place.

Understood is what finalizers are made of: guards, closing calls, loops over a few attributes, attributes set to None,
failures that are swallowed. Whatever else stands there may not like to be run again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

from toollint.analyses.finalizers import Released, calls_in
from toollint.analyses.release import is_closer
from toollint.facts import FunctionFacts
from toollint.model import Place
from toollint.syntax import (
    Bind,
    Block,
    Call,
    Chain,
    Collection,
    Const,
    Dots,
    Evaluate,
    Expr,
    For,
    FString,
    Handler,
    If,
    Import,
    ImportFrom,
    Name,
    Raise,
    Return,
    Simple,
    Stmt,
    Try,
    With,
    attribute_of,
    callee,
    is_none,
    last_name,
    prefix,
    walk,
)

_LOOKS = re.compile(r"getattr|hasattr|isinstance|callable|len|closed|is_\w+|poll")
"""Functions and methods that only look at an object."""
_SAYS = frozenset({"debug", "info", "warning", "warn", "error", "exception", "log", "print"})
_BROAD = frozenset({"Exception", "BaseException"})


class Rerun:
    """The body of a method that is to move into another one, and to run once more from there."""

    def __init__(self, method: FunctionFacts, parts: Sequence[FunctionFacts], released: Sequence[Released]) -> None:
        """Take the method, the same with the helpers that only it uses, and what all of these release."""
        self._method = method
        self._parts = parts
        self._harmless = {one.attribute for one in released if one.resource.second_close == "ok"}
        verbs = {one.verb for one in released}
        calls = (call for part in parts for call in calls_in(part))
        self._closed = {id(c.chain): c.attribute for c in calls if c.verb in verbs or is_closer(c.verb)}
        self._emptied = {name for part in parts for name in _emptied(part)}
        whole, tried = _moved(method.node.body)
        self._is_tried = bool(tried) and self._repeats(method, tried)
        self._block = tried if self._is_tried else whole

    @cached_property
    def obstacle(self) -> str:
        """Why the body cannot move, empty if it can."""
        name = self._method.name
        if len(self._method.node.params) != 1:
            return f"`{name}` has parameters of its own"
        if not all(self._repeats(part, part.node.body) for part in self._parts):
            return f"`{name}` would run once more after `close`, and may not be meant to"
        return "" if self._text else f"the text of `{name}` cannot be indented anew"

    # --- the text

    @property
    def place(self) -> Place:
        """The statements that move."""
        return self._method.at(self._block[0].start, self._block[-1].end)

    @property
    def lines(self) -> list[str]:
        """Their text, four spaces a level."""
        return self._text

    @cached_property
    def _text(self) -> list[str]:
        """The text, empty where other indentation would change what it means or is not plain."""
        utf8, span = self._method.module.utf8, self.place.span
        indent = _indent_at(utf8, span.start)
        column = len(_indent_at(utf8, self._method.origin + self._method.node.start))
        strings = (node for node in walk(*self._block) if isinstance(node, Const | FString))
        first, *others = re.split(r"\r\n|\r|\n", utf8[span.start : span.end].decode())
        if any("\n" in self._source(node) for node in strings):
            return []
        if any(line.strip() and not line.startswith(indent) for line in others) or (others and indent.strip(" ")):
            return []
        unit = max((len(indent) - column) // (1 + self._is_tried), 1)
        return [first, *(_reindented(line[len(indent) :], unit) for line in others)]

    def _source(self, node: Const | FString) -> str:
        span = self._method.at(node.start, node.end).span
        return self._method.module.utf8[span.start : span.end].decode()

    # --- whether it may run twice

    def _repeats(self, part: FunctionFacts, block: Block | None, *, guarded: bool = False, quiet: bool = False) -> bool:
        """Whether a block may run twice: ``guarded`` by a test, ``quiet`` where its failure is swallowed."""
        return block is not None and all(self._repeats_stmt(part, stmt, guarded=guarded, quiet=quiet) for stmt in block)

    def _repeats_stmt(self, part: FunctionFacts, stmt: Stmt, *, guarded: bool, quiet: bool) -> bool:
        if isinstance(stmt, Evaluate):
            return isinstance(stmt.value, Const | Dots) or self._is_harmless(part, stmt.value, guarded, quiet)
        if isinstance(stmt, Bind):
            return not stmt.op and stmt.value is not None and all(map(_only_looks, (*stmt.targets, stmt.value)))
        if not isinstance(stmt, If | Try | With | For):
            return isinstance(stmt, Simple | Return | Import | ImportFrom)
        return all(
            self._repeats(part, block, guarded=guarded or isinstance(stmt, If), quiet=quiet or swallows)
            for block, swallows in _blocks(stmt)
        )

    def _is_harmless(self, part: FunctionFacts, expr: Expr, guarded: bool, quiet: bool) -> bool:
        """Whether evaluating it again does no harm: it logs, or closes what may be closed twice or is gone by then."""
        attribute = self._closed.get(id(expr))
        if attribute is not None:
            return quiet or attribute in self._harmless or (guarded and attribute in self._emptied)
        called = callee(expr)
        helper = attribute_of(called, part.receiver) if called is not None else None
        return helper in {each.name for each in self._parts} or (called is not None and last_name(called) in _SAYS)


def _moved(body: Block) -> tuple[Block, Block]:
    """The statements without the docstring; and where they are a ``try`` that swallows every failure, what it tries."""
    if len(body) > 1 and isinstance(body[0], Evaluate) and isinstance(body[0].value, Const):
        body = body[1:]
    only = body[0]
    swallows = isinstance(only, Try) and not only.orelse and not only.final and _swallows(only.handlers)
    return body, only.body if len(body) == 1 and isinstance(only, Try) and swallows else ()


def _blocks(stmt: If | Try | With | For) -> Iterator[tuple[Block | None, bool]]:
    """The blocks that may be run, and whether their failures are swallowed; None for a head that is not understood.

    What handlers do is left out: they tell of a failure, and a failure is what they are for.
    """
    if isinstance(stmt, If):
        for test, body in stmt.branches:
            yield body if _only_looks(test) else None, False
        yield stmt.orelse, False
    elif isinstance(stmt, Try):
        yield from ((stmt.body, _swallows(stmt.handlers)), (stmt.orelse, False), (stmt.final, False))
    elif isinstance(stmt, With):
        suppressed = all(last_name(callee(context) or context) == "suppress" for context, _ in stmt.items)
        yield stmt.body if suppressed else None, True
    else:
        yield stmt.body if isinstance(stmt.iter, Collection) else None, False


def _swallows(handlers: Sequence[Handler]) -> bool:
    """Whether any failure ends in one of the handlers."""
    raises = any(isinstance(node, Raise) for node in walk(*(handler.body for handler in handlers)))
    return not raises and any(h.type is None or (isinstance(h.type, Name) and h.type.id in _BROAD) for h in handlers)


def _emptied(function: FunctionFacts) -> Iterator[str]:
    """Attributes that are set to None."""
    for node in walk(function.node.body, into=False):
        if isinstance(node, Bind) and is_none(node.value):
            yield from filter(None, (attribute_of(target, function.receiver) for target in node.targets))


def _only_looks(expr: Expr) -> bool:
    """Whether an expression calls nothing but what tells something of an object."""
    return all(
        _LOOKS.fullmatch(last_name(prefix(node, index)))
        for node in walk(expr)
        if isinstance(node, Chain)
        for index, link in enumerate(node.links)
        if isinstance(link, Call)
    )


def _indent_at(utf8: bytes, offset: int) -> str:
    """What stands before a place in its line."""
    return utf8[max(utf8.rfind(b"\n", 0, offset), utf8.rfind(b"\r", 0, offset)) + 1 : offset].decode()


def _reindented(line: str, unit: int) -> str:
    """A line whose levels are ``unit`` spaces deep, with four of them."""
    code = line.lstrip(" ")
    levels, rest = divmod(len(line) - len(code), unit)
    return " " * (4 * levels + rest) + code
