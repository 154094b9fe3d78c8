"""Resources that never had a name: the statement that opens, uses and drops one, and what a `with` would call it.

Whether the value of an expression still needs the resource is asked from the inside out: what was read out of it, or
made by a function that only borrows it, does not.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.lifetimes import Leak
from toollint.analyses.lifetimes.unreleased import common_name
from toollint.analyses.tied import is_eager, needs
from toollint.analyses.values import Values
from toollint.catalog import Resource
from toollint.facts import FunctionFacts
from toollint.lower import blocks
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Await,
    Binary,
    Bind,
    Block,
    Call,
    Chain,
    Compare,
    Comprehension,
    Evaluate,
    Expr,
    For,
    Name,
    Return,
    Stmt,
    Yield,
    prefix,
    walk,
)

_ROWS = frozenset({"file", "http-response"})
"""Categories that give plain values when they are gone through."""


@dataclass(frozen=True, eq=False)
class Unnamed:
    """``call``, which opens a resource, in the one statement that uses it; ``name`` is free in the function.

    ``is_dropped``: the statement does nothing with it at all.
    """

    function: FunctionFacts
    stmt: Stmt
    call: Expr
    name: str
    is_dropped: bool


def unnamed(leak: Leak, values: Values) -> Unnamed | None:
    """The statement that loses a resource without a name; None where that is not all that needs it."""
    function, acquisition = leak.function, leak.acquisition
    if leak.name or leak.given or acquisition.awaited != "no" or acquisition.element is not None:
        return None
    start, end = (offset - function.origin for offset in leak.place.span)
    stmt = next(_statements(function.node.body, start, end), None)
    asked = _Asked(values, function, start, end)
    name = _free_name(function, acquisition.resource)
    expr = stmt.iter if isinstance(stmt, For) else stmt.value if isinstance(stmt, Evaluate | Return | Bind) else None
    if stmt is None or expr is None or not name or any(isinstance(node, Yield) for node in walk(stmt, into=False)):
        return None
    state = asked.needs(expr)
    if asked.call is None or state is None:
        return None
    dropped = isinstance(stmt, Evaluate) and expr is asked.call
    rows = isinstance(stmt, For) and not stmt.is_async and acquisition.resource.category in _ROWS
    if state and not isinstance(stmt, Evaluate) and not (rows and expr is asked.call):
        return None
    return Unnamed(function, stmt, asked.call, name, dropped)


def _statements(block: Block, start: int, end: int) -> Iterator[Stmt]:
    """The innermost statement around a span, where that is a simple one or a loop whose head it is in."""
    for stmt in block:
        if stmt.start <= start < end <= stmt.end:
            if isinstance(stmt, Evaluate | Return | Bind) or (isinstance(stmt, For) and end <= stmt.iter.end):
                yield stmt
            for inner in blocks(stmt):
                yield from _statements(inner, start, end)


class _Asked:
    """Follows the value of the call at a span outwards; ``call`` is the call itself, once it is found."""

    def __init__(self, values: Values, function: FunctionFacts, start: int, end: int) -> None:
        self.values = values
        self.scope = function.scope
        self.start = start
        self.end = end
        self.call: Expr | None = None

    def needs(self, expr: Expr) -> bool | None:
        """Whether the value may need the resource; None where the call is not what is evaluated first."""
        if isinstance(expr, Chain):
            return self._chain(expr)
        if isinstance(expr, Await):
            return self.needs(expr.value)
        if isinstance(expr, Comprehension):
            found = self.needs(expr.clauses[0].iter)
            return None if found is None else expr.kind == "generator"
        if isinstance(expr, Binary | Compare):
            found = self.needs(expr.operands[0])
            return found and isinstance(expr, Binary)
        return None

    def _chain(self, chain: Chain) -> bool | None:
        ends = [link.end for link in chain.links]
        if chain.start == self.start and self.end in ends:
            index = ends.index(self.end)
            self.call = prefix(chain, index + 1)
            if index + 1 == len(chain.links):
                self.call = chain
            return self._used(chain, index + 1)
        found = self.needs(chain.base)
        if found is not None:
            return found and self._used(chain, 0)
        return self._given(chain)

    def _used(self, chain: Chain, index: int) -> bool:
        """Whether what the further links give needs it."""
        links = chain.links[index:]
        here = Name("_", chain.start, chain.start)
        return not links or needs(Chain(here, links, chain.start, chain.end), frozenset({"_"}))

    def _given(self, chain: Chain) -> bool | None:
        """Whether the result of a call needs what it is given."""
        index = next((i for i, link in enumerate(chain.links) if isinstance(link, Call)), None)
        call = chain.links[index] if index is not None else None
        if index is None or not isinstance(call, Call) or not isinstance(chain.base, Name):
            return None
        for position, arg in enumerate(call.args):
            found = None if arg.stars else self.needs(arg.value)
            if found is not None:
                called = prefix(chain, index)
                return found and not is_eager(called) and not self._is_borrowed(called, arg, position)
            if any(isinstance(node, Call | Await) for node in walk(arg.value)):
                return None
        return None

    def _is_borrowed(self, called: Expr, arg: Arg, position: int) -> bool:
        target = self.values.of(self.scope, called)
        effect = self.values.catalog.effect(target.name) if isinstance(target, Library) else None
        if effect is None:
            return False
        param = arg.keyword or (effect.params[position] if position < len(effect.params) else "")
        return param in effect.borrows


def _free_name(function: FunctionFacts, resource: Resource) -> str:
    """A name for the resource that means nothing yet; empty where there is none."""
    name = common_name(resource)
    body = walk(function.node)
    taken = {node.id for node in body if isinstance(node, Name)} | {one.name for one in function.node.params}
    free = name not in taken and function.scope.find(name) is None and not hasattr(builtins, name)
    return name if name.isidentifier() and free and not keyword.iskeyword(name) else ""
