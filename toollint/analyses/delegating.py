"""Async generators that pass on what another one yields, and leave that one where it stands when their reader stops.

A reader that stops early closes the generator it reads, and no other: Python throws `GeneratorExit` in at the `yield`,
and the loop is left. The generator that the loop was reading is not told. What it has to do at the end is done later by
a hook of the garbage collector's, in a task and a context of its own, or not at all where the event loop ends before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.invoked import callers
from toollint.analyses.values import Method, Values
from toollint.facts import Assigned, Code, FunctionFacts, ModuleFacts, Parameter, code_of
from toollint.model import Place
from toollint.syntax import (
    Await,
    Block,
    Call,
    Expr,
    For,
    Handler,
    Name,
    Node,
    Try,
    With,
    Yield,
    argument,
    callee,
    is_name,
    last_name,
    walk,
)

_LOOP = re.compile(rb"\basync[ \t]+for\b")
_CATCHES = frozenset({"BaseException", "GeneratorExit"})


@dataclass(frozen=True, eq=False)
class Delegation:
    """A loop of an async generator over another one, of the project, that has work to do when it is left early.

    ``name`` is what the other goes by, empty where the head of the loop makes it; ``cleanup`` is the place of what it
    has to do; ``made`` is where it comes from if that is a caller.
    """

    code: Code
    function: FunctionFacts
    loop: For
    name: str
    inner: FunctionFacts
    cleanup: Place
    made: Place | None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Delegation]:
        """The loops of a file that pass on what another generator yields, in source order of their functions."""
        if module.is_test or not _LOOP.search(module.utf8):
            return
        for code in code_of(module, frozenset({b"yield"})):
            function = code.function
            if function is None or not function.node.is_async or function.is_manager or function.is_fixture:
                continue
            for node in walk(code.block, into=False):
                if isinstance(node, For) and node.is_async and _yields(node.body):
                    yield from _left_behind(values, code, function, node)

    @property
    def place(self) -> Place:
        """The head of the loop."""
        return self.code.at(self.loop.start, self.loop.iter.end)

    @property
    def whole(self) -> Place:
        """The loop."""
        return self.code.at(self.loop.start, self.loop.end)

    @property
    def read(self) -> Place:
        """What the loop reads."""
        return self.code.at(self.loop.iter.start, self.loop.iter.end)

    @property
    def text(self) -> str:
        """The same as it is written."""
        return self.code.scope.module.utf8[slice(*self.read.span)].decode()

    @property
    def leaves(self) -> Place:
        """The first `yield` at which the reader may stop."""
        found = next(node for node in walk(self.loop.body, into=False) if isinstance(node, Yield))
        return self.code.at(found.start, found.end)


def _left_behind(values: Values, code: Code, function: FunctionFacts, loop: For) -> Iterator[Delegation]:
    """The delegation of a loop, where nobody answers for the inner generator."""
    name = loop.iter.id if isinstance(loop.iter, Name) else ""
    bindings = function.scope.bindings.get(name, ()) if name else ()
    if name and (len(bindings) != 1 or _is_used(function, loop, name)):
        return
    made, inner, given = None, None, bindings[0] if bindings else None
    if isinstance(given, Parameter) and name != function.receiver:
        made, inner = next(_given(values, function, name), (None, None))
    elif isinstance(given, Assigned) or not name:
        source = given.stmt.value if isinstance(given, Assigned) else loop.iter
        inner = _generator(values, code, source)
    cleanup = _cleanup(inner) if inner is not None else None
    if inner is not None and inner is not function and cleanup is not None:
        yield Delegation(code, function, loop, name, inner, cleanup, made)


def _is_used(function: FunctionFacts, loop: For, name: str) -> bool:
    """Whether anything but the loop mentions a name after it is bound: that may close the generator."""
    return any(
        is_name(n, name) and n is not loop.iter for n in walk(function.node.body) if not _binds(n, function, name)
    )


def _binds(node: Node, function: FunctionFacts, name: str) -> bool:
    found = function.scope.bindings[name][0]
    return isinstance(found, Assigned) and any(node is target for target in found.stmt.targets)


def _given(values: Values, function: FunctionFacts, name: str) -> Iterator[tuple[Place, FunctionFacts]]:
    """The async generators that callers pass for a parameter, and then forget; where they pass them."""
    params = [param.name for param in function.node.params]
    position = params.index(name) - (function.receiver is not None)
    for code, chain in callers(values, function):
        caller = code.function
        for link in chain.links if caller is not None else ():
            given = argument(link, name, position) if isinstance(link, Call) else None
            if isinstance(given, Name) and caller is not None:
                found = caller.scope.bindings.get(given.id, ())
                mentions = [n for n in walk(caller.node.body) if is_name(n, given.id)]
                if len(found) == 1 and isinstance(found[0], Assigned) and len(mentions) == 2:  # bound, and passed
                    inner = _generator(values, code, found[0].stmt.value)
                    if inner is not None:
                        yield code.at(given.start, given.end), inner
            elif given is not None:
                inner = _generator(values, code, given)
                if inner is not None:
                    yield code.at(given.start, given.end), inner


def _generator(values: Values, code: Code, expr: Expr | None) -> FunctionFacts | None:
    """The async generator of the project that a call makes."""
    called = callee(expr) if expr is not None else None
    target = values.of(code.scope, called) if called is not None else None
    found = target.function if isinstance(target, Method) else target
    if not isinstance(found, FunctionFacts) or found.decorators or not found.node.is_async or not found.is_generator:
        return None
    return found


# --- what the inner one has to do --------------------------------------------------------------------------------


def _cleanup(inner: FunctionFacts) -> Place | None:
    """What an async generator awaits when it is closed at one of its `yield`s: an `async with`, a `finally`."""
    for node in walk(inner.node.body, into=False):
        if isinstance(node, With) and node.is_async and _yields(node.body):
            context = node.items[0][0]
            return inner.at(context.start, context.end)
        if isinstance(node, Try) and _yields(node.body):
            waits = next(filter(_waits, walk(*_at_exit(node), into=False)), None)
            if waits is not None:
                return inner.at(waits.start, waits.end)
    return None


def _at_exit(stmt: Try) -> Iterator[Block]:
    """The blocks of a `try` that run when a generator is closed inside it; the first handler that fits is the one."""
    yield stmt.final
    fitting = next((one for one in stmt.handlers if _catches_exit(one)), None)
    if fitting is not None:
        yield fitting.body


def _catches_exit(handler: Handler) -> bool:
    return handler.type is None or any(last_name(n) in _CATCHES for n in walk(handler.type) if isinstance(n, Name))


def _waits(node: Node) -> bool:
    return isinstance(node, Await) or (isinstance(node, For | With) and node.is_async)


def _yields(block: Block) -> bool:
    return any(isinstance(node, Yield) for node in walk(block, into=False))
