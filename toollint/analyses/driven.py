"""Iterators that a class is given and reads on behalf of others, and whether its closers end them.

Whoever calls `next` on an iterator of somebody else's uses it up: nobody else can read it any more, and whoever made it
has no reason to close it. A generator that is dropped half-way goes on holding what it holds, and what it has started
goes on running, until the garbage collector finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from toollint.analyses.invoked import callers
from toollint.analyses.release import ANYTHING, Held, is_closer, may_release
from toollint.analyses.values import Values
from toollint.facts import ClassFacts, FunctionFacts
from toollint.model import Place
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Call,
    Chain,
    Evaluate,
    Expr,
    Name,
    Node,
    Param,
    Return,
    With,
    argument,
    attribute_of,
    callee,
    is_name,
    is_none,
    last_call,
    last_name,
    prefix,
    walk,
)

_ITERATORS = frozenset({"Iterator", "Generator", "AsyncIterator", "AsyncGenerator"})
_ADVANCES = frozenset({"next", "anext"})
_ADVANCING = frozenset({"__next__", "__anext__"})
_ENDING = frozenset({"closing", "aclosing", "enter_context", "enter_async_context", "callback", "push_async_callback"})


class Driven(NamedTuple):
    """An iterator in ``attribute`` that the class reads at ``read``; it comes in as a parameter of the constructor."""

    attribute: str
    given: Place
    read: Place
    is_async: bool


def driven(values: Values, cls: ClassFacts) -> Iterator[Driven]:
    """The iterators that objects of a class are given, read step by step, and never close."""
    lineage = values.project.lineage(cls).classes
    for attribute, assigned in cls.assignments.items():
        constructor, param = _given(assigned)
        if constructor is None or param is None or not _may_be_closed(values, constructor, param):
            continue
        read = next(_reads(cls, attribute), None)
        held = Held(attribute, ANYTHING)
        if read is None or any(may_release(one, held) for ancestor in lineage for one in ancestor.functions):
            continue
        if not _is_ended_by_its_maker(values, constructor, param.name):
            function, node, is_async = read
            stmt = assigned[0][1]
            yield Driven(attribute, constructor.at(stmt.start, stmt.end), function.at(node.start, node.end), is_async)


def _given(assigned: tuple[tuple[FunctionFacts, Bind], ...]) -> tuple[FunctionFacts | None, Param | None]:
    """The constructor and its parameter that is all that an attribute ever holds, None aside."""
    found = [(function, stmt) for function, stmt in assigned if not is_none(stmt.value)]
    if len(found) != 1 or found[0][0].name != "__init__":
        return None, None
    function, stmt = found[0]
    params = [param for param in function.node.params if is_name(stmt.value, param.name)]
    alone = [one for one in params if len(function.scope.bindings[one.name]) == 1]
    return function, alone[0] if alone else None


def _may_be_closed(values: Values, constructor: FunctionFacts, param: Param) -> bool:
    """Whether a parameter is an iterator by its annotation, or has none; what is read again by others is none."""
    if param.annotation is None:
        return True
    allowed = values.annotation(constructor.outer, param.annotation)
    resources = [values.catalog.resource(one.cls.name) for one in allowed if not isinstance(one.cls, ClassFacts)]
    streams = sum(one is not None and bool(one.release) for one in resources)
    return bool(allowed) and sum(one.name in _ITERATORS for one in allowed) + streams == len(allowed)


def _reads(cls: ClassFacts, attribute: str) -> Iterator[tuple[FunctionFacts, Chain, bool]]:
    """The calls that take the next item of an attribute: ``next(self.it)``, ``self.it.__anext__()``."""
    for function in cls.functions:
        for node in walk(function.node.body):
            call, called = (last_call(node), callee(node)) if isinstance(node, Chain) else (None, None)
            if call is None or called is None:
                continue
            taken: Expr | None = None
            if isinstance(called, Name) and called.id in _ADVANCES and call.args:
                taken = call.args[0].value
            elif isinstance(called, Chain) and last_name(called) in _ADVANCING:
                taken = prefix(called, len(called.links) - 1)
            if taken is not None and attribute_of(taken, function.receiver) == attribute:
                yield function, node, last_name(called) in {"anext", "__anext__"}


def _is_ended_by_its_maker(values: Values, constructor: FunctionFacts, name: str) -> bool:
    """Whether a function that makes such an object closes the iterator that it passes."""
    params = [param.name for param in constructor.node.params[1:]]
    for code, chain in callers(values, constructor):
        for link in chain.links:
            given = argument(link, name, params.index(name)) if isinstance(link, Call) else None
            if isinstance(given, Name) and any(_ends(node, given.id) for node in walk(code.block)):
                return True
    return False


def _ends(node: Node, name: str) -> bool:
    """Whether a node closes, enters or hands over to a closing manager what goes by a name."""
    if isinstance(node, With):
        return any(is_name(part, name) for item, _ in node.items for part in walk(item))
    if not isinstance(node, Chain):
        return False
    if is_name(node.base, name):
        return any(isinstance(link, Attr) and is_closer(link.name) for link in node.links)
    call = last_call(node)
    given = call.args if call is not None and last_name(callee(node) or node) in _ENDING else ()
    return any(is_name(part, name) for arg in given for part in walk(arg.value))


# --- the closers -------------------------------------------------------------------------------------------------


def working(values: Values, cls: ClassFacts, closer: FunctionFacts) -> FunctionFacts:
    """The method that does a closer's work, where the closer only calls one of its own object."""
    seen = {closer}
    while True:
        body = [stmt for stmt in closer.node.body if not _is_docstring(stmt)]
        stmt = body[0] if len(body) == 1 else None
        value = stmt.value if isinstance(stmt, Evaluate | Return) else None
        called = callee(value.value if isinstance(value, Await) else value) if value is not None else None
        name = attribute_of(called, closer.receiver) if called is not None else None
        found = values.project.class_member(cls, name) if name is not None else None
        if not isinstance(found, FunctionFacts) or found in seen:
            return closer
        seen.add(found)
        closer = found


def _is_docstring(stmt: object) -> bool:
    return isinstance(stmt, Evaluate) and not isinstance(stmt.value, Chain | Await)
